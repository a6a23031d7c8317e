"""Clips: what is one, which frames are looked at, faces followed, one verdict."""

from dataclasses import replace
from pathlib import Path

import cv2
import numpy as np
import pytest
from PIL import Image

from facecheck.errors import ImageError
from facecheck.model.config import Decision
from facecheck.result import Face, Verdict
from facecheck.scan import video
from facecheck.scan.tracks import Tracker, overlap
from facecheck.scan.video import Clip, frame_at, is_clip, judge_clip
from tests.facecheck.scan.conftest import read_rows

FPS, SECONDS = 10, 4


@pytest.fixture(scope="module")
def clip(tmp_path_factory, portrait) -> Path:
    """Four seconds: a face that moves to the right on grey; in the third second there is none."""
    path = tmp_path_factory.mktemp("clip") / "clip %02d.mp4"
    writer = cv2.VideoWriter(str(path), cv2.CAP_FFMPEG, cv2.VideoWriter_fourcc(*"mp4v"), FPS, (240, 128))
    face = np.asarray(portrait)[:, :, ::-1]
    for number in range(FPS * SECONDS):
        frame = np.full((128, 240, 3), 128, np.uint8)
        if number // FPS != 2:
            frame[:, number : number + 128] = face
        writer.write(frame)
    writer.release()
    return path


def test_videos_are_known_by_their_beginning(clip, grace_path, tmp_path):
    assert is_clip(str(clip))
    renamed = tmp_path / "photo.jpg"
    renamed.write_bytes(clip.read_bytes())
    assert is_clip(str(renamed))
    for content in (grace_path.read_bytes(), b"#EXTM3U\nhttp://localhost/x.ts", b"", b"\0" * 600):
        renamed.write_bytes(content)
        assert not is_clip(str(renamed))
    Image.new("RGB", (16, 16)).save(tmp_path / "picture.avif")
    assert not is_clip(str(tmp_path / "picture.avif"))
    assert not is_clip(str(tmp_path))
    assert not is_clip("/no/such/file")


@pytest.mark.parametrize(("every_s", "times"), [(1, [0, 1, 2, 3]), (0.5, np.arange(8) / 2), (100, [0])])
def test_frames_are_sampled_by_time(clip, every_s, times):
    opened = Clip(str(clip), every_s)
    samples = list(opened.samples())
    assert [at for at, _ in samples] == pytest.approx(list(times), abs=0.001)
    assert all(frame.shape == (128, 240, 3) for _, frame in samples)
    assert (opened.frames, opened.fps, opened.to_dict()["complete"]) == (40, FPS, True)
    assert opened.duration_s == pytest.approx(3.9, abs=0.01)


def test_a_clip_gives_one_answer_for_each_person(clip, checker, settings):
    settings = replace(settings, every_s=0.5)
    prediction, told = judge_clip(str(clip), checker, settings)
    assert told["samples"] == 8
    assert len(prediction.faces) == len(told["tracks"]) == 1
    (track,) = told["tracks"]
    assert (track["from_s"], track["to_s"], track["samples"]) == (0, 3.5, 6)
    assert track["p_fake_low"] <= prediction.p_fake <= track["p_fake_high"]
    alone = checker.predict(frame_at(str(clip), track["at_s"])).faces[0]
    assert alone.box == pytest.approx(prediction.faces[0].box, abs=0.01)


def test_memory_holds_few_frames(clip, checker, settings, monkeypatch):
    monkeypatch.setattr(video, "BATCH_PIXELS", 2 * 240 * 128)
    sizes = [len(batch) for batch in video._batches(Clip(str(clip), 0.5).samples())]
    assert sizes == [2, 2, 2, 2]


def test_broken_clips_are_rows(scan, clip, tmp_path):
    whole = clip.read_bytes()
    (tmp_path / "cut.mp4").write_bytes(whole[:60])
    (tmp_path / "none.mp4").write_bytes(b"")
    (tmp_path / "list.mp4").write_bytes(b"#EXTM3U\nfile:///etc/passwd\n")
    assert scan(tmp_path, "--glob", "*.mp4", "--out", tmp_path / "rows.jsonl").exit_code == 1
    rows = {Path(row["path"]).name: row for row in read_rows(tmp_path / "rows.jsonl")}
    assert len(rows) == 3
    assert all(row["error"] and row["verdict"] is None for row in rows.values())
    assert "video" in rows["cut.mp4"]["error"]


def test_frames_that_are_too_large_are_refused(clip, monkeypatch):
    monkeypatch.setattr(video, "MAX_PIXELS", 100)
    with pytest.raises(ImageError, match="frames of more than 100 pixels"):
        Clip(str(clip), 1)


def test_the_command_judges_clips_between_pictures(scan, folder, clip, tmp_path):
    (folder / "b.mp4").write_bytes(clip.read_bytes())
    out = tmp_path / "rows.parquet"
    scan(folder, "--out", out, "--every", 2, "--summary", tmp_path / "report")
    rows = read_rows(tmp_path / "rows.parquet.jsonl")
    assert [Path(row["path"]).name for row in rows] == ["a.jpg", "b.mp4", "notes.txt", "wall.png", "b.png"]
    assert (rows[1]["kind"], rows[1]["clip"]["every_s"], rows[1]["clip"]["samples"]) == ("clip", 2.0, 2)
    assert "1 clips" in (tmp_path / "report" / "summary.html").read_text()
    refused = scan(folder, "--out", out, "--every", 1)
    assert "1 row(s)" in refused.stderr
    assert "(4 known, 1 new)" in scan(folder, "--out", out, "--every", 1, "--rescore", "others").stderr


def face(x: float, p_fake: float, *reasons: str, size: float = 10) -> Face:
    return Face((x, 0, x + size, size), ((0, 0),) * 5, 1.0, p_fake, Verdict.REAL, reasons)


DECISION = Decision(1.0, 0.5, 0.4, 0.5)


def answers(tracker: Tracker) -> list[tuple[float, str, tuple[str, ...]]]:
    faces = [track.answer(DECISION, tracker.samples) for track in tracker.tracks]
    return [(face.p_fake, str(face.verdict), face.reasons) for face in faces]


def test_the_median_of_the_faces_that_could_be_judged_decides():
    tracker = Tracker()
    for at, (score, *reasons) in enumerate([(0.1,), (0.9,), (0.2,), (0.99, "blurred"), (0.97, "blurred")]):
        tracker.add([face(at, score, *reasons)], at)
    assert answers(tracker) == [(0.2, "real", ())]
    assert tracker.tracks[0].to_dict() == {
        "from_s": 0, "to_s": 4, "at_s": 0, "samples": 5, "judged": 3, "p_fake_low": 0.1, "p_fake_high": 0.9
    }  # fmt: skip


def test_two_people_stay_two_and_a_gap_is_bridged():
    tracker = Tracker()
    for at in range(6):
        faces = [face(50 - at, 0.9), face(at, 0.1)]
        tracker.add(faces[:1] if at == 3 else faces[:: 1 - 2 * (at % 2)], at)
    assert answers(tracker) == [(0.9, "fake", ()), (0.1, "real", ())]
    assert [track.samples for track in tracker.tracks] == [6, 5]


def test_a_face_that_returns_late_or_elsewhere_is_another():
    tracker = Tracker()
    tracker.add([face(0, 0.1)], 0)
    for at in (1, 2, 3):
        tracker.add([], at)
    tracker.add([face(0, 0.1)], 4)
    tracker.add([face(30, 0.1)], 5)
    assert len(tracker.tracks) == 3


def test_one_frame_of_many_accuses_nobody():
    tracker = Tracker()
    tracker.add([face(0, 0.99), face(50, 0.1)], 0)
    tracker.add([face(50, 0.45)], 1)
    tracker.add([face(50, 0.5), face(80, 0.99, "blurred")], 2)
    assert answers(tracker) == [
        (0.99, "uncertain", ("brief",)),
        (0.45, "uncertain", ("borderline",)),
        (0.99, "uncertain", ("blurred",)),
    ]


def test_overlap_is_that_of_torchvision():
    import torch
    from torchvision.ops import box_iou

    rng = np.random.default_rng(0)
    corners = rng.uniform(0, 10, (20, 2, 2, 2))
    for first, second in np.concatenate([corners.min(axis=2), corners.max(axis=2)], axis=-1).tolist():
        wanted = box_iou(torch.tensor([first]), torch.tensor([second])).item()
        assert overlap(first, second) == pytest.approx(wanted, abs=1e-6)
    assert overlap((0, 0, 0, 0), (0, 0, 0, 0)) == 0
