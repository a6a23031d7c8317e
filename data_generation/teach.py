"""Half of a generator's images teach the detector; the other half, and the world, tell what it learned and forgot.

Halves are made of whole groups (the images of one plan cell, of one photograph, of one grid), so that nothing of what
is asked about was seen in learning.
"""

import dataclasses
import html
import json
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

from data_generation.challenge import CLEAN, Rate, Scored, World, judge_world, rate, score
from data_generation.challenge_report import headline, page, table
from data_generation.errors import GenerationError
from data_generation.export import export, group_of
from data_generation.gate import rows_by_id
from data_generation.record import Row
from facecheck.files import sha256_of, write_atomically
from facecheck.model.files import DEFAULT_MODEL, find_weights
from training.augment import TIERS
from training.data import read_manifest
from training.faces.layouts import recognise
from training.faces.prepare import PrepareConfig, prepare
from training.fitting.trainer import TrainConfig
from training.fitting.update import Dataset, Outcome, update

FEWEST = 12
"""Accepted images, below which a half cannot be split further."""


@dataclass(frozen=True)
class Lesson:
    """What came of it.

    Attributes:
        before, after: verdicts on the half that was not learned, by tier. world_before, world_after: on the data set.
        outcome: of `training.fitting.update`: whether the candidate may replace the present model.
    """

    generator: str
    before: dict[str, Rate]
    after: dict[str, Rate]
    world_before: World
    world_after: World
    outcome: Outcome

    @property
    def line(self) -> str:
        """For the screen."""
        return f"before: {headline(self.before[CLEAN])}; retrained: {headline(self.after[CLEAN])}, none of them learned"


class Dealer:
    """Deals groups out to the splits in turn: where a split is drawn, fifteen groups may leave one empty."""

    ROUND = ("train", "train", "test", "train", "val", "train", "train")

    def __init__(self) -> None:
        self.dealt: dict[str, str] = {}

    def __call__(self, group: str) -> str:
        """The split of a group, the same whenever it is asked for."""
        return self.dealt.setdefault(group, self.ROUND[len(self.dealt) % len(self.ROUND)])


def halves(rows: Sequence[Row]) -> tuple[list[Row], list[Row]]:
    """(to be learned, to be asked about): groups in an order that depends on their names only, dealt out in turn."""
    groups = sorted({group_of(row) for row in rows}, key=lambda group: sha256_of(f"half/{group}".encode()))
    learned = set(groups[::2])
    ordered = rows_by_id(rows)
    return [r for r in ordered if group_of(r) in learned], [r for r in ordered if group_of(r) not in learned]


def teach(
    folder: Path, rows: Sequence[Row], out: Path, data: Path, photographs: Sequence[Path], config: TrainConfig,
    min_face_px: int, source: str = "", model: str = "", workers: int = PrepareConfig.workers,
) -> Lesson:  # fmt: skip
    """Learn from half of the accepted `rows` of `folder` into `out`; write taught.html and taught.json.

    Args:
        data: what the present model learned from, a folder of `training prepare`. photographs: real ones for balance.
        config: of the update. model: name or path of the present model; empty = the one that ships.

    Raises:
        GenerationError: there are too few images. ValueError: see `training.fitting.update.update`.
    """
    if len({group_of(row) for row in rows}) < FEWEST:
        raise GenerationError(
            f"{folder} has too few images to learn from one half and ask about the other: {len(rows)}"
        )
    learned, asked = halves(rows)
    export(folder, learned, {row.id: () for row in learned}, out / "export", photographs, source, Dealer())
    places = [recognise(out / "export")]
    prepare(places, out / "data", PrepareConfig(min_face_px, keep_split=True, workers=workers))
    old, new = (Dataset(place, tuple(read_manifest(place))) for place in (data, out / "data"))
    outcome = update(find_weights(model or DEFAULT_MODEL), old, new, config, out / "update")
    before, after = (_by_tier(score(asked, folder, each)[1]) for each in (model, str(outcome.model)))
    world_before, world_after = (judge_world(data, each) for each in (model, str(outcome.model)))
    generator = ", ".join(dict.fromkeys(row.recipe.model for row in rows))
    lesson = Lesson(generator, before, after, world_before, world_after, outcome)
    _write(lesson, out)
    return lesson


def _by_tier(scored: Sequence[Scored]) -> dict[str, Rate]:
    return {tier: rate(tier, scored, tier) for tier in TIERS}


def _write(lesson: Lesson, out: Path) -> None:
    values = {
        "generator": lesson.generator, "model": str(lesson.outcome.model), "refusals": lesson.outcome.refusals,
        **{
            name: {tier: dataclasses.asdict(each) | {"caught": each.caught} for tier, each in rates.items()}
            for name, rates in (("before", lesson.before), ("after", lesson.after))
        },
        "world_before": dataclasses.asdict(lesson.world_before), "world_after": dataclasses.asdict(lesson.world_after),
    }  # fmt: skip
    write_atomically(out / "taught.json", (json.dumps(values, indent=1, ensure_ascii=False) + "\n").encode())
    write_atomically(out / "taught.html", _page(lesson).encode())


def _page(lesson: Lesson) -> str:
    refusals = lesson.outcome.refusals
    verdict = f"must not replace the present one: {'; '.join(refusals)}" if refusals else "may replace the present one"
    head = ("the half that it did not learn from", "images", "before", "retrained", "95 %")
    lines = [
        (tier, after.images, f"{lesson.before[tier].caught:.0%}", f"{after.caught:.0%}",
         f"{after.interval[0]:.0%} to {after.interval[1]:.0%}")
        for tier, after in lesson.after.items()
    ]  # fmt: skip
    title = f"What the detector learned from {lesson.generator}"
    return page(
        title,
        [
            f"<h1>{html.escape(title)}</h1><p><strong>{html.escape(lesson.line)}.</strong></p>",
            f"<p>The retrained model {html.escape(verdict)}. It lies at <code>{html.escape(str(lesson.outcome.model))}"
            "</code>.</p>",
            table(head, lines),
            "<h2>Was anything forgotten?</h2><p class=note>The same pictures of the split "
            f"{lesson.world_before.split}, before and after, in each delivery tier.</p>",
            _world(lesson.world_before, lesson.world_after),
        ],
    )


def _world(before: World, after: World) -> str:
    names = sorted({(each.label, each.name) for each in before.rates}, key=lambda pair: (pair[0] != "real", pair[1]))
    head = ("called fake", *(f"{tier}, {when}" for tier in TIERS for when in ("before", "retrained")))
    lines = []
    for label, name in names:
        kind = "photographs" if label == "real" else "generators"
        pairs = [(before.of(tier, label, name), after.of(tier, label, name)) for tier in TIERS]
        shares = [f"{each.share:.0%}" if each else "" for pair in pairs for each in pair]
        lines.append((f"{kind}: {name}" if name else f"all {kind}", *shares))
    return table(head, lines)
