"""Photos to faces, on two portraits and a cat: what is kept, what is dropped, and what a kill -9 leaves."""

import csv
import hashlib
import os
import signal
import subprocess
import sys
import time
from pathlib import Path

import numpy as np
import pytest
from click.testing import CliRunner
from PIL import Image

from facecheck import crop
from tests.conftest import SHARED
from tests.full_disk import no_room
from training.cli import main
from training.data import read_manifest
from training.faces import facecut, prepare
from training.faces.facecut import face_square
from training.faces.prepare import COLUMNS, PrepareConfig

WEIGHTS = SHARED.parent / "weights" / "inception_resnet_v1_vggface2.safetensors"
OURS = "file,label,source,generator,split,group,face_px,x0,y0,x1,y1,n_faces,orig_width,orig_height,orig_format,"
OURS += "orig_quality,recoded_quality,age,gender,ethnicity"


@pytest.fixture
def photos(tmp_path, grace, astronaut, cat) -> Path:
    """Two photographs (one twice, one near-duplicate), a cat, junk, a tiny face; fakes that come as PNG."""
    root = tmp_path / "photos"
    (root / "real").mkdir(parents=True)
    (root / "fake").mkdir()
    Image.fromarray(grace).save(root / "real" / "a.jpg", quality=83)
    (root / "real" / "b-copy.jpg").write_bytes((root / "real" / "a.jpg").read_bytes())
    Image.fromarray(grace).save(root / "real" / "c-again.jpg", quality=60)
    Image.fromarray(cat).save(root / "real" / "cat.jpg", quality=83)
    Image.fromarray(grace).resize((70, 82)).save(root / "real" / "tiny.jpg", quality=83)
    (root / "real" / os.fsdecode(b"junk\xff.jpg")).write_bytes(b"junk")
    Image.fromarray(astronaut).save(root / "fake" / "d.png")
    return root


def run(*arguments: object, code: int = 0) -> str:
    result = CliRunner().invoke(main, ["prepare", *map(str, arguments), "--workers", "0"])
    assert result.exit_code == code, result.output
    return result.output


def table(path: Path) -> list[dict[str, str]]:
    with path.open(newline="") as stream:
        return list(csv.DictReader(stream))


def snapshot(out: Path) -> dict[str, str]:
    return {
        str(path.relative_to(out)): hashlib.sha256(path.read_bytes()).hexdigest()
        for path in sorted(out.rglob("*"))
        if path.is_file() and ".prepare" not in path.parts
    }


@pytest.mark.parametrize("limit", [0, 3000])
def test_on_a_full_disk_it_is_one_line_and_goes_on_when_there_is_room(photos, tmp_path, limit):
    """No room for the first line of the survey, or for the first face."""
    out = tmp_path / "out"
    with no_room(limit):
        said = run(photos, out, code=1).splitlines()[-1]
    assert said.startswith(f"Error: {out}") and said.count(".partial") == 0
    assert not list(out.rglob("*.jpg")) and not (out / "manifest.csv").exists()
    run(photos, out)
    whole = tmp_path / "whole"
    run(photos, whole)
    assert snapshot(out) == snapshot(whole)


def test_photos_become_faces_and_a_manifest(photos, tmp_path):
    out = tmp_path / "out"
    report = run(photos, out, "--licence", "CC0")
    rows = table(out / "manifest.csv")
    assert ",".join(rows[0]) == OURS + ",sha256,licence"
    assert [(row["label"], row["source"]) for row in rows] == [
        ("fake", "photos"),
        ("real", "photos"),
        ("real", "photos"),
    ]
    assert {row.label for row in read_manifest(out)} == {"real", "fake"}
    for row in rows:
        with Image.open(out / row["file"]) as face:
            assert (face.format, max(face.size) <= 256, face.width) == ("JPEG", True, face.height)
            assert 0 <= float(row["x0"]) < float(row["x1"]) <= face.width
    by_quality = {row["orig_quality"]: row for row in rows}
    assert set(by_quality) == {"83", "60", ""}
    # The PNG was compressed with a quality of the real JPEGs; near-duplicates share a group.
    assert by_quality[""]["recoded_quality"] in {"83", "60"}
    assert by_quality["83"]["group"] == by_quality["60"]["group"] != by_quality[""]["group"]
    assert by_quality["83"]["sha256"] == hashlib.sha256((photos / "real" / "a.jpg").read_bytes()).hexdigest()
    dropped = {row["file"].rpartition("/")[2]: row["reason"] for row in table(out / "dropped.csv")}
    assert dropped == {
        "b-copy.jpg": "duplicate", "cat.jpg": "no_face", "junk\\udcff.jpg": "unreadable", "tiny.jpg": "face_too_small"
    }  # fmt: skip
    assert "3 faces kept, 4 files dropped" in report
    assert (out / "report.md").read_text() in report


def test_a_finished_folder_is_left_alone_and_a_grown_one_continued(photos, tmp_path, monkeypatch):
    out = tmp_path / "out"
    run(photos, out)
    before = snapshot(out)
    with monkeypatch.context() as patch:
        patch.setattr(facecut, "FaceDetector", lambda: pytest.fail("nothing is left to detect"))
        assert "Nothing to do" in run(photos, out)
        # The same file under the other label: both go, and nothing has to be detected for that.
        (photos / "fake" / "stolen.jpg").write_bytes((photos / "real" / "c-again.jpg").read_bytes())
        assert "ERROR: 2 files have a copy with the other label" in run(photos, out)
    assert len(table(out / "manifest.csv")) == 2
    assert len(snapshot(out)) == len(before) - 1
    (photos / "fake" / "stolen.jpg").unlink()
    run(photos, out)
    assert snapshot(out) == before


def test_other_settings_need_another_folder(photos, tmp_path):
    run(photos, tmp_path / "out")
    assert "was begun with" in run(photos, tmp_path / "out", "--min-face", 20, code=1)


def test_a_folder_without_labels_is_explained(photos, tmp_path):
    (photos / "fake").rename(photos / "x")
    (photos / "real").rename(photos / "y")
    assert "--label real" in run(photos, tmp_path / "out", code=1)


@pytest.mark.slow
def test_after_kill_9_nothing_is_lost_or_doubled(photos, tmp_path):
    run(photos, tmp_path / "whole")
    out = tmp_path / "out"
    command = [sys.executable, "-m", "training", "prepare", str(photos), str(out), "--workers", "1"]
    process = subprocess.Popen(command, stderr=subprocess.DEVNULL, start_new_session=True)
    log, deadline = out / ".prepare" / "faces.jsonl", time.monotonic() + 120
    while not (log.is_file() and log.stat().st_size) and time.monotonic() < deadline:
        assert process.poll() is None
        time.sleep(0.02)
    os.kill(process.pid, signal.SIGKILL)
    process.wait()
    assert log.stat().st_size
    run(photos, out)
    assert snapshot(out) == snapshot(tmp_path / "whole")
    # The worker went with its parent.
    deadline = time.monotonic() + 20
    while _alive(process.pid) and time.monotonic() < deadline:
        time.sleep(0.05)
    assert not _alive(process.pid)


def _alive(group: int) -> bool:
    try:
        os.killpg(group, 0)
    except ProcessLookupError:
        return False
    return True


def test_a_square_keeps_the_face_where_the_manifest_says(astronaut):
    box = (170.0, 60.0, 280.0, 210.0)
    square, inside = face_square(astronaut, box, Image.Resampling.BOX)
    assert square.shape == (217, 217, 3)
    x0, y0, *_ = (int(v) for v in crop.square(box, 512, 512, 1.45))
    np.testing.assert_allclose(inside, np.subtract(box, (x0, y0, x0, y0)), atol=0.05)
    large, scaled = face_square(np.repeat(np.repeat(astronaut, 2, 0), 2, 1), np.multiply(box, 2), Image.Resampling.BOX)
    assert large.shape == (256, 256, 3)
    np.testing.assert_allclose(np.divide(scaled, 256), np.divide(inside, 217), atol=0.01)


def test_all_faces_of_a_photo_and_the_box_of_a_manifest(tmp_path, grace, astronaut, cat):
    root = tmp_path / "set"
    root.mkdir()
    both = np.concatenate([grace[:512, :512], astronaut], axis=1)
    Image.fromarray(both).save(root / "both.png")
    Image.fromarray(cat).save(root / "cat.png")
    (root / "manifest.csv").write_text(
        "file,label,split,x0,y0,x1,y1\nboth.png,real,test,,,,\ncat.png,fake,test,100,50,200,170\n"
    )
    out = tmp_path / "out"
    run(root, out, "--all-faces", "--keep-split")
    rows = table(out / "manifest.csv")
    assert [(row["label"], row["split"], row["face_px"]) for row in rows if row["label"] == "fake"] == [
        ("fake", "test", "120")
    ]
    real = [row for row in rows if row["label"] == "real"]
    assert (len(real), {row["n_faces"] for row in real}, len({row["group"] for row in real})) == (2, {"2"}, 1)
    assert {row["split"] for row in real} == {"test"}


def grouped(folder: Path, rows: dict[str, tuple[np.ndarray, str]]) -> Path:
    """Photographs, saved alike, and a manifest that gives each its group."""
    folder.mkdir()
    for name, (picture, _) in rows.items():
        Image.fromarray(np.ascontiguousarray(picture)).save(folder / name, quality=85)
    lines = [f"{name},real,{group}" for name, (_, group) in rows.items()]
    (folder / "manifest.csv").write_text("\n".join(["file,label,group", *lines]) + "\n")
    return folder


def test_a_copy_that_is_dropped_keeps_its_group(tmp_path, grace, astronaut):
    first = grouped(tmp_path / "a", {"x.jpg": (grace, "")})
    second = grouped(tmp_path / "b", {"x-copy.jpg": (grace, "person7"), "y.jpg": (astronaut, "person7")})
    third = grouped(tmp_path / "c", {"x-again.jpg": (grace, "person8"), "z.jpg": (astronaut[:, ::-1], "person8")})
    run(first, second, third, tmp_path / "out")
    rows = table(tmp_path / "out" / "manifest.csv")
    assert (len(rows), len({row["group"] for row in rows}), len({row["split"] for row in rows})) == (3, 1, 1)


def test_fakes_that_came_before_the_first_photograph_are_cut_again_with_its_quality(tmp_path, grace, astronaut):
    root, out = tmp_path / "photos", tmp_path / "out"
    for label in ("real", "fake"):
        (root / label).mkdir(parents=True)
    Image.fromarray(astronaut).save(root / "fake" / "d.png")
    run(root, out)
    assert table(out / "manifest.csv")[0]["recoded_quality"] in {"75", "80", "85", "90", "95"}
    # What earlier versions left.
    (out / ".prepare" / "qualities.json").write_text("[75, 80, 85, 90, 95]")
    Image.fromarray(grace).save(root / "real" / "a.jpg", quality=60)
    run(root, out)
    assert [row["recoded_quality"] for row in table(out / "manifest.csv")] == ["60", ""]
    run(root, tmp_path / "fresh")
    assert snapshot(out) == snapshot(tmp_path / "fresh")
    Image.fromarray(grace).save(root / "real" / "b.jpg", quality=40)
    run(root, out)
    assert [row["recoded_quality"] for row in table(out / "manifest.csv")] == ["60", "", ""]


def test_a_face_that_is_not_found_again_leaves_no_file(tmp_path, grace, astronaut, monkeypatch):
    (tmp_path / "photos" / "fake").mkdir(parents=True)
    (tmp_path / "photos" / "real").mkdir()
    Image.fromarray(astronaut).save(tmp_path / "photos" / "fake" / "d.png")
    run(tmp_path / "photos", tmp_path / "out")
    Image.fromarray(grace).save(tmp_path / "photos" / "real" / "a.jpg", quality=60)
    nothing = {"faces": [], "n_faces": 0, "reason": "no_face", "detail": ""}
    monkeypatch.setattr(facecut.FaceCutter, "cut", lambda self, job: nothing)
    run(tmp_path / "photos", tmp_path / "out")
    assert not list((tmp_path / "out").rglob("*.jpg"))


def test_a_folder_of_earlier_rules_is_looked_through_again(photos, tmp_path, monkeypatch):
    with monkeypatch.context() as patch:
        patch.setattr(prepare, "RULES", 1)
        run(photos, tmp_path / "out")
    assert "Nothing to do" not in run(photos, tmp_path / "out")
    assert "Nothing to do" in run(photos, tmp_path / "out")


def test_one_person_is_one_group_where_the_face_network_is_given(tmp_path, astronaut, grace):
    if not WEIGHTS.is_file():
        pytest.skip("needs the face network of ../shared/weights, which is not part of the repository")
    root = tmp_path / "set"
    (root / "real").mkdir(parents=True)
    for name, picture in {"a": astronaut, "b": astronaut[:, ::-1], "c": grace}.items():
        Image.fromarray(np.ascontiguousarray(picture)).save(root / "real" / f"{name}.jpg", quality=85)
    # Mirrored, a picture has another hash; the person stays the same.
    run(root, tmp_path / "plain")
    run(root, tmp_path / "known", "--identity-weights", WEIGHTS)
    assert len({row["group"] for row in table(tmp_path / "plain" / "manifest.csv")}) == 3
    assert len({row["group"] for row in table(tmp_path / "known" / "manifest.csv")}) == 2


def test_the_config_names_every_column():
    assert ",".join(COLUMNS).startswith(OURS)
    assert PrepareConfig().cutting() == {"min_face_px": 48, "all_faces": False, "identity": False}
    assert prepare.WORK.startswith(".")


def test_a_source_is_set_aside_whole_and_stays_so(tmp_path, grace, astronaut, cat):
    known = grouped(tmp_path / "known", {"x.jpg": (grace, ""), "y.jpg": (astronaut, "")})
    unseen = grouped(tmp_path / "unseen", {"z.jpg": (grace[:, ::-1], "team"), "again.jpg": (astronaut[4:], "team")})
    out = tmp_path / "out"
    report = run(known, unseen, out, "--world", "unseen")
    rows = table(out / "manifest.csv")
    assert {row["source"]: row["split"] == "world" for row in rows} == {"known": False, "unseen": True}
    # The astronaut of the other source would be learned from, and is a near-duplicate of one in the world.
    assert len(rows) == 3
    assert "| set_aside | 1 |" in report
    assert "No source is set aside" not in report
    assert sorted(path.name for path in out.rglob("*.jpg")) == sorted(Path(row["file"]).name for row in rows)
    assert "No source is set aside" in run(known, tmp_path / "none")
    again = run(out, tmp_path / "again", "--keep-split")
    assert {row["source"]: row["split"] for row in table(tmp_path / "again" / "manifest.csv")}["unseen"] == "world"
    assert "2 faces" not in again
    failed = CliRunner().invoke(
        main, ["prepare", str(known), str(tmp_path / "no"), "--world", "nobody", "--workers", "0"]
    )
    assert failed.exit_code == 1
    assert "no source nobody to set aside" in failed.stderr
