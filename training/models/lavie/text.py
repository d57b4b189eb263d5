"""Captions to embeddings: a CLIP text model, either given and frozen or small and trained along.

LaVie conditions on the frozen text model of CLIP ViT-L/14. Without its weights, a small model of
the same class reads the bytes of the caption and learns together with the UNet.
"""

from __future__ import annotations

import json
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import torch
from torch import Tensor, nn
from transformers import CLIPTextConfig, CLIPTextModel, CLIPTokenizer
from transformers.utils.logging import disable_progress_bar

from training.recipe import Model
from training.transfer import sent

_BYTES_FILE = "byte_tokenizer.json"

disable_progress_bar()  # it would break the lines of our own


class ByteTokenizer:
    """Tokens are the bytes of the text in UTF-8, between a begin and an end mark."""

    BEGIN, END, PAD = 256, 257, 258
    VOCABULARY = 259

    def __init__(self, length: int):
        self.length = length

    def __call__(self, texts: Sequence[str]) -> Tensor:
        """int64 (texts, length); longer texts are cut, shorter ones padded."""
        tokens = torch.full((len(texts), self.length), self.PAD)
        for row, text in zip(tokens, texts):
            ids = [self.BEGIN, *text.encode()[: self.length - 2], self.END]
            row[: len(ids)] = torch.tensor(ids)
        return tokens

    def save(self, folder: Path) -> None:
        (folder / _BYTES_FILE).write_text(json.dumps({"length": self.length}))


class ClipTokenizer:
    """CLIP's own tokenizer, from a folder."""

    def __init__(self, folder: str | Path):
        self._tokenizer: Any = CLIPTokenizer.from_pretrained(str(folder), local_files_only=True)

    def __call__(self, texts: Sequence[str]) -> Tensor:
        """int64 (texts, the tokenizer's length); longer texts are cut, shorter ones padded."""
        tokens: Tensor = self._tokenizer(
            list(texts),
            padding="max_length",
            truncation=True,
            max_length=min(77, self._tokenizer.model_max_length),
            return_tensors="pt",
        ).input_ids
        return tokens

    def save(self, folder: Path) -> None:
        self._tokenizer.save_pretrained(str(folder))


class TextEncoder(nn.Module):
    """A tokenizer and a CLIP text model. The empty caption is the unconditional one."""

    def __init__(self, model: CLIPTextModel, tokenizer: ByteTokenizer | ClipTokenizer):
        super().__init__()
        self.model = model
        self.tokenizer = tokenizer

    @property
    def width(self) -> int:
        """Channels of the embedding."""
        return int(self.model.config.hidden_size)

    @property
    def length(self) -> int:
        """Tokens of the embedding."""
        return int(self.tokenizer(("",)).shape[1])

    def forward(self, captions: Sequence[str]) -> Tensor:
        """Last hidden state, (captions, tokens, width)."""
        tokens = sent(self.tokenizer(captions), self.model.device)
        out: Tensor = self.model(input_ids=tokens).last_hidden_state
        return out

    @staticmethod
    def build(model: Model) -> TextEncoder:
        """The text model of a recipe: given and frozen, or new."""
        if model.text is not None:
            encoder = TextEncoder.load(Path(model.text))
            encoder.requires_grad_(False)
            return encoder
        config = CLIPTextConfig(
            vocab_size=ByteTokenizer.VOCABULARY,
            hidden_size=model.text_width,
            intermediate_size=4 * model.text_width,
            num_hidden_layers=model.text_layers,
            num_attention_heads=model.heads,
            max_position_embeddings=model.text_length,
            bos_token_id=ByteTokenizer.BEGIN,
            eos_token_id=ByteTokenizer.END,
            pad_token_id=ByteTokenizer.PAD,
        )
        return TextEncoder(CLIPTextModel(config), ByteTokenizer(model.text_length))

    def save(self, folder: Path) -> None:
        """Write configuration, weights (safetensors) and tokenizer."""
        self.model.save_pretrained(str(folder))
        self.tokenizer.save(folder)

    @staticmethod
    def load(folder: Path) -> TextEncoder:
        """Read what `save` wrote, or a folder with a CLIP text model and its tokenizer."""
        tokenizer: ByteTokenizer | ClipTokenizer
        if (folder / _BYTES_FILE).exists():
            tokenizer = ByteTokenizer(int(json.loads((folder / _BYTES_FILE).read_text())["length"]))
        else:
            tokenizer = ClipTokenizer(folder)
        model = CLIPTextModel.from_pretrained(str(folder), local_files_only=True, use_safetensors=True)
        return TextEncoder(model, tokenizer)
