"""`ray.data` on a real local cluster makes the rows of one process, also when an actor is killed."""

import json
import logging
import os
import re
import signal
import warnings
from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest

from facecheck.checker import FaceChecker
from facecheck.error_rates import Budget, ChanceOfError, Quality, Stability
from facecheck.provenance import Claim, Finding, Provenance, Strength
from facecheck.result import Face, ModelInfo, Prediction, Reason, Verdict
from facecheck.scan import dataset
from facecheck.scan.dataset import JudgeBatch, fetched, judged
from facecheck.scan.rows import Candidate, Judge, Settings, model_info, row_of
from facecheck.scan.tables import schema, table
from facecheck.settings import CheckerSettings

pa = pytest.importorskip("pyarrow", reason="needs pyarrow")
parquet = pytest.importorskip("pyarrow.parquet", reason="needs pyarrow")
PAGE = (Path(__file__).parents[3] / "docs" / "scale.md").read_text()
FULL_FACE = Face(
    box=(0.0, 1.0, 2.0, 3.0),
    landmarks=((1.0, 2.0),) * 5,
    confidence=0.5,
    p_fake=0.25,
    verdict=Verdict.REAL,
    reasons=(Reason.BORDERLINE,),
    stability=Stability((0.1, 0.2), ("JPEG quality 75", "half"), 0.1, 0.25, flips=False),
    quality=Quality(face_px=2.0, sharpness=3.0, blockiness=1.0, outside=0.5),
    expected_error=ChanceOfError(0.1, 0.05, 0.2, 0.5, 30, 7),
)
FINDING = Finding("text", Strength.DECLARED, "It says so.", Claim.GENERATED, {"prompt": "a face", "odd name": "\u00e9"})
FULL = Prediction(
    source="/a.png",
    size=(9, 8),
    faces=(FULL_FACE, replace(FULL_FACE, stability=None, expected_error=None)),
    model=ModelInfo("tiny", "0", "x"),
    budget=Budget(0.01, 0.9, 0.8, 0.7, 0.85),
    provenance=Provenance("PNG", (FINDING,), ("a problem",)),
)
TRACK = {"from_s": 0.0, "to_s": 1.0, "at_s": 0.5, "samples": 2, "judged": 1, "p_fake_low": 0.1, "p_fake_high": 0.4}
CLIP = {"every_s": 1.0, "duration_s": 2.0, "fps": 25.0, "frames": 50, "complete": False, "unseen_s": 3.5}
CLIP |= {"stopped": "max_seconds", "samples": 2, "people": 1, "tracks": [TRACK]}


def mortal() -> type[JudgeBatch]:
    """A class that kills its process in the middle of a run, the first time; made here, so that Ray sends its code."""

    class DiesOnce(JudgeBatch):
        def __call__(self, files: Any) -> Any:
            rows = super().__call__(files)
            for path in map(Path, files["path"].to_pylist()):
                if path.name == "17.png" and not (mark := path.with_name(".died")).exists():
                    mark.touch()
                    os.kill(os.getpid(), signal.SIGKILL)
            return rows

    return DiesOnce


def as_json(row: dict[str, Any]) -> dict[str, Any]:
    return json.loads(json.dumps(row))


def back(rows: Any) -> list[dict[str, Any]]:
    return rows.to_pylist(maps_as_pydicts="strict")


def lasting(row: dict[str, Any], *also_left_out: str) -> dict[str, Any]:
    """What of a row is the same in every run; scores to four digits, for threads add up in another order."""
    kept = {name: value for name, value in row.items() if name not in ("timing_ms", "faces", *also_left_out)}
    places = [[round(edge, 1) for edge in face["box"]] for face in row["faces"]]
    return kept | {"p_fake": row["p_fake"] and round(row["p_fake"], 4), "places": places}


def judge_of(settings: Settings, checker: FaceChecker) -> JudgeBatch:
    """With the small model, in this process."""
    made = JudgeBatch(settings, None)
    made.judge = Judge(settings, lambda: checker)
    return made


@pytest.fixture
def matching(settings: Settings, checker: FaceChecker) -> Settings:
    """Settings of the small model in memory."""
    return replace(settings, model=replace(settings.model, sha256=checker.config.sha256))


def test_every_part_of_a_row_has_a_column():
    row = row_of(Candidate("/a.png", 5, 10**18 + 1), FULL, "ab" * 32, CLIP)
    assert back(table([row])) == [as_json(row)]
    error = row_of(Candidate("/b", None, None), Prediction("/b", model=FULL.model, error="gone"), None)
    assert back(table([error])) == [as_json(error)]
    assert table([error]).schema.equals(table([row]).schema)
    assert table([]).schema.equals(schema())


def test_bytes_give_the_row_of_their_file(folder, matching, checker):
    settings = replace(matching, sha256=True)
    judge = judge_of(settings, checker)
    paths = sorted(str(path) for path in folder.rglob("*") if path.is_file())
    from_paths = back(judge(pa.table({"path": paths, "more": [1] * len(paths)})))
    from_bytes = back(judge(fetched(pa.table({"path": paths}))))
    wanted = [as_json(row) for row in judge.judge.rows([judge.judge.read(Candidate.at(path)) for path in paths])]
    assert [lasting(row, "provenance") for row in from_paths] == [lasting(row, "provenance") for row in wanted]
    assert [lasting(row, "mtime_ns") for row in from_bytes] == [lasting(row, "mtime_ns") for row in from_paths]
    assert [row["verdict"] is None for row in wanted] == [path.endswith("notes.jpg") for path in paths]
    assert all(row["sha256"] for row in from_bytes)


def test_what_cannot_be_fetched_or_judged_is_a_row(tmp_path, folder, matching, checker, monkeypatch):
    (tmp_path / "clip.mp4").write_bytes(b"\0\0\0\x18ftypmp42" + bytes(600))
    (tmp_path / "large.bmp").write_bytes(bytes(2000))
    monkeypatch.setattr(dataset, "MAX_BYTES", 1000)
    monkeypatch.setattr("facecheck.image.MAX_BYTES", 1000)
    names = [tmp_path / "clip.mp4", tmp_path / "large.bmp", tmp_path / "gone.jpg", tmp_path, "nowhere://bucket/a.jpg"]
    files = fetched(pa.table({"path": [str(name) for name in names]}))
    assert max(len(data or b"") for data in files["bytes"].to_pylist()) == 1001
    rows = back(judge_of(matching, checker)(files))
    for row, told in zip(rows, ("a video", "more than 1000 bytes", *["cannot be fetched"] * 3), strict=True):
        assert told in row["error"]
        assert row["error"].startswith(row["path"])
        assert row["verdict"] is None


def test_addresses_keep_odd_names(tmp_path):
    odd = tmp_path / "100% a#b?c=d \u00e9.jpg"
    odd.write_bytes(b"x")
    files = fetched(pa.table({"path": [str(odd), f"file://{odd}"]}))
    assert files["bytes"].to_pylist() == [b"x", b"x"]


@pytest.fixture(scope="module")
def local_ray(ray_alone: None) -> Iterator[Any]:
    """A cluster of this machine alone."""
    ray = pytest.importorskip("ray", reason="needs Ray")
    pytest.importorskip("ray.data", reason="needs ray[data]")
    ray.init(num_cpus=3, include_dashboard=False, log_to_driver=False, logging_level=logging.ERROR)
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")  # Ray's own
        ray.data.DataContext.get_current().enable_progress_bars = False
    yield ray
    ray.shutdown()


@pytest.mark.slow
@pytest.mark.filterwarnings("ignore")  # Ray's own, from its threads
def test_a_killed_actor_loses_and_doubles_nothing(local_ray, folder, portrait, default_checker, monkeypatch):
    for number in range(30):
        portrait.resize((48, 48)).rotate(number).save(folder / f"{number}.png")
    paths = sorted(str(path) for path in folder.rglob("*") if path.is_file())
    settings = Settings(model_info(None))
    monkeypatch.setattr(dataset, "BLOCK_FILES", 12)
    monkeypatch.setattr(dataset, "JudgeBatch", mortal())
    files = local_ray.data.from_items([{"path": path} for path in paths])
    judged(files, settings, CheckerSettings(device="cpu"), actors=2).write_parquet(str(folder / "rows"))
    assert (folder / ".died").exists()
    found = back(parquet.read_table(folder / "rows"))
    judge = Judge(settings, lambda: default_checker)
    wanted = [as_json(row) for path in paths for row in judge.judged([Candidate.at(path)])]
    assert sorted(row["path"] for row in found) == paths
    assert {row["path"]: lasting(row, "provenance") for row in found} == {
        row["path"]: lasting(row, "provenance") for row in wanted
    }


@pytest.mark.filterwarnings("ignore:.*ray")
def test_a_pool_that_would_wait_forever_is_told(local_ray, settings):
    files = local_ray.data.from_items([{"path": "/a"}])
    with pytest.warns(UserWarning, match="3 actors take all 3 processors"):
        judged(files, settings, actors=3)


@pytest.mark.slow
@pytest.mark.filterwarnings("ignore")  # Ray's own, from its threads
def test_the_examples_of_the_page(local_ray, folder):
    here, names = folder.parent, folder.parent / "names"
    blocks = [block.replace("/shared", str(here)) for block in re.findall(r"```python\n(.*?)```", PAGE, re.DOTALL)]
    names.mkdir()
    for part, members in {"a": ("a.jpg", "wall.png"), "b": ("more/b.png", "gone.jpg")}.items():
        parquet.write_table(
            pa.table({"path": [f"file://{folder / name}" for name in members]}), names / f"{part}.parquet"
        )
    variables: dict[str, Any] = {}
    exec(blocks[0], variables)
    judged_paths = sorted(row["path"] for row in back(parquet.read_table(here / "rows")))
    assert judged_paths == [str(folder / "a.jpg"), str(folder / "notes.jpg")]
    exec(blocks[1], variables)
    found = {Path(row["path"]).name: row["verdict"] for row in back(parquet.read_table(here / "stored"))}
    assert found.keys() == {"a.jpg", "wall.png", "b.png", "gone.jpg"}
    assert [name for name, verdict in found.items() if verdict is None] == ["gone.jpg"]
    first = parquet.read_table(here / "stored" / "a")
    (here / "stored" / "b" / "_DONE").unlink()
    exec(blocks[1], variables)
    assert parquet.read_table(here / "stored" / "a").equals(first)
    assert parquet.read_table(here / "stored").num_rows == 4
