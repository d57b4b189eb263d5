"""Heads give the numbers that the public code gives, and files that are none are refused."""

from __future__ import annotations

import pickle
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import Any

import pytest
import torch
from safetensors.torch import save_file
from torch import nn

from curation.errors import UserError
from curation.models import weights
from curation.models.heads import head
from tests.servers import FileServer

KEY = "score.aesthetic.head"
EMBEDDINGS = nn.functional.normalize(torch.randn((7, 24), generator=torch.Generator().manual_seed(1)), dim=-1)


class _Five(nn.Module):
    """As improved-aesthetic-predictor has it, narrower."""

    def __init__(self) -> None:
        super().__init__()
        self.layers = nn.Sequential(
            *(nn.Linear(24, 20), nn.Dropout(0.2), nn.Linear(20, 16), nn.Dropout(0.2), nn.Linear(16, 8)),
            *(nn.Dropout(0.1), nn.Linear(8, 4), nn.Linear(4, 1)),
        )

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        return self.layers(x)


class _Normalization(nn.Module):
    def __init__(self) -> None:
        super().__init__()
        self.register_buffer("mean", torch.rand(24) / 10)
        self.register_buffer("variance", torch.rand(24) + 0.1)


class _Nsfw(nn.Module):
    """As CLIP-based-NSFW-Detector has it for PyTorch, narrower."""

    def __init__(self) -> None:
        super().__init__()
        self.norm = _Normalization()
        self.linear_1, self.linear_2 = nn.Linear(24, 12), nn.Linear(12, 16)
        self.linear_3, self.linear_4 = nn.Linear(16, 8), nn.Linear(8, 1)

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        x = (x - self.norm.mean) / self.norm.variance.sqrt()
        for layer in (self.linear_1, self.linear_2, self.linear_3):
            x = torch.relu(layer(x))
        return torch.sigmoid(self.linear_4(x))


@pytest.mark.parametrize("suffix", [".pth", ".safetensors"])
@pytest.mark.parametrize("make", [lambda: nn.Linear(24, 1), _Five, _Nsfw], ids=["one layer", "five layers", "nsfw"])
def test_public_layouts_give_the_numbers_of_their_own_code(make: Any, suffix: str, tmp_path: Path) -> None:
    network = make().eval()
    file = tmp_path / f"head{suffix}"
    save_file(network.state_dict(), file) if suffix == ".safetensors" else torch.save(network.state_dict(), file)
    expected = network(EMBEDDINGS)[:, 0].detach().numpy()
    assert head(str(file), KEY, 24)(EMBEDDINGS.double().numpy()) == pytest.approx(expected, abs=1e-5)


def test_head_for_other_embeddings_is_refused(tmp_path: Path) -> None:
    torch.save(nn.Linear(24, 1).state_dict(), tmp_path / "head.pth")
    with pytest.raises(UserError, match="made for embeddings of 24 numbers, those of score.clip have 768"):
        head(str(tmp_path / "head.pth"), KEY, 768)


def test_file_that_would_run_code_is_refused(tmp_path: Path) -> None:
    class Evil:
        def __reduce__(self) -> Any:
            return (Path.touch, (tmp_path / "ran",))

    (tmp_path / "plain.pth").write_bytes(pickle.dumps(Evil()))
    torch.save({"weight": Evil(), "bias": torch.zeros(1)}, tmp_path / "zip.pth")
    (tmp_path / "empty.pth").write_bytes(b"")
    for name in ("plain.pth", "zip.pth", "empty.pth"):
        with pytest.raises(UserError, match="no file of weights"):
            head(str(tmp_path / name), KEY, 24)
    assert not (tmp_path / "ran").exists()


def test_unknown_layouts_are_refused(tmp_path: Path) -> None:
    two = nn.Linear(24, 2).state_dict()
    other = {"net.0.weight": torch.zeros(1, 24)}
    uneven = {name: value if "4" not in name else value[..., :1] for name, value in _Five().state_dict().items()}
    for number, state in enumerate((two, other, uneven)):
        save_file({name: value.contiguous() for name, value in state.items()}, tmp_path / f"{number}.safetensors")
        with pytest.raises(UserError, match="do not fit together|no known layout"):
            head(str(tmp_path / f"{number}.safetensors"), KEY, 24)


def test_missing_file_is_told_with_key_and_command() -> None:
    name = "sac+logos+ava1-l14-linearMSE.pth"
    with pytest.raises(UserError, match=r"score\.aesthetic\.head: no file weights/sac.*curl -L .*https://github"):
        head(f"weights/{name}", KEY, 768)


def test_url_is_fetched_once_a_node(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("REELMILL_CACHE", str(tmp_path / "cache"))
    network = nn.Linear(24, 1)
    torch.save(network.state_dict(), tmp_path / "head.pth")
    with FileServer((tmp_path / "head.pth").read_bytes()) as server:
        url = f"{server.url}/head.pth?token=secret"
        with ThreadPoolExecutor(4) as pool:
            files = list(pool.map(lambda _: weights.found(url, KEY), range(8)))
        assert server.gets == 1
    assert len(set(files)) == 1
    expected = network(EMBEDDINGS)[:, 0].detach().numpy()
    assert head(url, KEY, 24)(EMBEDDINGS.double().numpy()) == pytest.approx(expected, abs=1e-5)
    assert not list((tmp_path / "cache").rglob("*.part"))


def test_url_that_does_not_answer_is_one_line_without_secrets(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("REELMILL_CACHE", str(tmp_path / "cache"))
    with FileServer(b"", fault=lambda number: 404) as server, pytest.raises(UserError) as error:
        weights.found(f"{server.url}/head.pth?token=secret", KEY)
    assert "score.aesthetic.head" in str(error.value) and "reelmill weights" in str(error.value)
    assert "secret" not in str(error.value) and "\n" not in str(error.value)
