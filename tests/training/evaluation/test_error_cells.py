"""Errors counted by measurement agree with a direct count, and the intervals hold on faces from the same source."""

import dataclasses
import json

import numpy as np
import pytest
from click.testing import CliRunner
from PIL import Image

from facecheck.model.checkpoint import save_model
from facecheck.model.config import Limits, ModelConfig
from training.cli import main
from training.evaluation.error_cells import EDGES, JudgedFace, error_cells, held_out, stable_and_not
from training.evaluation.metrics import wilson


def drawn(count: int, seed: int) -> list[JudgedFace]:
    """Faces whose error falls with their size from 30 % to 2 %."""
    rng = np.random.default_rng(seed)
    found = []
    for index in range(count):
        px, label = float(np.exp(rng.uniform(3, 5.5))), ("real", "fake")[index % 2]
        wrong = bool(rng.random() < (0.3 if px < 48 else 0.02))
        found.append(
            JudgedFace(
                label, f"{label}/s", str(index), 0.5, wrong, px, rng.uniform(0, 20), rng.uniform(1, 3), 0.0,
                rng.uniform(0, 0.4), flips=wrong,
            )
        )  # fmt: skip
    return found


def test_cells_are_a_direct_count():
    judged = drawn(2000, 0)
    cell = next(c for c in error_cells(judged) if c.measure == "face_px" and c.low == 32)
    inside = [face for face in judged if 32 <= face.face_px < 48]
    shares = [np.mean([f.wrong for f in inside if f.label == label]) for label in ("real", "fake")]
    assert (cell.high, cell.faces) == (48, len(inside))
    assert cell.error == pytest.approx(np.mean(shares))
    even = [sum(f.label == label for f in inside) for label in ("real", "fake")]
    assert np.allclose((cell.error_low, cell.error_high), wilson(cell.error * sum(even), sum(even)), atol=0.005)


def test_every_face_has_one_cell_of_each_measurement():
    judged = drawn(600, 1)
    cells = error_cells(judged, smallest=40)
    for measure in EDGES:
        mine = [cell for cell in cells if cell.measure == measure]
        assert sum(cell.faces for cell in mine) == len(judged)
        assert all(sum(cell.holds(vars(face)) for cell in mine) == 1 for face in judged[:50])
        assert all(min(_classes(judged, cell)) >= 40 for cell in mine)


def _classes(judged, cell):
    inside = [face.label for face in judged if cell.holds(vars(face))]
    return inside.count("real"), inside.count("fake")


def test_duplicates_are_no_further_evidence():
    judged = drawn(2000, 0)
    tripled = judged * 3
    once, thrice = error_cells(judged)[0], error_cells(tripled)[0]
    assert thrice.faces == 3 * once.faces
    assert (thrice.error_low, thrice.error_high) == pytest.approx((once.error_low, once.error_high))


def test_intervals_hold_on_other_faces_of_the_same_kind_and_not_on_others():
    cells = error_cells(drawn(3000, 2))
    same = held_out(cells, drawn(3000, 3))
    assert np.mean([h.inside for h in same]) > 0.75
    assert np.mean([h.agrees for h in same]) > 0.9
    worse = [dataclasses.replace(face, wrong=1) for face in drawn(3000, 3)]
    assert not any(h.inside or h.agrees for h in held_out(cells, worse))
    assert held_out(cells, drawn(40, 4)) == []


def test_stability_parts():
    judged = drawn(2000, 5)
    config = ModelConfig("m", "1", limits=Limits(min_face_px=48))
    parts = {part.name: part for part in stable_and_not(judged, config)}
    assert parts["all, stable"].accuracy == parts["answered, stable"].balanced == 1
    assert parts["all, flips"].balanced == parts["answered, flips"].accuracy == 0
    assert parts["all, flips"].faces == sum(face.wrong for face in judged)
    assert parts["answered, flips"].faces == sum(face.wrong for face in judged if face.face_px >= 48)


def test_sources_weigh_the_same_and_widen_the_interval():
    """Two sources of photographs: a large one without errors, a small one with nothing else."""
    judged = [face for face in drawn(2000, 0) if face.label == "fake"]
    real = [dataclasses.replace(face, label="real", source="real/large", wrong=False) for face in drawn(1000, 1)]
    real += [dataclasses.replace(face, label="real", source="real/small", wrong=True) for face in drawn(100, 2)]
    even = [dataclasses.replace(face, wrong=False, face_px=100.0) for face in [*judged, *real]]
    even = [dataclasses.replace(face, wrong=face.source == "real/small") for face in even]
    cell = next(c for c in error_cells(even) if c.measure == "face_px")
    assert cell.error == pytest.approx(100 / 110 / (100 / 110 + 1000 / 1010) / 2)
    assert cell.error_low == 0
    assert cell.error_high == pytest.approx(0.5)


def test_the_command_makes_the_table_and_goes_on(tiny_model, tmp_path, astronaut):
    folder = tmp_path / "data"
    folder.mkdir()
    lines = ["file,label,source,split,group,x0,y0,x1,y1,generator"]
    for index in range(8):
        label = ("real", "fake")[index // 2 % 2]
        Image.fromarray(astronaut[: 400 + index, 50:400]).save(folder / f"{index}.jpg")
        lines.append(f"{index}.jpg,{label},s{index // 4},world,{index},120,60,280,250,")
    (folder / "manifest.csv").write_text("\n".join(lines))
    weights = save_model(tiny_model.network, tiny_model.config, tmp_path / "model")
    arguments = ["errors", str(weights), str(folder), "--out", str(tmp_path / "out"), "--install", "--device", "cpu"]
    arguments += ["--cache", str(tmp_path / "cache"), "--stability", "4"]
    result = CliRunner().invoke(main, arguments)
    assert result.exit_code == 0, result.output
    table = json.loads(weights.with_suffix(".errors.json").read_text())
    assert table["made_by"] == "python -m training errors tiny.safetensors DATA --split world"
    assert table["split"] == "world"
    assert [(band["low"], band["high"]) for band in table["bands"]] == [(0.0, 1.0)]
    (ledger,) = (tmp_path / "cache").glob("*-random.jsonl")
    whole = ledger.read_text()
    ledger.write_text("".join(whole.splitlines(keepends=True)[:3]))  # A stopped run.
    assert CliRunner().invoke(main, arguments[:-2]).exit_code == 0
    assert sorted(ledger.read_text().splitlines()) == sorted(whole.splitlines())


def test_sources_that_it_learned_from_make_no_statement(tiny_model, data, tmp_path):
    weights = save_model(tiny_model.network, tiny_model.config, tmp_path / "model")
    arguments = ["errors", str(weights), str(data), "--out", str(tmp_path / "out"), "--cache", str(tmp_path / "cache")]
    result = CliRunner().invoke(main, arguments)
    assert result.exit_code == 0, result.output
    assert "sources it learned from. On unseen sources nothing is measured" in result.stderr
    assert result.stdout.startswith("Sources it learned from\n")
    assert json.loads((tmp_path / "out" / "tiny.errors.json").read_text())["split"] == "val"
