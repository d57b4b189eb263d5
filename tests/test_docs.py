"""The documents say what the code does."""

from __future__ import annotations

import re
from pathlib import Path

from curation import recipe, tables, validate
from curation.phases.score import measures

ROOT = Path(__file__).parents[1]


def test_every_field_of_every_table_is_documented_with_its_unit() -> None:
    text = (ROOT / "docs" / "data.md").read_text()
    every = ["technical={}", "text_overlay={}", "categories={}", "aesthetic={head: h.pth}"]
    scores = measures(recipe.load(str(ROOT), [f"score.{setting}" for setting in every]))
    schemas = [tables.INPUTS, tables.SOURCES, tables.CLIPS, scores, tables.ANSWERS, tables.CAPTIONS]
    schemas += [tables.SELECTION, tables.SAMPLES]
    for schema in schemas:
        for field in schema:
            unit, doc = field.metadata[b"unit"].decode(), field.metadata[b"doc"].decode()
            row = re.escape(f"| `{field.name}`") + r"( \?)? \| [^|]+ \| " + re.escape(f"{unit} | {doc} |")
            assert re.search(row, text), f"docs/data.md lacks {field.name}: {unit}: {doc}"


def test_links_of_the_documents_lead_somewhere() -> None:
    for document in [ROOT / "README.md", *(ROOT / "docs").glob("*.md")]:
        text = document.read_text()
        for link in re.findall(r"\]\(([^)#]+)\)", text) + re.findall(r'(?:src|srcset)="([^"]+)"', text):
            if not link.startswith("http"):
                assert (document.parent / link).exists(), f"{document.name}: {link}"


def test_manifest_in_the_readme_is_a_valid_one(tmp_path: Path) -> None:
    blocks = re.findall(r"```yaml\n(.*?)```", (ROOT / "README.md").read_text(), re.DOTALL)
    assert blocks
    for block in blocks:
        path = tmp_path / "m.yaml"
        path.write_text(block)
        recipe.load(str(path))


def test_shipped_manifests_and_recipes_are_valid() -> None:
    from training.recipe import Recipe

    for manifest in (ROOT / "manifests").glob("*.yaml"):
        recipe.load(str(manifest))
    for path in (ROOT / "training" / "recipes").glob("*.yaml"):
        validate.load(path, Recipe, [] if "url:" in path.read_text() else ["data.url=manifest.json"])
