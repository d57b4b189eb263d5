"""A model from disk is shown each clip's own pictures, and what it says is what it says when it is asked alone."""

from __future__ import annotations

import shutil
from pathlib import Path

import pytest

from curation.errors import UserError
from curation.models.captioners import Answer, Shown
from curation.models.vision_language import LocalCaptioner
from curation.recipe_caption import LocalModel, Style
from tests import tiny_qwen
from tests.curation.models.test_endpoint import clips

STYLE = Style(prompt="What?", max_tokens=5)


@pytest.fixture(scope="module")
def model(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return tiny_qwen.qwen2_vl(tmp_path_factory.mktemp("qwen"))


def ask(model: Path, shown: list[Shown], style: Style = STYLE, **given: object) -> dict[str, Answer]:
    captioner = LocalCaptioner(LocalModel(model=str(model), **given))
    captioner.setup()
    return dict(captioner.caption(shown, style))


@pytest.mark.parametrize("pictures", ["images", "video"])
def test_answers_are_those_of_the_model_asked_about_one_clip(model: Path, pictures: str) -> None:
    """Against the model's own steps: the processor's call on the prompt written out, and one greedy generate."""
    import numpy as np
    import torch
    import transformers

    shown = clips(3, pictures=2)
    answers = ask(model, shown, pictures=pictures, batch=2)
    assert list(answers) == [clip.clip_id for clip in shown]
    processor = transformers.AutoProcessor.from_pretrained(model)
    plain = transformers.Qwen2VLForConditionalGeneration.from_pretrained(model, dtype="float32").eval()
    for clip in shown:
        if pictures == "video":
            text = "<|vision_start|><|video_pad|><|vision_end|>What?:"
            given = {"videos": [np.stack(clip.pictures)], "do_sample_frames": False}
        else:
            text = "<|vision_start|><|image_pad|><|vision_end|>" * 2 + "What?:"
            given = {"images": [list(clip.pictures)]}
        inputs = processor(text=[text], return_tensors="pt", **given)
        with torch.inference_mode():
            made = plain.generate(**inputs, max_new_tokens=5, do_sample=False)[0, inputs["input_ids"].shape[1] :]
        assert answers[clip.clip_id].text == processor.decode(made, skip_special_tokens=True)
    assert len({answer.text for answer in answers.values()}) == 3


def test_answer_that_the_limit_cut_off_says_so(model: Path) -> None:
    answers = ask(model, clips(2))
    assert all(answer.truncated for answer in answers.values())  # an untrained model hardly ever ends


def test_clip_without_pictures_is_not_asked_about(model: Path) -> None:
    (clip,) = clips(1)
    nothing = Shown("f" * 16, [], None, None, None, None, None)
    assert list(ask(model, [nothing, clip])) == [clip.clip_id]


def test_weights_that_are_not_there_are_named_with_the_command_that_fetches_them(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("huggingface_hub.constants.HF_HUB_OFFLINE", True)
    captioner = LocalCaptioner(LocalModel(model="some/where", revision="v2"))
    with pytest.raises(UserError, match=r"caption\.transformers\.model: .* `hf download some/where --revision v2`"):
        captioner.setup()
    with pytest.raises(UserError, match=r"caption\.transformers\.model: .* cannot be loaded"):
        LocalCaptioner(LocalModel(model=str(tmp_path))).setup()


def test_pickled_weights_are_refused(model: Path, tmp_path: Path) -> None:
    import torch
    from safetensors.torch import load_file

    folder = tmp_path / "pickled"
    shutil.copytree(model, folder)
    torch.save(load_file(folder / "model.safetensors"), folder / "pytorch_model.bin")
    (folder / "model.safetensors").unlink()
    with pytest.raises(UserError, match="cannot be loaded"):
        LocalCaptioner(LocalModel(model=str(folder))).setup()


def test_model_without_a_chat_template_is_refused(model: Path, tmp_path: Path) -> None:
    folder = tmp_path / "mute"
    shutil.copytree(model, folder)
    for path in [folder / "chat_template.jinja"]:
        path.unlink()
    with pytest.raises(UserError, match="has no chat template"):
        LocalCaptioner(LocalModel(model=str(folder))).setup()
