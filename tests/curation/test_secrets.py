"""Credentials stay with whoever gave them: no output and no message holds one, and signing anew changes nothing."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pyarrow.parquet as pq
import pytest

from curation import recipe
from curation.addresses import open_columns, publishable, scrubbed
from curation.phases import ingest
from curation.recipe import Recipe
from curation.store import Place
from tests import films
from tests.conftest import SETTINGS, Reelmill, samples
from tests.films import BLUE, RED, Scene
from tests.servers import FileServer

SECRETS = ("first-signature", "second-signature", "third-signature", "pass-word", "cookie-jar", "link-signature")


def _told(out: Path) -> str:
    """Everything that an output says, unpacked."""
    told = []
    for path in sorted(path for path in out.rglob("*") if path.is_file()):
        if path.suffix == ".parquet":
            table = pq.read_table(path)
            told.append(f"{path.name} {table.schema.metadata} {table.to_pylist()}")
        else:
            told.append(f"{path.name} {path.read_bytes()!r}")
    return "\n".join(told)


def test_source_signed_anew_is_the_same_and_no_signature_is_kept(tmp_path: Path, reelmill: Reelmill) -> None:
    """The first run splits and its signature expires; the second cuts with its own; to the third nothing is new."""
    film = films.write(tmp_path / "film.mp4", [Scene(40, RED), Scene(40, BLUE)]).read_bytes()
    out = tmp_path / "out"
    with FileServer(film) as server:
        host = server.url.removeprefix("http://")

        def run(command: str, signature: str) -> str:
            server.allowed = lambda address: f"X-Amz-Signature={signature}" in address
            signed = f"http://user:pass-word@{host}/%s.mp4?id=7&X-Amz-Signature={signature}"
            more = "https://elsewhere/a?token=link-signature"
            (tmp_path / "films.csv").write_text(f"uri,cookie,page\n{signed % 'one'},cookie-jar,{more}\n")
            (tmp_path / "films.yaml").write_text(
                f"name: films\nsources: [{{files: {tmp_path}/films.csv}}, {{files: '{signed % 'two'}'}}]\n"
            )
            done = reelmill(command, tmp_path / "films.yaml", "--out", out, *SETTINGS)
            assert done.returncode == 0, done.stderr
            return done.stdout + done.stderr

        told = run("ingest", "first-signature") + run("split", "first-signature")
        told += run("curate", "second-signature")
        assert len(samples(out)) == 4
        again = run("curate", "third-signature")
        assert "nothing to do" in again
    told += again + _told(out)
    assert not [secret for secret in SECRETS if secret in told]
    assert {row["source_id"] for row in samples(out)} == {f"{server.url}/{name}.mp4?id=7" for name in ("one", "two")}
    assert json.loads(samples(out)[0]["meta"] or samples(out)[1]["meta"] or "{}").keys() <= {"cookie", "page"}


@pytest.mark.parametrize(
    ("address", "open_"),
    [
        ("https://user:word@host/a.mp4", "https://host/a.mp4"),
        ("https://host/a.mp4?X-Amz-Date=1&X-Amz-Signature=2&part=3", "https://host/a.mp4?part=3"),
        ("https://host/a.mp4?GoogleAccessId=me&Expires=1&Signature=2", "https://host/a.mp4"),
        ("https://host/a.mp4?sv=2022&st=1&se=2&sr=b&sp=r&skoid=3&sig=4", "https://host/a.mp4"),
        ("https://host/a.mp4?Policy=1&Key-Pair-Id=2", "https://host/a.mp4"),
        ("https://host/exp=1~acl=*~hmac=2/a.mp4", "https://host/a.mp4"),
        ("https://host/a.mp4?t=eyJhbGci.eyJzdWIi.c2ln", "https://host/a.mp4"),
        ("https://host/watch?v=abc&t=3#x", "https://host/watch?v=abc&t=3#x"),
        ("https://host/a.mp4?", "https://host/a.mp4?"),
        ("s3://bucket/key=1/a?b#c.mp4", "s3://bucket/key=1/a?b#c.mp4"),
        ("/films/a?token=b.mp4", "/films/a?token=b.mp4"),
    ],
)
def test_what_is_left_of_an_address_names_the_file(address: str, open_: str) -> None:
    assert publishable(address) == open_
    assert publishable(open_) == open_


def test_texts_and_columns_are_kept_but_for_their_secrets() -> None:
    text = "at https://user:word@host/a?token=b and https://host/c"
    assert scrubbed({"a": [text, 1]}) == {"a": ["at https://host/a and https://host/c", 1]}
    given: dict[str, Any] = {"access_token": "a", "Cookie": "b", "deep": {"password": "c", "url": "http://d?sig=e"}}
    plain = {"keywords": "f", "author": "g", "tokens": 3, "key": "h", "time_signature": "4/4"}
    withheld = {
        "access_token": "(withheld)",
        "Cookie": "(withheld)",
        "deep": {"password": "(withheld)", "url": "http://d"},
    }
    assert open_columns(given | plain) == withheld | plain


def _listed(folder: Path, table: str) -> tuple[list[dict[str, Any]], dict[str, str]]:
    (folder / "t.csv").write_text(table)
    made = Recipe.model_validate({"name": "t", "sources": [{"files": [str(folder / "t.csv")]}]})
    return ingest.withheld(ingest.listing(made)[0])


def test_addresses_that_differ_in_a_credential_alone_are_one_source_unless_they_have_ids(tmp_path: Path) -> None:
    rows, addresses = _listed(tmp_path, "uri\nhttp://h/get?key=one\nhttp://h/get?key=two\n")
    assert [row["error"] for row in rows] == [
        None,
        "repeated: listed before, but for what looks like a credential; if it is another file, give them ids",
    ]
    rows, addresses = _listed(tmp_path, "id,uri\na,http://h/get?key=one\nb,http://h/get?key=two\n")
    assert [(row["source_id"], row["uri"], row["error"]) for row in rows] == [
        ("a", "http://h/get", None),
        ("b", "http://h/get", None),
    ]
    assert addresses == {"a": "http://h/get?key=one", "b": "http://h/get?key=two"}


def test_recipe_of_an_output_and_its_hash_know_no_signature() -> None:
    def signed(signature: str) -> Recipe:
        head = f"https://host/head.pth?Signature={signature}"
        return Recipe.model_validate(
            {
                "name": "t",
                "sources": [{"files": [f"https://host/a.csv?sig={signature}"]}],
                "score": {"aesthetic": {"head": head, "model": "ViT-B-32", "pretrained": "openai"}},
            }
        )

    assert recipe.published(signed("one")) == recipe.published(signed("two"))
    assert recipe.hash_of(signed("one")) == recipe.hash_of(signed("two"))


def test_a_place_names_itself_without_credentials() -> None:
    assert Place("http://user:word@host/out").url("a/b") == "http://host/out/a/b"
