"""Captions from an image- or video-text-to-text model of Hugging Face, run on this worker.

Any model that `AutoModelForImageTextToText` knows and whose processor has a chat template: Qwen-VL, LLaVA and
LLaVA-Video, SmolVLM, InternVL, Gemma 3 and others. Weights are safetensors, and no code that comes with a model runs.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import Any

from curation.errors import UserError
from curation.models.captioners import Answer, Captioner, Shown, prompt_hash
from curation.recipe_caption import LocalModel, Style


class LocalCaptioner(Captioner):
    """See `recipe.LocalModel`. Greedy: the same pictures give the same words on the same machine."""

    name = "transformers"
    remembered = True

    def __init__(self, local: LocalModel):
        self.model = local.model
        self._local = local

    def identity(self, style: Style) -> Any:
        local = self._local
        return [
            *(self.name, local.model, local.revision, local.pictures, local.dtype),
            *(prompt_hash(style.prompt), style.max_tokens),
        ]

    def setup(self) -> None:
        try:
            import torch
            import transformers
        except ImportError as error:
            raise UserError(f"caption.transformers needs {error.name}: pip install 'reelmill[models]'") from None

        transformers.utils.logging.set_verbosity_error()
        transformers.utils.logging.disable_progress_bar()
        self._torch = torch
        self._device = "cuda" if torch.cuda.is_available() else "cpu"
        dtype = self._local.dtype
        if dtype == "auto" and self._device == "cpu":
            dtype = "float32"
        try:
            self._processor: Any = transformers.AutoProcessor.from_pretrained(
                self._local.model, revision=self._revision, trust_remote_code=False
            )
            model: Any = transformers.AutoModelForImageTextToText.from_pretrained(
                self._local.model,
                revision=self._revision,
                dtype=dtype,
                use_safetensors=True,
                trust_remote_code=False,
            )
        except (OSError, ValueError, ImportError) as error:
            raise UserError(self._missing(error)) from None
        if not getattr(self._processor, "chat_template", None):
            raise UserError(
                f"caption.transformers.model: {self.model} has no chat template, so nobody knows how it is asked; "
                "choose an instruction-tuned model"
            )
        self._model = model.to(self._device).eval()
        self._processor.tokenizer.padding_side = "left"
        if self._processor.tokenizer.pad_token is None:
            self._processor.tokenizer.pad_token = self._processor.tokenizer.eos_token

    def caption(self, clips: Sequence[Shown], style: Style) -> Iterator[tuple[str, Answer]]:
        seen = [clip for clip in clips if clip.jpegs]
        for start in range(0, len(seen), self._local.batch):
            batch = seen[start : start + self._local.batch]
            for clip, answer in zip(batch, self._answers(batch, style), strict=True):
                yield clip.clip_id, answer

    def _answers(self, clips: Sequence[Shown], style: Style) -> list[Answer]:
        """One for each clip, in order."""
        inputs = self._processor.apply_chat_template(
            [self._question(clip, style) for clip in clips],
            add_generation_prompt=True,
            tokenize=True,
            return_dict=True,
            return_tensors="pt",
            processor_kwargs={"padding": True, **self._as_video},
        ).to(self._device, dtype=self._model.dtype)
        length = inputs["input_ids"].shape[1]
        try:
            with self._torch.inference_mode():
                made = self._model.generate(**inputs, max_new_tokens=style.max_tokens, do_sample=False)[:, length:]
        except self._torch.OutOfMemoryError:
            raise UserError(
                f"caption.transformers.batch: {len(clips)} clips do not fit into the GPU's memory; set a smaller one"
            ) from None
        ends = self._ends()
        texts = self._processor.batch_decode(made, skip_special_tokens=True)
        told = zip(texts, made.tolist(), strict=True)
        return [_answer(text, ended=len(ids) < style.max_tokens or bool(ends & set(ids))) for text, ids in told]

    def _question(self, clip: Shown, style: Style) -> list[dict[str, Any]]:
        if self._local.pictures == "video":
            import numpy as np

            shown: list[dict[str, Any]] = [{"type": "video", "video": np.stack(clip.pictures)}]
        else:
            shown = [{"type": "image", "image": picture} for picture in clip.pictures]
        return [{"role": "user", "content": [*shown, {"type": "text", "text": style.prompt}]}]

    @property
    def _as_video(self) -> dict[str, Any]:
        """All frames that were kept are shown; a processor would choose some by a frame rate that they do not have."""
        return {"do_sample_frames": False} if self._local.pictures == "video" else {}

    def _ends(self) -> set[int]:
        """The tokens that end an answer."""
        ends = self._model.generation_config.eos_token_id
        return set(ends if isinstance(ends, list) else [ends]) - {None}

    @property
    def _revision(self) -> str:
        return self._local.revision or "main"

    def _missing(self, error: Exception) -> str:
        reason = " ".join(str(error).split())[:200]
        if Path(self._local.model).is_dir():
            return f"caption.transformers.model: {self.model} cannot be loaded: {reason}"
        fetch = f"hf download {self.model}" + (f" --revision {self._local.revision}" if self._local.revision else "")
        return (
            f"caption.transformers.model: the weights of {self.model} are not here: fetch them with `{fetch}` on every "
            f"worker, or give a folder that holds them ({reason})"
        )


def _answer(text: str, *, ended: bool) -> Answer:
    if not text.strip():
        return Answer(error="no word of an answer")
    return Answer(text, truncated=not ended)
