"""The notebooks run from top to bottom on any output, hold no logic of their own, and are committed without outputs."""

from __future__ import annotations

import ast
from pathlib import Path

import nbformat
import pytest
from nbclient import NotebookClient

from tests.conftest import Reelmill

NOTEBOOKS = sorted((Path(__file__).parents[1] / "notebooks").glob("*.ipynb"))
NAMES = ["dataset_stats", "shards_and_training", "thresholds"]


def _code(path: Path) -> list[str]:
    return [cell.source for cell in nbformat.read(path, as_version=4).cells if cell.cell_type == "code"]


def test_the_three_notebooks_are_there() -> None:
    assert [path.stem for path in NOTEBOOKS] == NAMES


@pytest.mark.parametrize("path", NOTEBOOKS, ids=lambda path: path.stem)
def test_notebooks_are_committed_without_outputs(path: Path) -> None:
    for cell in nbformat.read(path, as_version=4).cells:
        if cell.cell_type == "code":
            assert not cell.outputs and cell.execution_count is None


@pytest.mark.parametrize("path", NOTEBOOKS, ids=lambda path: path.stem)
def test_notebooks_hold_no_logic_of_their_own(path: Path) -> None:
    for source in _code(path):
        for node in ast.walk(ast.parse(source)):
            assert not isinstance(node, ast.FunctionDef | ast.ClassDef | ast.Lambda | ast.While | ast.If | ast.Try)
        assert len(source.splitlines()) <= 14


@pytest.fixture(scope="module")
def dataset(footage: Path, reelmill: Reelmill, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """An output with a clip that is long enough for every trainer."""
    out = tmp_path_factory.mktemp("notebooks") / "dataset"
    done = reelmill("curate", footage / "long.mkv", "--out", out, "--set", "split.max_seconds=6")
    assert done.returncode == 0, done.stderr
    return out


@pytest.mark.parametrize("path", NOTEBOOKS, ids=lambda path: path.stem)
def test_notebooks_run_from_top_to_bottom(
    path: Path, dataset: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("REELMILL_OUT", str(dataset))
    monkeypatch.setenv("REELMILL_HOME", str(tmp_path))
    monkeypatch.setenv("REELMILL_FORK", str(tmp_path / "fork"))
    notebook = nbformat.read(path, as_version=4)
    before = {file: file.stat().st_mtime_ns for file in dataset.rglob("*")}
    NotebookClient(
        notebook, timeout=600, kernel_name="python3", resources={"metadata": {"path": str(tmp_path)}}
    ).execute()
    shown = [output for cell in notebook.cells for output in cell.get("outputs", [])]
    pictures = [output for output in shown if "image/png" in output.get("data", {})]
    assert len(pictures) >= 3
    assert {file: file.stat().st_mtime_ns for file in dataset.rglob("*")} == before
