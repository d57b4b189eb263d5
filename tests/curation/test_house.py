"""The house: who may import whom, and what curation does without."""

from __future__ import annotations

import ast
import subprocess
import sys
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[2]
HEAVY = ("torch", "diffusers", "transformers")


def _modules(package: str) -> list[Path]:
    return sorted((ROOT / package).rglob("*.py"))


def _imports(path: Path, *, top_level: bool = False) -> set[str]:
    tree = ast.parse(path.read_text())
    nodes = tree.body if top_level else list(ast.walk(tree))
    found = set()
    for node in nodes:
        if isinstance(node, ast.Import):
            found |= {alias.name for alias in node.names}
        elif isinstance(node, ast.ImportFrom) and node.module:
            found |= {node.module} | {f"{node.module}.{alias.name}" for alias in node.names}
    return found


def _reaches(imports: set[str], package: str) -> bool:
    return any(name == package or name.startswith(f"{package}.") for name in imports)


@pytest.mark.parametrize("path", _modules("curation") + _modules("training"), ids=lambda p: str(p.relative_to(ROOT)))
def test_only_two_files_import_ray_and_only_when_they_need_it(path: Path) -> None:
    """What gives out units of curation, and what launches trainings on Ray Train; torchrun needs no Ray."""
    launchers = (ROOT / "curation/engine.py", ROOT / "training/engine/launch_ray.py")
    assert not _reaches(_imports(path, top_level=path in launchers), "ray")


@pytest.mark.parametrize("path", _modules("curation/video"), ids=lambda p: p.name)
def test_video_knows_nothing_of_the_rooms_above(path: Path) -> None:
    for name in _imports(path):
        assert not name.startswith("curation.") or name.startswith("curation.video"), name


@pytest.mark.parametrize("path", _modules("curation/models"), ids=lambda p: p.name)
def test_models_know_their_recipe_and_themselves_alone(path: Path) -> None:
    allowed = ("curation.models", "curation.recipe", "curation.errors")
    for name in _imports(path):
        assert not name.startswith("curation.") or name.startswith(allowed), name


@pytest.mark.parametrize("path", _modules("curation/phases"), ids=lambda p: p.name)
def test_phases_know_nothing_of_what_runs_them(path: Path) -> None:
    above = ("engine", "run", "plan", "cli", "work", "progress", "verify", "events")
    imports = _imports(path)
    for name in above:
        assert not _reaches(imports, f"curation.{name}"), name


def test_a_plan_knows_nothing_of_who_carries_it_out() -> None:
    imports = _imports(ROOT / "curation" / "plan.py")
    for name in ("engine", "run", "cli", "progress", "verify", "events"):
        assert not _reaches(imports, f"curation.{name}"), name


@pytest.mark.parametrize("path", _modules("training"), ids=lambda p: str(p.relative_to(ROOT)))
def test_training_takes_only_the_contract_from_curation(path: Path) -> None:
    shared = {"curation.tables", "curation.store", "curation.validate", "curation.errors", "curation.ranges"}
    for name in _imports(path):
        if name.startswith("curation."):
            assert any(name == module or name.startswith(f"{module}.") for module in shared), name


@pytest.mark.parametrize("path", _modules("curation"), ids=lambda p: str(p.relative_to(ROOT)))
def test_curation_imports_no_heavy_library_at_module_level(path: Path) -> None:
    for library in HEAVY:
        assert not _reaches(_imports(path, top_level=True), library)


def test_curation_runs_where_torch_cannot_be_imported() -> None:
    blocked = "; ".join(f"sys.modules[{library!r}] = None" for library in HEAVY)
    code = f"import sys; {blocked}; import curation.run, curation.verify, curation.work, curation.cli"
    subprocess.run([sys.executable, "-c", code], check=True, cwd=ROOT)


def test_workers_load_neither_torch_nor_what_other_phases_need() -> None:
    code = (
        "import sys; from curation.work import PHASES; [PHASES[name] for name in ('split', 'cut', 'shard')]\n"
        "loaded = {'torch', 'matplotlib', 'scenedetect', 'rich', 'typer', 'ray'} & set(sys.modules)\n"
        "assert not loaded, loaded"
    )
    subprocess.run([sys.executable, "-c", code], check=True, cwd=ROOT)
