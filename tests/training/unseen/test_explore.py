"""Experiments learn from the learning splits alone, are judged on the world, and are run once."""

import csv
import zlib
from dataclasses import replace
from pathlib import Path
from types import SimpleNamespace

import cv2
import numpy as np
import pytest
from click.testing import CliRunner
from torch import nn

from facecheck.ledger import whole_lines
from training.cli import main
from training.data import FaceFile, copy_path
from training.pseudo import SELF_BLEND
from training.unseen import explore as explore_module
from training.unseen.experiments import LAYERS, PAIRS, Experiment, Part, defaults, drawn, kept
from training.unseen.explore import Laboratory, explore, judge, log_markdown
from training.unseen.extractor import KINDS, MEAN, STD, Block, Extractor

BLOCKS = tuple(Block(f"layer{i // 2 + 1}", (MEAN, STD)[i % 2], 3 * i, 3 * i + 3) for i in range(8))
BASE = Experiment("base", (Part("resnet50", ("layer2",)),))


def row(label, source, number, split, generator=""):
    name = f"{source}{number}"
    return FaceFile(Path(f"{name}.jpg"), label, source, split, name, (0, 0, 1, 1), generator)


@pytest.fixture
def rows() -> list[FaceFile]:
    """Four sources to learn from and four of the world, 40 faces each."""
    splits = ("train", "train", "val", "test")
    seen = (("real", "street", ""), ("real", "congress", ""), ("fake", "gan", "StyleGAN2"), ("fake", "new", "Gemini"))
    made = [row(*source[:2], i, splits[i % 4], source[2]) for source in seen for i in range(40)]
    unseen = (("real", "a", ""), ("real", "b", ""), ("fake", "c", "StyleGAN2"), ("fake", "d", "Midjourney"))
    return made + [row(*source[:2], i, "world", source[2]) for source in unseen for i in range(40)]


@pytest.fixture
def laboratory(rows, tmp_path, monkeypatch):
    """Makes a laboratory whose backbone sees fakes in one column of layer2, and notes what it was shown."""
    truth = {row.path: row.target for row in rows}
    shown = []

    def extract(extractor, rows, view, cache):
        shown.append((view, list(rows)))
        seeds = [zlib.crc32(row.group.encode()) for row in rows]
        features = np.stack([np.random.default_rng(seed).normal(0, 1, 24) for seed in seeds])
        features[:, 7] += [3.0 * truth[r.path] for r in rows]
        return features.astype(np.float16)

    monkeypatch.setattr(explore_module, "extract", extract)
    monkeypatch.setitem(KINDS, "resnet50", lambda path: SimpleNamespace(blocks=BLOCKS))
    (tmp_path / "weights").write_bytes(b"weights")

    def made(rows, copies=None):
        return Laboratory(rows, {"resnet50": tmp_path / "weights"}, tmp_path, "web", copies)

    made.shown = shown
    return made


def relabelled(rows, label="real"):
    """The world with other labels and sources."""
    return [
        row if row.split != "world" else FaceFile(row.path, label, "x", "world", row.group, row.box) for row in rows
    ]


@pytest.mark.parametrize("experiment", [
    BASE, Experiment("deliveries", BASE.parts, deliveries=2), Experiment("modern", BASE.parts, modern=3.0, power=1.0),
    Experiment("blend", BASE.parts, deliveries=1, pseudo=SELF_BLEND),
    Experiment("half", BASE.parts, files=0.5, fake_sources=0.5),
])  # fmt: skip
def test_the_world_changes_no_coefficient(experiment, rows, laboratory):
    head = laboratory(rows).head(experiment)
    for other in (relabelled(rows), relabelled(rows, "fake"), [row for row in rows if row.split != "world"]):
        changed = laboratory(other).head(experiment)
        np.testing.assert_array_equal(changed.coefficients, head.coefficients)
        assert changed.intercept == head.intercept
    assert np.abs(head.coefficients).max() > 0
    turned = [replace(row, label="real" if row.target else "fake") if row.split == "train" else row for row in rows]
    assert np.abs(laboratory(turned).head(experiment).coefficients - head.coefficients).max() > 0


def test_the_test_split_is_not_learned_either(rows, laboratory):
    learned = laboratory(rows).learned(BASE)
    assert {row.split for row in learned} == {"train", "val"}
    assert len(learned) == 120


def test_an_experiment_sees_the_columns_and_views_that_it_names(rows, laboratory):
    made = laboratory(rows)
    assert len(made.head(BASE).coefficients) == 6
    assert len(made.head(Experiment("std", (Part("resnet50", statistics=(STD,)),))).coefficients) == 12
    assert len(made.head(Experiment("two", (*BASE.parts, Part("resnet50")))).coefficients) == 30
    laboratory.shown.clear()
    made.head(Experiment("delivered", BASE.parts, arrived=False, deliveries=2))
    assert [view.seed for view, _ in laboratory.shown] == [0, 1]
    assert all(view.delivery and {r.split for r in seen} == {"train", "val"} for view, seen in laboratory.shown)


def test_pairs_are_those_photographs_that_have_a_copy(rows, laboratory, tmp_path):
    copies = tmp_path / "copies"
    experiment = Experiment("pairs", BASE.parts, deliveries=1, pseudo=PAIRS)
    with pytest.raises(ValueError, match="`python -m training pairs` makes them"):
        laboratory(rows, copies).head(experiment)
    for each in rows[:8]:
        copy_path(copies, each).parent.mkdir(parents=True, exist_ok=True)
        copy_path(copies, each).touch()
    laboratory(rows, copies).head(experiment)
    view, seen = laboratory.shown[-1]
    assert view.copies == copies
    assert seen == [each for each in rows[:8] if each.split != "test"]


def test_what_is_learned_from(rows):
    learning = [row for row in rows if row.split in ("train", "val")]

    def sources(**settings):
        settings = {"without": (), "files": 1.0, "photograph_sources": 1.0, "fake_sources": 1.0, **settings}
        return [row for row, stays in zip(learning, kept(learning, **settings), strict=True) if stays]

    assert sources() == learning
    assert {row.source for row in sources(without=("modern generators",))} == {"street", "congress", "gan"}
    assert {row.source for row in sources(without=("older generators", "official portraits"))} == {"street", "new"}
    assert len({row.source for row in sources(fake_sources=0.5)}) == 3
    half, eighth = sources(files=0.5), sources(files=0.125)
    assert 40 < len(half) < 80
    assert 0 < len(eighth) < 30
    assert set(eighth) < set(half)


def test_few_faces_are_drawn_source_by_source_and_modern_fakes_all_stay(rows):
    some = drawn(rows, 60)
    count = {source: sum(row.source == source and row.split in ("train", "val") for row in some)
             for source in ("street", "congress", "gan", "new")}  # fmt: skip
    assert count == {"street": 10, "congress": 10, "gan": 10, "new": 30}
    assert sum(row.split == "world" for row in some) == 160
    assert sum(row.split == "test" for row in some) == 13
    assert [row for row in rows if row in set(some)] == some
    assert set(drawn(rows, 40)) < set(some)
    assert drawn(rows, 0) == rows
    assert drawn(rows, 1000) == rows


def test_the_judgement_is_that_of_the_other_sources(rows):
    world = [row for row in rows if row.split == "world"]
    offsets = {"a": 0.0, "b": 0.0, "c": 3.0, "d": 3.0}
    perfect = judge(world, np.array([offsets[row.source] for row in world]))
    assert (perfect.auc, perfect.low, perfect.high, perfect.modern_auc) == (1.0, 1.0, 1.0, 1.0)
    assert (perfect.balanced_accuracy, perfect.tpr, perfect.accused, perfect.caught) == (1.0, 1.0, 0.0, 1.0)
    # Fitted to a and d the threshold is 1.5, and accuses b; fitted to b and c it is 3, and misses d.
    shifted = judge(world, np.array([{"a": 0.0, "b": 2.0, "c": 3.0, "d": 1.5}[row.source] for row in world]))
    assert (shifted.auc, shifted.modern_auc, shifted.tpr) == pytest.approx((0.75, 0.5, 0.5))
    assert (shifted.worst_real, shifted.accused, shifted.worst_fake, shifted.caught) == ("b", 1.0, "d", 0.0)
    assert shifted.balanced_accuracy == pytest.approx(0.5)
    assert shifted.low < 0.75 < shifted.high


def test_without_two_sources_of_each_class_nothing_is_judged(rows):
    for world in ([], [row for row in rows if row.split == "world" and row.source != "c"]):
        with pytest.raises(ValueError, match="it takes two sources of each class"):
            judge(world, np.zeros(len(world)))


def test_small_sources_are_not_the_worst(rows):
    world = [row for row in rows if row.split == "world"] + [row("real", "few", i, "world") for i in range(9)]
    scores = [{"a": 0.1, "b": 0.0, "c": 3.0, "d": 3.0, "few": 9.0}[each.source] for each in world]
    assert judge(world, np.array(scores)).worst_real in "ab"


def test_an_experiment_is_run_once(rows, laboratory, tmp_path, monkeypatch):
    ledger, other = tmp_path / "explore.jsonl", Experiment("layer 3", (Part("resnet50", ("layer3",)),))
    first = list(explore(laboratory(rows), [BASE, other], ledger))
    assert first[0].world.auc > 0.95
    assert first[1].world.auc < 0.7
    assert first[0].learned == 120
    assert first[0].test_auc > 0.95
    assert len(list(whole_lines(ledger))) == 2
    with monkeypatch.context() as patched:
        patched.setattr(explore_module, "run", None)
        assert list(explore(laboratory(rows), [other, BASE], ledger)) == first[::-1]
    assert len(list(whole_lines(ledger))) == 2
    list(explore(laboratory([replace(rows[0], source="congress"), *rows[1:]]), [BASE], ledger))
    assert len(list(whole_lines(ledger))) == 3
    lines = list(log_markdown(first))
    assert len(lines) == 4
    assert len({line.count("|") for line in lines}) == 1
    assert f"| base | 120 | {first[0].world.auc:.3f} [" in lines[2]


@pytest.mark.parametrize("backbones", [("resnet50",), ("dinov2_s14",), ("resnet50", "dinov2_s14", "clip_b16")])
def test_there_are_twenty_questions_about_any_backbone(backbones):
    found = defaults(backbones, pairs=True)
    assert len(found) >= 20
    assert len(set(found.values())) == len(found)
    assert {part.backbone for one in found.values() for part in one.parts} == set(backbones)
    assert sum(len(one.parts) > 1 for one in found.values()) == len(backbones) - 1
    assert set(found) - set(defaults(backbones)) == {name for name, one in found.items() if one.pseudo == PAIRS}


def test_every_backbone_has_experiments():
    assert set(LAYERS) == set(KINDS)


def test_the_command_prints_a_table_and_keeps_the_log(tmp_path, astronaut, monkeypatch):
    def tiny(path):
        return Extractor("resnet50", nn.Sequential(nn.AvgPool2d(4), nn.Identity()), ("0", "1"), "", 16)

    layers = {"both": ("0", "1"), "first": ("0",)}
    monkeypatch.setitem(KINDS, "resnet50", tiny)
    monkeypatch.setitem(LAYERS, "resnet50", layers)
    data, rng = tmp_path / "data", np.random.default_rng(0)
    data.mkdir()
    with (data / "manifest.csv").open("w", newline="") as stream:
        table = csv.writer(stream)
        table.writerow(["file", "label", "source", "split", "group", "x0", "y0", "x1", "y1"])
        for i in range(48):
            label, split = ("real", "fake")[i % 2], ("train", "test", "world")[i // 2 % 3]
            source = f"{split}{i // 6 % 2}{label}" if split == "world" else label
            brightness = 0.4 if label == "real" else 0.9
            cv2.imwrite(
                str(data / f"{i}.jpg"), np.uint8(astronaut[::4, ::4, ::-1] * (brightness + rng.uniform(0, 0.1)))
            )
            table.writerow([f"{i}.jpg", label, source, split, i, 40, 15, 85, 65])
    (tmp_path / "b.safetensors").touch()
    words = [
        "explore",
        str(data),
        "--backbone",
        "resnet50",
        str(tmp_path / "b.safetensors"),
        "--work",
        str(tmp_path / "w"),
    ]
    chosen = ["--experiment", "resnet50, both", "--experiment", "resnet50, both: files weigh the same"]
    done = CliRunner().invoke(main, [*words, *chosen], catch_exceptions=False)
    assert done.exit_code == 0, done.output
    lines = [line for line in done.output.splitlines() if line.startswith("|")]
    assert len(lines) == 4
    assert lines[2].startswith("| resnet50, both | 16 | 1.000 [")
    assert (tmp_path / "w" / "explore.md").read_text().splitlines() == lines
    assert len(list(whole_lines(tmp_path / "w" / "explore.jsonl"))) == 2
    unknown = CliRunner().invoke(main, [*words, "--experiment", "wishing"])
    assert unknown.exit_code == 2
    assert "no experiment named ['wishing']" in unknown.output
