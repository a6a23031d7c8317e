"""The linter finds what was planted, and nothing where nothing was."""

import csv
import json
import re
from dataclasses import fields, replace
from functools import cache

import cv2
import numpy as np
import pytest
from click.testing import CliRunner
from PIL import Image

from training.augment import Delivery
from training.cli import main
from training.data import FaceFile, read_manifest, read_rgb
from training.faces import leakage
from training.faces.audit import GATE, AuditSettings, audit, exact_copies, gate, measure_leaks

COLUMNS = ("file", "label", "source", "split", "group", "x0", "y0", "x1", "y1")
FACES = 120
QUICK = AuditSettings(faces=FACES, size=64)


def write_set(folder, astronaut, save, held_out=False):
    """Crops of one portrait, each another cut and another light, their classes drawn by a coin.

    `save(image, folder, name, label)` makes the file and returns its name and the shift of the box.
    """
    rng, rows = np.random.default_rng(0), []
    for number in range(FACES):
        label = ("real", "fake")[int(rng.integers(2))]
        x, y = rng.integers(-12, 13, 2)
        image = np.clip(astronaut[40 + y : 200 + y, 140 + x : 300 + x] * rng.uniform(0.7, 1.1), 0, 255).astype(np.uint8)
        name, shift = save(image, folder, f"{number}", label)
        box = (45 - x, 25 - y + shift, 125 - x, 125 - y + shift)
        split = "test" if held_out and number % 8 == 0 else "train"
        rows.append((name, label, f"{label}-camera", split, str(number), *box))
    with (folder / "manifest.csv").open("w", newline="") as stream:
        csv.writer(stream).writerows([COLUMNS, *rows])
    return folder


@pytest.fixture(scope="module")
def made(tmp_path_factory, astronaut):
    """Makes the set of a saving function once; whoever changes its files makes one of their own."""
    return cache(lambda save: write_set(tmp_path_factory.mktemp(save.__name__), astronaut, save))


def same_for_both(image, folder, name, label):
    Image.fromarray(image).save(folder / f"{name}.jpg", quality=90)
    return f"{name}.jpg", 0


def fakes_are_png(image, folder, name, label):
    suffix = {"real": "jpg", "fake": "png"}[label]
    Image.fromarray(image).save(folder / f"{name}.{suffix}")
    return f"{name}.{suffix}", 0


def fakes_have_another_quality(image, folder, name, label):
    Image.fromarray(image).save(folder / f"{name}.jpg", quality={"real": 92, "fake": 75}[label])
    return f"{name}.jpg", 0


def fakes_are_blurred(image, folder, name, label):
    if label == "fake":
        image = cv2.resize(cv2.resize(image, (20, 20), interpolation=cv2.INTER_AREA), image.shape[1::-1])
    return same_for_both(image, folder, name, label)


def fakes_sit_higher(image, folder, name, label):
    name, _ = same_for_both(image, folder, name, label)
    return name, {"real": 15, "fake": -25}[label]


def test_an_aligned_set_passes(made):
    folder = made(same_for_both)
    report = audit(folder, QUICK)
    assert report.passed, report.failures
    assert report.leaks["container"].auc == 0.5
    assert "# Audit: passed" in report.to_markdown()
    assert gate(read_manifest(folder), QUICK) == []
    warnings = " ".join(report.warnings)
    assert "fake/fake-camera is 100% of the fake faces" in warnings
    assert "2 of 2 sources hold one class only" in warnings


@pytest.mark.parametrize(
    ("save", "table", "feature"),
    [
        (fakes_are_png, "container", "format"),
        (fakes_have_another_quality, "container", "quality"),
        (fakes_sit_higher, "framing as seen", "face_y"),
        (fakes_are_blurred, "pixels as seen", "(sharpness|high_frequencies|bytes_at_fixed_quality)"),
    ],
)
def test_a_planted_leak_is_named(made, save, table, feature):
    failures = gate(read_manifest(made(save)), QUICK)
    named = [failure for failure in failures if failure.startswith(table)]
    assert len(named) == 1, failures
    assert re.search(f"by {feature}", named[0])


def test_the_command_fails_loudly_and_writes_json(tmp_path, made):
    folder = made(fakes_are_png)
    arguments = ["audit", str(folder), "--faces", "40", "--size", "64", "--json", str(tmp_path / "a.json")]
    result = CliRunner().invoke(main, arguments)
    assert result.exit_code == 1
    assert "# Audit: FAILED" in result.output
    assert "LEAK: container gives the classes away: AUC 1.00 > 0.60, by format (AUC 1.00)" in result.output
    told = json.loads((tmp_path / "a.json").read_text())
    assert (told["passed"], told["leaks"]["container"]["features"][0]) == (False, ["format", 1.0])


def test_too_few_faces_are_no_verdict(made):
    folder = str(made(same_for_both))
    result = CliRunner().invoke(main, ["audit", folder, "--faces", "6"])
    assert (result.exit_code, "too few to audit" in result.output) == (1, True)
    result = CliRunner().invoke(main, ["audit", folder, "--boost", "real/nobody", "2"])
    assert (result.exit_code, "no such sources" in result.output) == (1, True)


def test_copies_across_splits_and_labels_are_found(tmp_path, astronaut):
    write_set(tmp_path, astronaut, same_for_both, held_out=True)
    rows = read_manifest(tmp_path)
    train = next(row for row in rows if row.split == "train")
    test = next(row for row in rows if row.split == "test" and row.label != train.label)
    assert exact_copies(rows) == []
    test.path.write_bytes(train.path.read_bytes())
    failures = gate(rows, QUICK)
    assert len(failures) == 2
    assert all(train.path.name in failure and test.path.name in failure for failure in failures)


def test_a_near_duplicate_across_splits_is_found(tmp_path, astronaut, grace):
    write_set(tmp_path, astronaut, same_for_both)
    manifest = tmp_path / "manifest.csv"
    with manifest.open("a", newline="") as stream:
        csv.writer(stream).writerows(
            [(f"{split}.jpg", "real", "grace", split, f"g-{split}", 10, 10, 90, 90) for split in ("train", "test")]
        )
    face = Image.fromarray(grace[100:400, 100:400])
    face.save(tmp_path / "train.jpg", quality=92)
    face.resize((120, 120)).save(tmp_path / "test.jpg", quality=60)
    report = audit(tmp_path, replace(QUICK, faces=40))
    (failure,) = (failure for failure in report.failures if "near-duplicates cross a split" in failure)
    assert "1 of 1 held-out faces" in failure


def test_the_coordinate_map_finds_the_face_where_the_crop_puts_it(astronaut):
    """Against the crop's own geometry: no delivery, a box in the middle, margin 2: the face is half of the crop."""
    still = {f.name: 0.0 for f in fields(Delivery) if isinstance(f.default, float)}
    delivery = replace(Delivery(), **still, box_scale=(1.0, 1.0))
    row = FaceFile(None, "real", "", "", "", (200.0, 150.0, 300.0, 250.0))
    seen = leakage.framing_as_seen(astronaut, row, 128, 2.0, delivery, np.random.default_rng(0))
    assert (seen["face_x"], seen["face_y"]) == pytest.approx((0.5, 0.5), abs=0.01)
    assert seen["face_share"] == pytest.approx(0.25, abs=0.01)
    mirrored = replace(delivery, flip=1.0)
    edge = replace(row, box=(10.0, 150.0, 110.0, 250.0))
    places = [
        leakage.framing_as_seen(astronaut, edge, 128, 2.0, settings, np.random.default_rng(0))["face_x"]
        for settings in (delivery, mirrored)
    ]
    assert places == pytest.approx([60 / 200, 1 - 60 / 200], abs=0.01)


def test_pixel_statistics_of_pictures_made_by_hand():
    grey = np.full((64, 64, 3), 100, np.uint8)
    flat = leakage.pixel_statistics(grey)
    assert (flat["mean_red"], flat["std_red"], flat["sharpness"], flat["constant_border"]) == (100, 0, 0, 1)
    rng = np.random.default_rng(0)
    noise = rng.integers(0, 256, (64, 64, 3), dtype=np.uint8)
    framed = noise.copy()
    framed[:, :16] = 0
    assert leakage.pixel_statistics(noise)["constant_border"] == 0
    assert leakage.pixel_statistics(framed)["constant_border"] == 0.25
    assert leakage.pixel_statistics(noise)["sharpness"] > 100
    # White noise spreads evenly: outside a circle of half the Nyquist frequency lies 1 - pi / 16 of the plane.
    assert 10 ** leakage.pixel_statistics(noise)["high_frequencies"] == pytest.approx(1 - np.pi / 16, abs=0.02)


def test_a_group_never_helps_itself():
    """Every group has its own number, and the label belongs to the group: only leaking folds could learn it."""
    rng = np.random.default_rng(0)
    groups = np.repeat(np.arange(60), 5)
    labels = rng.integers(0, 2, 60)[groups]
    leak = leakage.measure([{"number": float(g)} for g in rng.permutation(60)[groups]], labels, groups.astype(str))
    assert leak.auc < 0.65
    sure = leakage.measure([{"label": float(v), "constant": 1.0} for v in labels], labels, groups.astype(str))
    assert (sure.auc, sure.interval, sure.features[0]) == (1.0, (1.0, 1.0), ("label", 1.0))


def test_the_container_of_the_shared_faces_gives_nothing_away(shared_faces):
    rows = [row for row in read_manifest(shared_faces) if row.split == "train"]
    leaks = measure_leaks(rows, AuditSettings(faces=120, size=64))
    assert leaks["container"].auc == 0.5
    assert leaks["framing as stored"].auc > 0.7  # As ../shared/data/README.md says.
    assert leaks["framing as seen"].auc < leaks["framing as stored"].auc
    assert read_rgb(rows[0].path).dtype == np.uint8


def test_the_gate_looks_at_few_enough_faces():
    assert GATE.faces <= 500
