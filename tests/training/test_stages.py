"""The three networks in all their forms: what they start as, what sees what, what learns."""

from __future__ import annotations

import functools
import json
import shutil
from pathlib import Path
from typing import Any

import pytest
import torch
from diffusers import UNet2DConditionModel
from torch import nn
from torch.utils.checkpoint import checkpoint

from curation.errors import UserError
from training.models.lavie.form import Form
from training.models.lavie.stage import Stage
from training.models.lavie.unet import VideoUNet, image_unet
from training.recipe_model import Model

TINY = Model(
    widths=(8, 16), attention=(False, True), layers=1, heads=2, groups=4, text_width=16, text_layers=1, text_length=24
)
FORMS = [
    Form(),
    Form(norm="clip", known=True),
    Form(view="interpolation", positions="sinusoidal"),
    Form(view="interpolation", layout="released", positions="none", norm="clip"),
    Form(view="vsr"),
    Form(view="vsr", layout="released", norm="clip"),
]
every_form = pytest.mark.parametrize("form", FORMS, ids=lambda f: f"{f.view}-{f.layout}-{f.norm}")


def flat(view: str = "base") -> UNet2DConditionModel:
    torch.manual_seed(0)
    return image_unet(TINY, channels=3, text_width=16, view=view)


def awake(model: nn.Module) -> Any:
    """Layers over time away from zero, as after training."""
    torch.manual_seed(1)
    for name, value in model.named_parameters():
        if "temp" in name and "norm" not in name:
            nn.init.normal_(value, std=0.5)
    return model


def example(form: Form, frames: int = 4, images: int = 2, size: tuple[int, int] = (8, 12)) -> dict[str, Any]:
    torch.manual_seed(2)
    channels = 3 + form.condition_channels(3)
    return {
        "x": torch.randn(2, channels, frames + images, *size),
        "timesteps": torch.tensor([3, 700]),
        "text": torch.randn(2, 1 + images, 5, 16),
        "frames": frames,
        "noise_level": torch.tensor([20, 350]) if form.view == "vsr" else None,
    }


@torch.no_grad()
@pytest.mark.parametrize("layout", ["paper", "released"])
def test_at_the_start_super_resolution_is_the_2d_upscaler_on_every_frame(layout: str) -> None:
    form = Form(view="vsr", layout=layout)
    given, image = example(form), flat("vsr")
    captions = [given["text"][:, max(0, i - 3)] for i in range(6)]
    expected = [
        image(given["x"][:, :, i], given["timesteps"], captions[i], class_labels=given["noise_level"]).sample
        for i in range(6)
    ]
    out = VideoUNet(flat("vsr"), form)(**given)
    torch.testing.assert_close(out, torch.stack(expected, dim=2), rtol=1e-4, atol=1e-4)


@torch.no_grad()
@pytest.mark.parametrize("form", [Form(norm="clip"), Form(norm="all")], ids=["clip", "all"])
def test_at_the_start_equal_frames_are_those_of_the_2d_model_also_with_pooled_norms(form: Form) -> None:
    given = example(form, images=0)
    given["x"] = given["x"][:, :, :1].expand(-1, -1, 4, -1, -1)
    expected = flat()(given["x"][:, :, 0], given["timesteps"], given["text"][:, 0]).sample
    out = VideoUNet(flat(), form)(**given)
    for frame in range(4):
        torch.testing.assert_close(out[:, :, frame], expected, rtol=1e-3, atol=1e-4)


@torch.no_grad()
@pytest.mark.parametrize("layout", ["paper", "released"])
def test_at_the_start_a_condition_changes_nothing(layout: str) -> None:
    form = Form(view="interpolation", layout=layout)
    given, model = example(form), VideoUNet(flat(), form)
    out = model(**given)
    given["x"][:, 3:] = 7.0
    assert torch.equal(model(**given), out)
    first = flat()(given["x"][:, :3, 0], given["timesteps"], given["text"][:, 0]).sample
    torch.testing.assert_close(out[:, :, 0], first, rtol=1e-5, atol=1e-5)  # it sees itself alone in both layouts


@torch.no_grad()
@every_form
def test_a_single_frame_changes_nothing_but_itself(form: Form) -> None:
    model, given = awake(VideoUNet(flat(form.view), form)), example(form)
    out = model(**given)
    given["x"][:, :, 4], given["text"][:, 1] = torch.randn_like(given["x"][:, :, 4]), torch.randn(2, 5, 16)
    changed = model(**given)
    assert not torch.equal(changed[:, :, 4], out[:, :, 4])
    others = [0, 1, 2, 3, 5]
    torch.testing.assert_close(changed[:, :, others], out[:, :, others], rtol=1e-4, atol=1e-4)


@torch.no_grad()
@every_form
def test_single_frames_are_the_same_without_a_clip(form: Form) -> None:
    model, given = awake(VideoUNet(flat(form.view), form)), example(form)
    expected = model(**given)[:, :, 4:]
    alone = model(**{**given, "x": given["x"][:, :, 4:], "frames": 0})
    torch.testing.assert_close(alone, expected, rtol=1e-3, atol=1e-4)


@torch.no_grad()
def test_norms_of_the_released_code_mix_single_frames_into_the_clip() -> None:
    form = Form(norm="all")
    model, given = awake(VideoUNet(flat(), form)), example(form)
    out = model(**given)
    given["x"][:, :, 4] = 5.0
    assert (model(**given)[:, :, 0] - out[:, :, 0]).abs().max() > 1e-4


@torch.no_grad()
@every_form
def test_frames_of_a_clip_see_each_other(form: Form) -> None:
    model, given = awake(VideoUNet(flat(form.view), form)), example(form)
    out = model(**given)
    given["x"][:, :, 3] += 1
    assert (model(**given)[:, :, 0] - out[:, :, 0]).abs().max() > 1e-4


@torch.no_grad()
@every_form
def test_layers_of_a_block_come_in_the_order_of_the_released_code(form: Form) -> None:
    model, order = VideoUNet(flat(form.view), form), []
    block = model.mid_block.attentions[0].transformer_blocks[0]
    for name, part in block.named_children():
        first = part.to_q if name == "attn1" else part
        first.register_forward_hook(lambda *_, name=name: order.append(name))
    model(**example(form, images=0))
    space, time = ["norm1", "attn1", "norm2", "attn2"], [f"norm_{form.suffix}", f"attn_{form.suffix}"]
    spread = ["norm3", "ff"]
    last = form.view == "interpolation" and form.layout == "released"
    assert order == [*space, *(spread + time if last else time + spread)]


@torch.no_grad()
def test_skip_connections_leave_before_the_temporal_modules() -> None:
    form = Form(view="vsr")
    model, given = VideoUNet(flat("vsr"), form), example(form)
    left, came = [], []
    for block in model.down_blocks:
        block.register_forward_hook(lambda _, __, out: left.extend(out[1]))
    for block in model.up_blocks:
        block.register_forward_pre_hook(
            lambda _, __, given: came.extend(reversed(given["res_hidden_states_tuple"])), with_kwargs=True
        )
    awake(model)(**given)
    assert all(a is b for a, b in zip(left, reversed(came[:-1]))) and len(left) == len(came) - 1


@every_form
def test_every_parameter_that_learns_gets_a_gradient_also_when_blocks_are_computed_again(form: Form) -> None:
    model, given = awake(VideoUNet(flat(form.view), form)), example(form)
    model(**given).square().mean().backward()
    kept = {name: value.grad for name, value in model.named_parameters()}
    for name, gradient in kept.items():
        assert gradient is not None and gradient.abs().max() > 0, name
    model.zero_grad()
    for block in model.blocks():
        block.forward = functools.partial(checkpoint, block.forward, use_reentrant=False)
    model(**given).square().mean().backward()
    for name, value in model.named_parameters():
        torch.testing.assert_close(value.grad, kept[name], rtol=1e-3, atol=1e-6)


def test_blocks_can_be_compiled_whole() -> None:
    """Nothing in them falls back to Python, neither on the way there nor back."""
    model = awake(VideoUNet(flat("vsr"), Form(view="vsr", layout="released", norm="clip")))
    model.pictures.frames, model.pictures.images = 3, 1
    x = torch.randn(8, 16, 4, 6, requires_grad=True)
    text, time = {"encoder_hidden_states": torch.randn(2, 2, 5, 16)}, {"time": torch.randn(8, 32)}
    for block, more in ((model.mid_block.attentions[0], text), (model.mid_temporal_block, time)):
        results = []
        for forward in (block.forward, torch.compile(block.forward, backend="eager", fullgraph=True)):
            out = forward(x, **more)
            out = out[0] if isinstance(out, tuple) else out
            results.append((out, *torch.autograd.grad(out.square().mean(), x)))
        torch.testing.assert_close(results[1], results[0], rtol=1e-3, atol=1e-4)


@every_form
def test_blocks_hold_nearly_all_parameters_each_once(form: Form) -> None:
    model = VideoUNet(flat(form.view), form)
    inside = [id(value) for block in model.blocks() for value in block.parameters()]
    assert len(set(inside)) == len(inside)
    rest = {name.split(".")[0] for name, value in model.named_parameters() if id(value) not in set(inside)}
    own = {"conv_in", "conv_out", "conv_norm_out", "time_embedding", "class_embedding", "down_blocks", "up_blocks"}
    assert rest <= own


@torch.no_grad()
@pytest.mark.parametrize("size", [(9, 13), (8, 6)])
def test_super_resolution_takes_pictures_of_any_size(size: tuple[int, int]) -> None:
    form = Form(view="vsr")
    given = example(form, size=size)
    out = VideoUNet(flat("vsr"), form)(**given)
    assert out.shape == (2, 3, 6, *size) and out.isfinite().all()


@pytest.mark.parametrize(
    ("view", "layout", "millions"),
    [
        ("base", "paper", 909.12),
        ("interpolation", "released", 909.13),
        ("interpolation", "paper", 909.14),
        ("vsr", "paper", 637.49),
        ("vsr", "released", 691.04),
    ],
)
def test_parameters_at_published_size(view: str, layout: str, millions: float) -> None:
    upscaler = {"widths": (256, 512, 512, 1024), "attention": (False, True, True, True)} if view == "vsr" else {}
    model = Model(layout=layout, **upscaler)
    with torch.device("meta"):
        image = image_unet(model, channels=4, text_width=1024 if view == "vsr" else 768, view=view)
        unet = VideoUNet(image, Form.of(model, view))
    assert round(sum(value.numel() for value in unet.parameters()) / 1e6, 2) == millions
    inputs = {"base": 4, "interpolation": 8, "vsr": 7}
    assert (unet.conv_in.in_channels, unet.conv_out.out_channels) == (inputs[view], 4)


def test_a_given_upscaler_keeps_its_layers_of_space_to_the_bit(tmp_path: Path) -> None:
    flat("vsr").save_pretrained(tmp_path / "unet")
    stage = Stage.build(TINY.model_copy(update={"unet": str(tmp_path / "unet")}), "vsr")
    assert stage.origin.startswith("starting from the 2D model in ") and "over time are new" in stage.origin
    unet = awake(stage.unet)
    learning = {name for name, value in unet.named_parameters() if value.requires_grad}
    assert learning == {name for name in dict(unet.named_parameters()) if "temporal" in name}
    before = {name: value.clone() for name, value in unet.state_dict().items()}
    optimiser = torch.optim.AdamW(stage.trained().values(), lr=0.1, weight_decay=0.1)
    stage(**example(unet.form)).square().mean().backward()
    optimiser.step()
    for name, value in unet.state_dict().items():
        assert torch.equal(value, before[name]) != (name in learning), name
    told = {"unet": str(tmp_path / "unet"), "spatial": "trained"}
    everything = Stage.build(TINY.model_copy(update=told), "vsr").unet
    assert all(value.requires_grad for value in everything.parameters())
    assert all(value.requires_grad for value in Stage.build(TINY, "vsr").unet.parameters())


@torch.no_grad()
def test_interpolation_starts_from_a_trained_base_model(tmp_path: Path) -> None:
    base = Stage.build(TINY, "base")
    awake(base).save(tmp_path)
    model = TINY.model_copy(update={"init": str(tmp_path)})
    stage = Stage.build(model, "interpolation")
    assert f"starting from {tmp_path}: " in stage.origin and "new" not in stage.origin
    given = example(stage.unet.form)
    expected = base(given["x"][:, :3], given["timesteps"], given["text"], frames=4)
    torch.testing.assert_close(stage(**given), expected, rtol=1e-3, atol=1e-4)
    assert torch.equal(stage.text(["a"]), base.text(["a"])) and not any(n.startswith("text") for n in stage.trained())
    (tmp_path / "run").mkdir()
    (tmp_path / "run/model").symlink_to(tmp_path)
    released = Stage.build(
        TINY.model_copy(update={"init": str(tmp_path / "run"), "layout": "released"}), "interpolation"
    )
    assert "have no place here (attn_temp)" in released.origin  # the tables of distances


def test_training_goes_on_in_the_form_that_the_weights_have(tmp_path: Path) -> None:
    model = TINY.model_copy(update={"norm": "clip", "layout": "released"})
    Stage.build(model, "interpolation").save(tmp_path)
    started = TINY.model_copy(update={"init": str(tmp_path)})
    stage = Stage.build(started, "interpolation")
    wanted = Form(view="interpolation", norm="clip", layout="released", positions="none")
    assert stage.unet.form == wanted and ";" not in stage.origin
    other = Stage.build(started.model_copy(update={"norm": "frame"}), "interpolation")
    assert other.unet.form.norm == "frame" and other.origin.endswith("; norm frame where it had clip")
    assert Form.of(TINY, "base", before=wanted) == Form(norm="clip")
    assert Form.of(TINY, "interpolation", before=Form(positions="rotary")).positions == "rotary"


@pytest.mark.parametrize("form", FORMS[1::2], ids=lambda f: f.view)
def test_a_stage_is_saved_and_loaded_whole(form: Form, tmp_path: Path) -> None:
    model = TINY.model_copy(update={name: getattr(form, name) for name in ("norm", "layout", "positions")})
    stage = awake(Stage.build(model, form.view, known=form.known))
    stage.save(tmp_path)
    again = Stage.load(tmp_path)
    assert again.view == form.view and again.unet.form == stage.unet.form == form
    assert stage.state_dict().keys() == again.state_dict().keys()
    assert all(torch.equal(value, again.state_dict()[name]) for name, value in stage.state_dict().items())
    given = example(form)
    assert torch.equal(stage(**given), again(**given))
    assert json.loads((tmp_path / "unet/config.json").read_text())["video"]["view"] == form.view


@pytest.mark.parametrize(
    ("change", "words"),
    [
        ({"video": {"view": "other"}}, "view"),
        ({"block_out_channels": [8, 24]}, "size mismatch"),
        ({"video": None}, "config.json is not that of a video model of ours"),
        ({"layers_per_block": 10**9}, "asks for more than 32 layers"),
    ],
)
def test_a_folder_that_does_not_fit_is_one_line(tmp_path: Path, change: dict[str, Any], words: str) -> None:
    Stage.build(TINY, "base").save(tmp_path)
    path = tmp_path / "unet/config.json"
    path.write_text(json.dumps({**json.loads(path.read_text()), **change}))
    with pytest.raises(UserError, match=words) as error:
        Stage.load(tmp_path)
    assert "\n" not in str(error.value)


def test_a_2d_model_of_another_kind_is_refused_in_one_line(tmp_path: Path) -> None:
    flat("base").save_pretrained(tmp_path / "base")
    with pytest.raises(UserError, match=r"model.unet: .* needs an embedding of the noise level"):
        Stage.build(TINY.model_copy(update={"unet": str(tmp_path / "base")}), "vsr")
    Stage.build(TINY, "base").save(tmp_path / "alone")
    shutil.rmtree(tmp_path / "alone/text")
    with pytest.raises(UserError, match=r"model.init: .*alone has no text model; model.text names one"):
        Stage.build(TINY.model_copy(update={"init": str(tmp_path / "alone")}), "base")
    with pytest.raises(UserError, match=r"model.init: .*nothing has no weights"):
        Stage.build(TINY.model_copy(update={"init": str(tmp_path / "nothing")}), "base")
