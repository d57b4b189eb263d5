"""The shipped manifests read their datasets' tables as these are published, quirks and all."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pyarrow as pa
import pyarrow.parquet as pq
import pytest

from curation import parts
from curation.errors import UserError
from curation.phases import ingest
from curation.plan import SELECTION, Plan
from curation.recipe import Recipe, load
from curation.store import Place, parquet
from curation.tables import Row
from curation.work import perform
from tests import films
from tests.films import BLUE, GREEN, GREY, RED, Scene

MANIFESTS = Path(__file__).parents[2] / "manifests"
COLOURS = (RED, BLUE, GREEN, GREY)


def _named(name: str, files: Path, *settings: str) -> Recipe:
    return load(str(MANIFESTS / f"{name}.yaml"), [f"sources.0.files={files}", *settings])


def _rows(recipe: Recipe) -> list[Row]:
    return ingest.listing(recipe)[0]


def _curated(recipe: Recipe, out: Place) -> Plan:
    """The output up to the selection, unit by unit in this process."""
    plan = Plan(recipe, out)
    stored, plan.addresses = ingest.withheld(_rows(recipe))
    ingest.commit(out, recipe, stored)
    text = recipe.model_dump_json(by_alias=True)
    for phase in ("split", "score", "caption"):
        for unit in getattr(plan, f"{phase}_units")():
            perform(phase, text, out.root, unit)
    out.commit(SELECTION, parquet(plan.selection(captioned=True)))
    return plan


@pytest.fixture(scope="module")
def tube(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Downloaded films by their ids, one of them with an id that begins with a dash."""
    folder = tmp_path_factory.mktemp("tube")
    films.write(folder / "-aB_3dE5fG7.mp4", [Scene(48, COLOURS[at % 4]) for at in range(4)], rate=24)
    films.write(folder / "zzzzzzzzzzz.mkv", [Scene(40, RED)], rate=25)
    return folder


def test_webvid_rows_are_clips_with_their_captions(tmp_path: Path) -> None:
    table = tmp_path / "results_10M_train.csv"
    table.write_text(
        "videoid,contentUrl,duration,page_dir,name\n"
        '1066674784,https://example.org/a/preview/a.mp4,PT00H00M20S,006001_006050,"Aerial, a ""bay"" at dusk"\n'
        "1025417339,https://example.org/b/preview/b.mp4,PT00H00M10S,006001_006050,Lonely beautiful woman\n",
        encoding="utf-8",
    )
    first, second = _rows(_named("webvid10m", table))
    assert (first["source_id"], first["caption"]) == ("1066674784", 'Aerial, a "bay" at dusk')
    assert json.loads(first["meta"]) == {"duration": "PT00H00M20S", "page_dir": "006001_006050"}
    assert second["uri"] == "https://example.org/b/preview/b.mp4"


PANDA = (
    "videoID,url,timestamp,caption,matching_score,desirable_filtering,shot_boundary_detection\n"
    "-aB_3dE5fG7,https://www.youtube.com/watch?v=-aB_3dE5fG7,"
    "\"[['0:00:00.000', '0:00:02.000'], ['0:00:04.000', '0:00:06.000'], ['0:01:00.000', '0:01:09.000']]\","
    '"[\'It is a red wall.\', ""A woman\'s green wall is shown."", \'Nothing of it is there.\']",'
    "\"[0.48, 0.51, 0.44]\",\"['desirable', 'desirable', '2_static_foreground_video']\","
    "\"[[['0:00:00.000', '0:00:02.000']], [['0:00:00.000', '0:00:02.000']], []]\"\n"
    "goneGoneGon,https://www.youtube.com/watch?v=goneGoneGon,\"[['0:00:01.000', '0:00:02.000']]\",\"['A gone film.']\","
    "[0.5],['desirable'],[]\n"
    "zzzzzzzzzzz,https://www.youtube.com/watch?v=zzzzzzzzzzz,\"[['0:00:01.000', '0:00:02.000']]\",[],[],[],[]\n"
)


def test_panda_ranges_are_scenes_and_each_has_its_own_caption(tube: Path, tmp_path: Path) -> None:
    table = tmp_path / "panda70m_validation.csv"
    table.write_text(PANDA)
    recipe = _named("panda70m", table, f"sources.0.media={tube}", "select.rules.2.min=100")
    out = Place(tmp_path / "out")
    _curated(recipe, out)
    by_id = {row["source_id"]: row for row in parts.read(out, "sources").to_pylist()}
    film = by_id["-aB_3dE5fG7"]
    assert film["warning"] == "1 of 3 given ranges hold no frame of the film"
    assert json.loads(film["meta"])["matching_score"] == "[0.48, 0.51, 0.44]"
    assert by_id["goneGoneGon"]["error"] == f"no file of that name in {tube}"
    assert by_id["zzzzzzzzzzz"]["error"] == "1 ranges and 0 captions"
    clips = parts.read(out, "clips").to_pylist()
    assert [(clip["kind"], clip["frames"]) for clip in clips] == [
        ("scene", 48), ("outside", 48), ("scene", 48), ("outside", 48)
    ]  # fmt: skip
    assert sum(clip["frames"] + clip["trimmed"] for clip in clips) == film["frames"] == 192
    captions = {row["clip_id"]: row["caption"] for row in parts.read(out, "captions").to_pylist()}
    assert [captions.get(clip["clip_id"]) for clip in clips] == [
        "It is a red wall.", None, "A woman's green wall is shown.", None
    ]  # fmt: skip
    decided = {row["clip_id"]: row["drop_reasons"] for row in out.table(SELECTION).to_pylist()}
    assert [decided[clip["clip_id"]][:1] for clip in clips] == [[], ["kind is outside"], [], ["kind is outside"]]


INTERNVID: list[dict[str, Any]] = [
    {"YoutubeID": "-aB_3dE5fG7", "Start_timestamp": "00:00:06.000", "End_timestamp": "00:00:07.960",
     "Caption": "a grey wall", "Aesthetic_Score": 4.27, "UMT_Score": 0.4},
    {"YoutubeID": "zzzzzzzzzzz", "Start_timestamp": "00:00:00.000", "End_timestamp": "00:00:01.000",
     "Caption": "a red wall", "Aesthetic_Score": 5.1, "UMT_Score": 0.3},
    {"YoutubeID": "-aB_3dE5fG7", "Start_timestamp": "00:00:00.040", "End_timestamp": "00:00:01.960",
     "Caption": "another red wall", "Aesthetic_Score": 4.9, "UMT_Score": 0.5},
    {"YoutubeID": "-aB_3dE5fG7", "Start_timestamp": "00:00:03.000", "End_timestamp": "00:00:02.000",
     "Caption": "runs backwards", "Aesthetic_Score": 4.9, "UMT_Score": 0.5},
]  # fmt: skip


def test_internvid_rows_of_a_film_are_one_source_that_is_decoded_once(tube: Path, tmp_path: Path) -> None:
    table = tmp_path / "InternVid-10M-flt.jsonl"
    table.write_text("".join(json.dumps(row) + "\n" for row in INTERNVID))
    recipe = _named("internvid", table, f"sources.0.media={tube}", "select.rules.2.min=100", "split.trim_frames=2")
    first, second, wrong = _rows(recipe)
    assert [each["caption"] for each in first["ranges"]] == ["another red wall", "a grey wall"]
    assert json.loads(first["meta"]) == {"Aesthetic_Score": [4.9, 4.27], "UMT_Score": [0.5, 0.4]}
    assert second["uri"].endswith("zzzzzzzzzzz.mkv")
    assert wrong["error"].startswith("a range ends at 2 s and starts at 3 s")
    out = Place(tmp_path / "out")
    _curated(recipe, out)
    captions = {row["clip_id"]: row["caption"] for row in parts.read(out, "captions").to_pylist()}
    told = [
        (clip["source_id"], clip["frames"], captions.get(clip["clip_id"]))
        for clip in parts.read(out, "clips").to_pylist()
        if clip["kind"] == "scene"
    ]
    assert told == [
        ("-aB_3dE5fG7", 42, "another red wall"), ("-aB_3dE5fG7", 43, "a grey wall"), ("zzzzzzzzzzz", 21, "a red wall")
    ]  # fmt: skip


def test_openvid_names_files_in_folders_and_keeps_its_scores(tmp_path: Path) -> None:
    (tmp_path / "OpenVid_part0").mkdir()
    (tmp_path / "OpenVid_part0" / "celebv_--0hNVUl1jU_0.mp4").write_bytes(b"")
    table = tmp_path / "OpenVid-1M.csv"
    table.write_text(
        "video,caption,aesthetic score,motion score,temporal consistency score,camera motion,frame,fps,seconds\n"
        '"celebv_--0hNVUl1jU_0.mp4","In the video, a woman sits, and talks.\nShe smiles.",'
        "5.04,0.36,0.998,static,256,29.97,8.54\n"
        "missing.mp4,A dog runs.,5.5,3.2,0.99,pan_left,120,30.0,4.0\n"
    )
    clip, missing = _rows(_named("openvid1m", table, f"sources.0.media={tmp_path}"))
    assert clip["uri"] == str(tmp_path / "OpenVid_part0" / "celebv_--0hNVUl1jU_0.mp4")
    assert clip["caption"] == "In the video, a woman sits, and talks.\nShe smiles."
    assert json.loads(clip["meta"])["camera motion"] == "static"
    assert missing["error"] == f"no file of that name in {tmp_path}"


def test_laion_rows_are_images_with_text_and_licence(tmp_path: Path) -> None:
    table = tmp_path / "part-00000.snappy.parquet"
    columns = {
        "SAMPLE_ID": pa.array([2499012020943, 2499012020944], pa.int64()),
        "URL": ["https://example.org/a.jpg", None],
        "TEXT": ["Cat on a mat", "nothing to fetch"],
        "HEIGHT": pa.array([525.0, None]),
        "WIDTH": pa.array([700.0, None]),
        "LICENSE": ["?", None],
        "NSFW": ["UNLIKELY", None],
        "similarity": [0.31, 0.29],
    }
    pq.write_table(pa.table(columns), table)
    image, empty = _rows(_named("laion", table))
    assert (image["kind"], image["caption"], image["licence"]) == ("image", "Cat on a mat", "?")
    assert json.loads(image["meta"])["WIDTH"] == 700.0
    assert empty["error"] == "no address in this row"
    aesthetic = tmp_path / "aesthetic.parquet"
    pq.write_table(pa.table({"URL": ["https://example.org/b.jpg"], "TEXT": ["b"], "aesthetic": [6.6]}), aesthetic)
    with pytest.raises(UserError, match="no column 'LICENSE'"):
        _rows(_named("laion", aesthetic))
    assert _rows(_named("laion", aesthetic, "sources.0.columns.licence=null"))[0]["caption"] == "b"


def test_vimeo25m_has_the_ten_categories_of_the_paper() -> None:
    recipe = load(str(MANIFESTS / "vimeo25m.yaml"))
    assert recipe.score.categories is not None
    assert len(recipe.score.categories.texts) == 10


@pytest.mark.parametrize(
    ("cell", "told"),
    [
        ("[['0:00:01', '0:00:0x']]", "is no time such as"),
        ("[['0:00:01']]", "a range is not a start and an end"),
        ("__import__('os').getcwd()", "is no list"),
        ("[[1, 2]", "is no list"),
        ("[[5, 2]]", "ends at 2 s and starts at 5 s"),
        ("[[" * 5000, "is no list"),
        (f"[{'-' * 5000}1]", "is no list"),
    ],
)
def test_bad_range_costs_its_own_row(tmp_path: Path, cell: str, told: str) -> None:
    table = tmp_path / "t.csv"
    table.write_text(f'videoID,timestamp,caption\na,"{cell}",\nb,"[[0, 1]]","[""fine""]"\n')
    (tmp_path / "b.mp4").write_bytes(b"")
    bad, good = _rows(_named("panda70m", table, f"sources.0.media={tmp_path}"))
    assert told in bad["error"]
    assert good["error"] is None
    assert good["ranges"] == [{"start_s": 0.0, "end_s": 1.0, "caption": "fine"}]
