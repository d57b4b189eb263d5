"""The inflated UNet: equal to the 2D one at the start, and blind to single frames over time."""

from __future__ import annotations

from pathlib import Path

import pytest
import torch
from diffusers import AutoencoderKL, UNet2DConditionModel
from safetensors.torch import load_file
from transformers import CLIPTextConfig, CLIPTextModel

from curation.errors import UserError
from training.models.lavie.latents import Latents
from training.models.lavie.stage import Stage
from training.models.lavie.text import ByteTokenizer, TextEncoder
from training.models.lavie.unet import VideoUNet, image_unet
from training.recipe import Model

TINY = Model(
    widths=(8, 16), attention=(False, True), layers=1, heads=2, groups=4, text_width=16, text_layers=1, text_length=24
)


def image_model() -> UNet2DConditionModel:
    torch.manual_seed(0)
    return image_unet(TINY, channels=3, text_width=16)


def awake(model: VideoUNet) -> VideoUNet:
    """Temporal outputs away from zero, as after training."""
    torch.manual_seed(1)
    for name, value in model.named_parameters():
        if "_temp.to_out" in name:
            torch.nn.init.normal_(value, std=0.5)
    return model


def example(frames: int, images: int) -> tuple[torch.Tensor, torch.Tensor, torch.Tensor]:
    torch.manual_seed(2)
    return torch.randn(2, 3, frames + images, 16, 24), torch.tensor([3, 700]), torch.randn(2, 1 + images, 5, 16)


@torch.no_grad()
def test_at_the_start_every_frame_is_that_of_the_2d_model() -> None:
    x, t, text = example(4, 2)
    flat = image_model()
    captions = torch.cat((text[:, :1].expand(-1, 4, -1, -1), text[:, 1:]), dim=1)
    expected = [flat(x[:, :, i], t, captions[:, i]).sample for i in range(6)]
    out = VideoUNet(image_model())(x, t, text, frames=4)
    torch.testing.assert_close(out, torch.stack(expected, dim=2), rtol=1e-5, atol=1e-5)


def test_the_2d_model_keeps_its_names_and_new_ones_contain_temp() -> None:
    before = image_model().state_dict()
    after = VideoUNet(image_model()).state_dict()
    new = after.keys() - before.keys()
    assert before.keys() <= after.keys()
    assert new and all("_temp" in name for name in new)
    assert all(torch.equal(after[name], before[name]) for name in before)


@torch.no_grad()
def test_a_single_frame_changes_nothing_but_itself() -> None:
    model = awake(VideoUNet(image_model()))
    x, t, text = example(4, 2)
    out = model(x, t, text, frames=4)
    x[:, :, 4], text[:, 1] = torch.randn_like(x[:, :, 4]), torch.randn_like(text[:, 1])
    changed = model(x, t, text, frames=4)
    assert not torch.equal(changed[:, :, 4], out[:, :, 4])
    others = [0, 1, 2, 3, 5]
    torch.testing.assert_close(changed[:, :, others], out[:, :, others], rtol=0, atol=1e-6)


@torch.no_grad()
def test_frames_of_a_clip_see_each_other_and_their_order() -> None:
    model = awake(VideoUNet(image_model()))
    x, t, text = example(4, 0)
    out = model(x, t, text, frames=4)
    moved = x.clone()
    moved[:, :, 3] += 1
    assert (model(moved, t, text, frames=4)[:, :, 0] - out[:, :, 0]).abs().max() > 1e-4
    swapped = model(x[:, :, [1, 0, 2, 3]], t, text, frames=4)[:, :, [1, 0, 2, 3]]
    assert (swapped - out).abs().max() > 1e-4


def test_training_moves_the_temporal_attention() -> None:
    model = VideoUNet(image_model())
    x, t, text = example(4, 1)
    optimiser = torch.optim.AdamW(model.parameters(), lr=1e-2)
    for _ in range(2):
        optimiser.zero_grad()
        (model(x, t, text, frames=4) - x).square().mean().backward()
        optimiser.step()
    for name, value in model.named_parameters():
        assert value.grad is not None and value.grad.abs().max() > 0, name
    outputs = [value for name, value in model.named_parameters() if "_temp.to_out" in name]
    assert outputs and all(value.abs().max() > 0 for value in outputs)


def test_bytes_are_tokens() -> None:
    tokens = ByteTokenizer(8)(["é!", "", "a longer caption"])
    assert tokens.tolist() == [
        [256, 0xC3, 0xA9, ord("!"), 257, 258, 258, 258],
        [256, 257, 258, 258, 258, 258, 258, 258],
        [256, *b"a long", 257],
    ]


@torch.no_grad()
def test_a_model_on_latents_is_saved_and_loaded_whole(tmp_path: Path) -> None:
    torch.manual_seed(0)
    vae = AutoencoderKL(
        block_out_channels=(8, 8), norm_num_groups=4, latent_channels=4, scaling_factor=0.5,
        down_block_types=("DownEncoderBlock2D",) * 2, up_block_types=("UpDecoderBlock2D",) * 2,
    )  # fmt: skip
    vae.save_pretrained(tmp_path / "vae")
    model = Stage.build(TINY.model_copy(update={"vae": str(tmp_path / "vae")}), "base")
    assert isinstance(model.space, Latents) and model.factor == 4
    assert all(not name.startswith("space.") for name in model.trained())
    video = torch.rand(2, 3, 3, 16, 24) * 2 - 1
    latents = model.space.encode(video, torch.zeros)
    assert latents.shape == (2, 4, 3, 8, 12)
    expected = vae.encode(video[1, :, 2][None]).latent_dist.mean * 0.5
    torch.testing.assert_close(latents[1, :, 2][None], expected, rtol=1e-4, atol=1e-5)
    torch.testing.assert_close(
        model.space.decode(latents)[:1, :, 1], vae.decode(latents[:1, :, 1] / 0.5).sample, rtol=1e-4, atol=1e-5
    )
    model.save(tmp_path / "model")
    again = Stage.load(tmp_path / "model")
    for (name, a), (other, b) in zip(model.state_dict().items(), again.state_dict().items()):
        assert name == other and torch.equal(a, b)
    assert load_file(tmp_path / "model" / "unet" / "diffusion_pytorch_model.safetensors")


def test_a_given_2d_model_is_where_training_starts(tmp_path: Path) -> None:
    image_model().save_pretrained(tmp_path / "unet")
    model = Stage.build(TINY.model_copy(update={"unet": str(tmp_path / "unet")}), "base")
    after = model.unet.state_dict()
    assert all(torch.equal(after[name], value) for name, value in image_model().state_dict().items())


def test_a_given_text_model_is_frozen(tmp_path: Path) -> None:
    config = CLIPTextConfig(
        vocab_size=259, hidden_size=16, intermediate_size=32, num_hidden_layers=1, num_attention_heads=2,
        max_position_embeddings=12,
    )  # fmt: skip
    encoder = TextEncoder(CLIPTextModel(config), ByteTokenizer(12))
    encoder.save(tmp_path)
    model = Stage.build(TINY.model_copy(update={"text": str(tmp_path)}), "base")
    assert all(not name.startswith("text.") for name in model.trained())
    torch.testing.assert_close(model.text(["a", ""]), encoder(["a", ""]))


@pytest.mark.parametrize("part", ["vae", "text", "unet"])
def test_weights_that_are_missing_are_one_line(tmp_path: Path, part: str) -> None:
    with pytest.raises(UserError, match=f"model.{part}: .*nothing has no weights") as error:
        Stage.build(TINY.model_copy(update={part: str(tmp_path / "nothing")}), "base")
    assert "\n" not in str(error.value)
