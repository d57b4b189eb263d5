"""`reelmill report OUT`: the page of an output alone, wherever it lies."""

from __future__ import annotations

import shutil
from collections.abc import Callable
from pathlib import Path

import pytest

from curation import reporting
from curation.errors import UserError
from curation.phases import report
from curation.store import Place
from tests.conftest import Reelmill


@pytest.fixture(scope="module")
def page(dataset: Path) -> bytes:
    return (dataset / report.PAGE).read_bytes()


def test_a_page_made_anew_is_the_one_that_curate_wrote(dataset: Path, page: bytes, tmp_path: Path) -> None:
    out = shutil.copytree(dataset, tmp_path / "out")
    made_of = report.fingerprint_of(Place(out))
    shutil.rmtree(out / "report")
    where, size = reporting.report(str(out))
    found = Path(where).read_bytes()
    assert len(found) == size and report.of_tables(found) == report.of_tables(page)
    assert report.fingerprint_of(Place(out)) == made_of
    assert sorted(path.name for path in (out / "report").iterdir()) == sorted(Place(dataset).names("report"))


def test_an_output_behind_a_web_server(
    dataset: Path, page: bytes, serve: Callable[[Path], str], tmp_path: Path
) -> None:
    url = serve(dataset)
    with pytest.raises(UserError, match="--to"):
        reporting.report(url)
    reporting.report(url, str(tmp_path / "page.html"))
    assert report.of_tables((tmp_path / "page.html").read_bytes()) == report.of_tables(page)


def test_an_output_in_an_object_store(dataset: Path, page: bytes, bucket: str) -> None:
    import s3fs

    s3fs.S3FileSystem().put(str(dataset), f"{bucket}/out", recursive=True)
    reporting.report(f"{bucket}/out")
    assert report.of_tables(Place(f"{bucket}/out").read(report.PAGE)) == report.of_tables(page)


def test_the_command_takes_an_output_or_a_manifest(dataset: Path, reelmill: Reelmill, tmp_path: Path) -> None:
    done = reelmill("report", dataset, "--to", tmp_path / "page.html", "--set", "report.clips=1")
    assert done.returncode == 0 and "page.html" in done.stdout, done.stderr
    done = reelmill("report", tmp_path, "--to", tmp_path / "page.html")
    assert done.returncode == 2 and "no recipe.yaml" in done.stderr


def test_what_an_output_cannot_tell_is_refused(dataset: Path, tmp_path: Path) -> None:
    with pytest.raises(UserError, match="only keys of report"):
        reporting.report(str(dataset), None, ["split.speed=fast"])
    out = tmp_path / "unfinished"
    out.mkdir()
    shutil.copy(dataset / "recipe.yaml", out)
    with pytest.raises(UserError, match="no ledger"):
        reporting.report(str(out))
