"""The table is what the pipeline says, and the tiers are what they claim."""

import io
from dataclasses import replace

import numpy as np
import pytest
from click.testing import CliRunner
from PIL import Image

from facecheck.checker import FaceChecker
from facecheck.models import Limits, load_model, save_model
from training.__main__ import main
from training.data import FaceFile
from training.evaluate import TIERS, columns, delivered, markdown, score


@pytest.fixture
def data(tmp_path, astronaut, grace, cat):
    """Six files: two faces in both roles, and a cat on which MTCNN finds nothing."""
    pictures = {
        "real/a": astronaut[:300, 80:380],
        "real/b": grace,
        "fake/c": np.flipud(cat)[:280],
        "fake/d": grace[:, ::-1],
    }
    lines = ["file,label,source,split,group,x0,y0,x1,y1"]
    for group, (name, picture) in enumerate(pictures.items()):
        for split in ("train", "val", "test"):
            path = tmp_path / f"{name}-{split}.jpg"
            path.parent.mkdir(exist_ok=True)
            Image.fromarray(np.ascontiguousarray(picture)).save(path, quality=92)
            box = "190,120,330,300" if name[-1] in "bd" else "100,40,230,190"
            lines.append(f"{name}-{split}.jpg,{name[:4]},s{name[-1]},{split},{split}{group},{box}")
    (tmp_path / "manifest.csv").write_text("\n".join(lines))
    return tmp_path


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
    from training.data import read_manifest

    rows = [row for row in read_manifest(data) if row.split == "test"]
    scored = list(score(checker, rows, "clean"))
    assert [item.detected for item in scored] == [True, True, False, True]
    assert scored[0].prediction.p_fake == pytest.approx(checker.predict(rows[0].path).p_fake, abs=1e-5)
    assert scored[2].prediction.faces[0].box == rows[2].box


def test_an_unreadable_file_stops_the_evaluation(checker, tmp_path):
    (tmp_path / "a.jpg").write_bytes(b"junk")
    with pytest.raises(ValueError, match=r"a\.jpg"):
        list(score(checker, [FaceFile(tmp_path / "a.jpg", "real", "s", "test", "1", (0, 0, 1, 1))], "clean"))


def test_uncertain_counts_half_and_the_table_has_every_source(tiny_model, detector, data):
    from training.data import read_manifest

    rows = [row for row in read_manifest(data) if row.split == "test"]
    unsure = replace(tiny_model, config=replace(tiny_model.config, limits=Limits(min_face_px=1e6)))
    scored = list(score(FaceChecker(unsure, "cpu", detector), rows, "clean"))
    table = columns(scored, 0.5)
    assert table.credit.tolist() == [0.5] * 4
    assert set(table.forced.tolist()) <= {0.0, 1.0}
    text = markdown({"clean": scored}, 0.5)
    assert "| clean | 0.500 |" in text
    assert "1 of 4" in text
    assert text.count("0.0% / 100.0%") == 4


def test_evaluate_runs_from_the_command_line(data, tiny_model, tmp_path):
    weights = save_model(tiny_model.network, tiny_model.config, tmp_path / "model")
    result = CliRunner().invoke(main, ["evaluate", str(data), "--model", str(weights)], catch_exceptions=False)
    assert result.exit_code == 0
    assert [line.split(" | ")[0] for line in result.stdout.splitlines()[2:5]] == ["| clean", "| web", "| hard"]


def test_train_runs_from_the_command_line(data, tmp_path):
    out = tmp_path / "run"
    arguments = ["train", str(data), str(out), "--architecture", "tiny", "--name", "t", "--steps", "2", "--batch", "2"]
    assert CliRunner().invoke(main, arguments, catch_exceptions=False).exit_code == 0
    config = load_model(out).config
    assert config.training_data == ("fake/sc", "fake/sd", "real/sa", "real/sb")
    assert config.licence
