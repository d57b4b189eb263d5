"""Everything that a manifest names becomes a row, once, whatever kind of list it stands in."""

from __future__ import annotations

import json
import os
from collections.abc import Callable
from pathlib import Path

import pyarrow as pa
import pyarrow.parquet as pq
import pytest

from curation import recipe, validate
from curation.errors import UserError
from curation.phases import ingest
from curation.recipe import Recipe

WEBVID = [
    {"videoid": "1", "contentUrl": "a.mp4", "name": "a red balloon rises", "page_dir": "Travel", "duration": "PT10S"},
    {"videoid": "2", "contentUrl": "https://host/b.mp4", "name": "waves, at night", "page_dir": "", "duration": ""},
]
COLUMNS = {"uri": "contentUrl", "id": "videoid", "caption": "name", "category": "page_dir"}


def _recipe(*sources: dict) -> Recipe:
    return validate.parse({"name": "test", "sources": list(sources)}, Recipe)


def _write(folder: Path, kind: str) -> Path:
    path = folder / f"table.{kind}"
    if kind == "jsonl":
        path.write_text("".join(json.dumps(row) + "\n" for row in WEBVID))
    elif kind == "parquet":
        pq.write_table(pa.Table.from_pylist(WEBVID), path)
    else:
        tab = "\t" if kind == "tsv" else ","
        lines = [tab.join(WEBVID[0])] + [tab.join(f'"{value}"' for value in row.values()) for row in WEBVID]
        path.write_text("\n".join(lines) + "\n")
    return path


@pytest.mark.parametrize("kind", ["csv", "tsv", "jsonl", "parquet"])
def test_every_kind_of_table_gives_the_same_rows(tmp_path: Path, kind: str) -> None:
    rows, _ = ingest.listing(_recipe({"files": str(_write(tmp_path, kind)), "columns": COLUMNS, "licence": "CC-BY"}))
    assert [row["source_id"] for row in rows] == ["1", "2"]
    assert [row["uri"] for row in rows] == [str(tmp_path / "a.mp4"), "https://host/b.mp4"]
    assert [row["caption"] for row in rows] == ["a red balloon rises", "waves, at night"]
    assert [row["category"] for row in rows] == ["Travel", None]
    assert [row["licence"] for row in rows] == ["CC-BY", "CC-BY"]
    assert json.loads(rows[0]["meta"]) == {"duration": "PT10S"}


def test_table_over_http_names_media_relative_to_itself(tmp_path: Path, serve: Callable[[Path], str]) -> None:
    _write(tmp_path, "csv")
    url = f"{serve(tmp_path)}/table.csv"
    rows, _ = ingest.listing(_recipe({"files": url, "columns": COLUMNS}))
    assert rows[0]["uri"] == url.replace("table.csv", "a.mp4")


def test_remote_table_cannot_name_files_of_this_machine(tmp_path: Path, serve: Callable[[Path], str]) -> None:
    (tmp_path / "t.csv").write_text("uri\n/etc/passwd\nfile:///etc/passwd\n../../etc/passwd\n")
    url = serve(tmp_path)
    rows, _ = ingest.listing(_recipe({"files": f"{url}/t.csv"}))
    assert rows[0]["uri"] == f"{url}/etc/passwd"
    assert "file:// is not read" in rows[1]["error"]
    assert rows[2]["uri"] == f"{url}/etc/passwd"


def test_folder_and_glob_list_media_and_count_the_rest(tmp_path: Path) -> None:
    for name in ("b.mp4", "a.MKV", "sub/c.webm", "notes.txt", "a.srt"):
        (tmp_path / name).parent.mkdir(exist_ok=True)
        (tmp_path / name).write_bytes(b"x")
    rows, passed_over = ingest.listing(_recipe({"files": str(tmp_path)}))
    assert [row["source_id"] for row in rows] == ["a.MKV", "b.mp4", "sub/c.webm"]
    assert passed_over == 2
    rows, _ = ingest.listing(_recipe({"files": f"{tmp_path}/*.mp4"}))
    assert [row["source_id"] for row in rows] == ["b.mp4"]
    rows, _ = ingest.listing(_recipe({"files": f"{tmp_path}/**/*.webm"}))
    assert [row["source_id"] for row in rows] == ["sub/c.webm"]


def test_ids_do_not_depend_on_where_the_folder_lies(tmp_path: Path) -> None:
    for place in ("one", "two"):
        (tmp_path / place).mkdir()
        (tmp_path / place / "a.mp4").write_bytes(b"x")
    first, second = (ingest.listing(_recipe({"files": str(tmp_path / place)}))[0] for place in ("one", "two"))
    assert [row["source_id"] for row in first] == [row["source_id"] for row in second]


def test_same_name_in_two_folders_gives_two_sources(tmp_path: Path) -> None:
    for place in ("one", "two"):
        (tmp_path / place).mkdir()
        (tmp_path / place / "a.mp4").write_bytes(b"x")
    rows, _ = ingest.listing(_recipe({"files": [str(tmp_path / "one"), str(tmp_path / "two")]}))
    assert len({row["source_id"] for row in rows}) == 2
    assert all(row["error"] is None for row in rows)


def test_repeated_and_empty_rows_are_kept_as_failed(tmp_path: Path) -> None:
    (tmp_path / "t.csv").write_text("id,uri\n7,a.mp4\n7,a.mp4\n7,b.mp4\n8,\n,c.mp4\n")
    rows, _ = ingest.listing(_recipe({"files": str(tmp_path / "t.csv"), "columns": {"id": "id"}}))
    assert len({row["source_id"] for row in rows}) == 5
    assert rows[0]["error"] is None
    assert "listed before" in rows[1]["error"]
    assert "its id belongs to" in rows[2]["error"]
    assert rows[3]["error"] == "no address in this row"
    assert rows[4]["source_id"] == str(tmp_path / "c.mp4")


@pytest.mark.parametrize(
    ("content", "columns", "expected"),
    [
        ("id,contentUrl\n1,a.mp4\n", {"uri": "contentURL"}, "did you mean 'contentUrl'?"),
        ("id,contentUrl\n1,a.mp4\n", None, "no column 'uri'"),
        ("", None, "its columns are: none"),
        ("uri,name,name\na.mp4,x,y\n", None, "'name' stands in it twice"),
        ('uri\n"a.mp4\n', None, "not a readable csv table"),
    ],
)
def test_wrong_table_is_one_line(tmp_path: Path, content: str, columns: dict | None, expected: str) -> None:
    (tmp_path / "t.csv").write_text(content)
    source = {"files": str(tmp_path / "t.csv")} | ({"columns": columns} if columns else {})
    with pytest.raises(UserError) as raised:
        ingest.listing(_recipe(source))
    assert expected in str(raised.value)
    assert "\n" not in str(raised.value)


def test_units_are_fixed_by_the_listing_alone(tmp_path: Path) -> None:
    from curation import parts
    from curation.store import Place

    for number in range(5):
        (tmp_path / f"{number}.mp4").write_bytes(b"x")
    config = validate.parse({"name": "t", "sources": [{"files": str(tmp_path)}], "ingest": {"unit": 2}}, Recipe)
    out = Place(tmp_path / "out")
    assert ingest.commit(out, config, ingest.listing(config)[0]) == 3
    assert [out.table(parts.path("inputs", unit)).num_rows for unit in range(3)] == [2, 2, 1]
    assert recipe.Ingest().unit is None


def test_odd_cells_cost_their_own_row(tmp_path: Path) -> None:
    table = tmp_path / "t.csv"
    table.write_bytes(
        b"uri,caption\na.mp4,\xe9t\xe9\nb.mp4,fine,EXTRA,MORE\nc.mp4,"
        + b"x" * 5_000_000
        + b"\nHTTP://[,bad\nd.mp4,good\n"
    )
    rows, _ = ingest.listing(_recipe({"files": str(table), "columns": {"caption": "caption"}}))
    assert [row["error"] for row in rows] == [
        "caption is not valid UTF-8",
        "the row has more cells than the header",
        None,
        None,
        None,
    ]
    assert len(rows[2]["caption"]) == 5_000_000
    assert rows[1]["licence"] is rows[1]["category"] is None


def test_file_name_that_is_no_text_costs_its_own_row(tmp_path: Path) -> None:
    (tmp_path / "fine.mp4").write_bytes(b"x")
    with open(os.fsencode(tmp_path) + b"/\xff.mp4", "wb") as file:
        file.write(b"x")
    rows, _ = ingest.listing(_recipe({"files": str(tmp_path)}))
    assert {row["source_id"]: row["error"] for row in rows} == {
        "fine.mp4": None,
        "\\udcff.mp4": "uri is not valid UTF-8",
    }


def test_linked_folders_and_names_like_patterns_are_listed(tmp_path: Path) -> None:
    real, listed = tmp_path / "real", tmp_path / "b [2020]"
    real.mkdir()
    listed.mkdir()
    (real / "a.mp4").write_bytes(b"x")
    (listed / "b.mp4").write_bytes(b"x")
    (listed / "link").symlink_to(real)
    (real / "back").symlink_to(listed)
    rows, _ = ingest.listing(_recipe({"files": str(listed)}))
    assert [row["source_id"] for row in rows] == ["b.mp4", "link/a.mp4"]


def test_credentials_in_an_address_do_not_become_the_id(tmp_path: Path) -> None:
    (tmp_path / "t.csv").write_text("uri\nhttps://me:word@host/a.mp4?id=5&X-Amz-Signature=abc\n")
    rows, _ = ingest.listing(_recipe({"files": str(tmp_path / "t.csv")}))
    assert rows[0]["source_id"] == "https://host/a.mp4?id=5"
    assert "Signature" in rows[0]["uri"]
