"""The table is what the pipeline says, and the tiers are what they claim."""

import io
from dataclasses import replace

import pytest
from PIL import Image

from facecheck.checker import FaceChecker
from facecheck.model.config import Limits
from training.data import FaceFile, read_manifest
from training.evaluation.scoring import score, score_tiers
from training.tiers import TIERS, delivered


def test_tiers_reduce_and_compress_as_they_say(grace_path):
    data = grace_path.read_bytes()
    assert delivered(data, "clean") == data
    large = io.BytesIO()
    Image.open(grace_path).resize((1600, 1200)).save(large, "JPEG", quality=95)
    for tier, side in (("web", 768), ("hard", 512)):
        assert max(Image.open(io.BytesIO(delivered(large.getvalue(), tier))).size) == side
        reference = io.BytesIO()
        Image.new("L", (8, 8)).convert("RGB").save(reference, "JPEG", quality=TIERS[tier][1])
        tables = Image.open(io.BytesIO(delivered(data, tier))).quantization
        assert tables == Image.open(reference).quantization


def test_scores_are_those_of_the_checker_and_missed_faces_use_the_known_box(checker, data):
    rows = [row for row in read_manifest(data) if row.split == "test"]
    scored = list(score(checker, rows, "clean"))
    assert [item.detected for item in scored] == [True, True, False, True]
    assert scored[0].prediction.p_fake == pytest.approx(checker.predict(rows[0].path).p_fake, abs=1e-5)
    assert scored[2].prediction.faces[0].box == rows[2].box


def test_an_unreadable_file_stops_the_evaluation(checker, tmp_path):
    (tmp_path / "a.jpg").write_bytes(b"junk")
    with pytest.raises(ValueError, match=r"a\.jpg"):
        list(score(checker, [FaceFile(tmp_path / "a.jpg", "real", "s", "test", "1", (0, 0, 1, 1))], "clean"))


def test_uncertain_counts_half(tiny_model, detector, data):
    rows = [row for row in read_manifest(data) if row.split == "test"]
    unsure = replace(tiny_model, config=replace(tiny_model.config, limits=Limits(min_face_px=1e6)))
    table = score_tiers(FaceChecker(unsure, device="cpu", detector=detector), rows, data, ["clean"])
    assert table.credit.tolist() == [0.5] * 4
    assert set(table.forced_choice.tolist()) <= {0.0, 1.0}
    assert table.file.tolist() == [f"{name}-test.jpg" for name in ("real/a", "real/b", "fake/c", "fake/d")]
    assert table.detected.tolist() == [True, True, False, True]
    assert 50 < table.face_px.min() <= table.face_px.max() < 300
