"""An evaluation: its question, its frozen description, and its Markdown, JSON and pictures in one folder."""

import json
import math
from collections.abc import Sequence
from dataclasses import asdict, dataclass, replace
from pathlib import Path

import numpy as np

from facecheck.files import write_atomically
from training.data import LEARNED, WORLD, FaceFile, sources_of
from training.evaluation import plots, tables
from training.evaluation.corruptions import CurvePoint
from training.evaluation.scores import Scores
from training.evaluation.subject import How, Judged, Subject, judge
from training.evaluation.summary import Difference, TierSummary, compare, summarise

CARD_BEGIN, CARD_END = "<!-- evaluation:begin -->", "<!-- evaluation:end -->"
NO_RATES = (
    "On sources that it has not learned from nothing was measured here: these numbers say nothing about the world."
)
NOT_THE_WORLD = "Split test: other files of sources that stand in the training data. The world is harder."
_PICTURES = {
    "reliability.png": "Reliability",
    "roc.png": "ROC",
    "coverage_risk.png": "Coverage and risk",
    "size_error.png": "Error by face size",
    "robustness.png": "Robustness",
}


@dataclass(frozen=True)
class Evaluation:
    """An evaluation, complete.

    Attributes:
        command: what makes it again, without anybody's paths.
        learned_from, left_out: sources of the split that the subject was trained on, and that were not judged.
        other_learned_from: sources of the split that `other` was trained on.
        crossfitted: each source was judged by a decision that was fitted on others.
        curves: empty where they were not measured.
        other, other_tiers: another subject on the same files. compared: `other` against `subject`.
        beside: the same subject on the split test, next to the split world.
    """

    subject: Subject
    split: str
    command: str
    tiers: tuple[TierSummary, ...]
    learned_from: tuple[str, ...] = ()
    left_out: tuple[str, ...] = ()
    crossfitted: bool = False
    curves: tuple[CurvePoint, ...] = ()
    other: Subject | None = None
    other_tiers: tuple[TierSummary, ...] = ()
    compared: tuple[Difference, ...] = ()
    beside: tuple[TierSummary, ...] = ()
    other_learned_from: tuple[str, ...] = ()

    def to_json(self) -> str:
        """Everything as JSON text; what is not a number is null."""
        return json.dumps(_finite(asdict(self)), indent=2, allow_nan=False) + "\n"

    def markdown(self) -> str:
        """The tables, under their headings: unseen sources first, what it learned from after them."""
        title = self.other.title if self.other else ""
        parts = [
            self.headline(),
            tables.sources(self.tiers, self.other_tiers, title),
            tables.generators(self.tiers, self.other_tiers, title),
            tables.sizes(self.tiers),
            tables.fairness(self.tiers),
            tables.robustness(self.curves),
            tables.differences(self.compared, self.subject.title, title),
            self._beside(),
        ]
        return "\n\n".join(part for part in parts if part)

    def printed(self) -> str:
        """What a terminal shows: without face sizes, fairness and curves."""
        title = self.other.title if self.other else ""
        parts = [
            self.headline(),
            tables.sources(self.tiers, self.other_tiers, title) if self.split == WORLD else "",
            tables.generators(self.tiers, self.other_tiers, title) if self.split == WORLD else "",
        ]
        return "\n\n".join(part for part in parts if part)

    def headline(self) -> str:
        """What was measured on which sources, and the first tables of it."""
        unseen = self.split == WORLD
        parts = [
            f"**{sources_of(self.split)}**: {self._basis()}",
            tables.aims(self.tiers, self.other_tiers, self.other.title if self.other else "") if unseen else NO_RATES,
            tables.overall(self.tiers),
        ]
        return "\n\n".join(parts)

    def _basis(self) -> str:
        names = [source.name for source in self.tiers[0].sources]
        real = sum(name.startswith("real/") for name in names)
        parts = [
            f"split {self.split}, {self.tiers[0].report.faces} faces of {real} sources of photographs and "
            f"{len(names) - real} of generated faces."
        ]
        if self.crossfitted:
            parts.append("Threshold and calibration of each source were fitted on the other half of the sources.")
        if self.left_out:
            parts.append(f"Left out: {', '.join(self.left_out)}.")
        if self.learned_from and self.split == WORLD:
            parts.append(f"It has learned from {', '.join(self.learned_from)}: these figures are flattered.")
        if self.other and self.other_learned_from and self.split == WORLD:
            known = ", ".join(self.other_learned_from)
            parts.append(f"{self.other.title} has learned from {known}: its figures are flattered.")
        return " ".join(parts)

    def _beside(self) -> str:
        if not self.beside:
            return ""
        return f"## {LEARNED}\n\n{NOT_THE_WORLD}\n\n{tables.overall(self.beside).replace('## Tiers', '### Tiers')}"


def write_scores(folder: Path, scores: Scores) -> None:
    """Write scores.csv at once, for it is what took the time: the rest can be made from it again."""
    folder.mkdir(parents=True, exist_ok=True)
    write_atomically(folder / "scores.csv", scores.to_csv().encode())


def write_report(folder: Path, evaluation: Evaluation, scores: Scores) -> None:
    """Write report.md, report.json, scores.csv and the pictures into `folder`, each atomically."""
    write_scores(folder, scores)
    drawn = _draw(evaluation, scores)
    for name, data in drawn.items():
        write_atomically(folder / name, data)
    write_atomically(folder / "report.json", evaluation.to_json().encode())
    write_atomically(folder / "report.md", _page(evaluation, list(drawn)).encode())


def write_card(card: Path, evaluation: Evaluation) -> None:
    """Replace what stands between `CARD_BEGIN` and `CARD_END` in a model card by the tables and their command."""
    before, after = around_markers(card)
    tables_below = evaluation.markdown().replace("## ", "### ")  # The card has a heading above them.
    middle = f"Made by `{evaluation.command}`.\n\n{tables_below}"
    write_atomically(card, f"{before}{CARD_BEGIN}\n{middle}\n{CARD_END}{after}".encode())


def around_markers(card: Path) -> tuple[str, str]:
    """What stands before and after the part of a model card that `write_card` replaces.

    Raises:
        ValueError: the card does not have each marker once, in this order.
    """
    before, begin, rest = card.read_text(encoding="utf-8").partition(CARD_BEGIN)
    _, end, after = rest.partition(CARD_END)
    if not begin or not end or CARD_BEGIN in rest or CARD_END in after:
        raise ValueError(f"{card} must have one {CARD_BEGIN} and, after it, one {CARD_END}")
    return before, after


def _draw(evaluation: Evaluation, scores: Scores) -> dict[str, bytes]:
    parts = scores.by_tier()
    figures = {
        "reliability.png": plots.reliability(parts),
        "roc.png": plots.roc(parts),
        "coverage_risk.png": plots.coverage_against_risk(parts),
    }
    if any(summary.sizes for summary in evaluation.tiers):
        figures["size_error.png"] = plots.size_error(evaluation.tiers)
    if evaluation.curves:
        figures["robustness.png"] = plots.robustness(evaluation.curves)
    return {name: plots.png(figure) for name, figure in figures.items()}


def _page(evaluation: Evaluation, pictures: Sequence[str]) -> str:
    subject = evaluation.subject
    weights = f" Weights: sha256 {subject.sha256}." if subject.sha256 else ""
    head = f"# Evaluation of {subject.title}\n\nMade by `{evaluation.command}`.{weights}"
    shown = "\n".join(f"![{_PICTURES[name]}]({name})" for name in pictures)
    return f"{head}\n\n{evaluation.markdown()}\n\n## Pictures\n\n{shown}\n"


def _finite(value: object) -> object:
    if isinstance(value, dict):
        return {key: _finite(item) for key, item in value.items()}
    if isinstance(value, list | tuple):
        return [_finite(item) for item in value]
    return None if isinstance(value, float) and not math.isfinite(value) else value


@dataclass(frozen=True)
class Task:
    """A split of a data folder, and how it is judged.

    Attributes:
        everything: all rows of the manifest in `root`.
        leave_out: sources of the split, as "name" or "label/name", that are not counted.
        rounds: of the bootstrap.

    Raises:
        ValueError: the split lacks a class, or has no such source.
    """

    everything: Sequence[FaceFile]
    root: Path
    tiers: Sequence[str]
    how: How
    split: str
    leave_out: tuple[str, ...] = ()
    rounds: int = 500

    def __post_init__(self) -> None:
        if {row.label for row in self.rows} != {"real", "fake"}:
            raise ValueError(f"split {self.split!r} of {self.root} has {len(self.rows)} files; both classes are needed")
        known = {name for row in self.rows for name in _names(row)}
        if missing := [name for name in self.leave_out if name not in known]:
            raise ValueError(f"split {self.split!r} has no source {', '.join(missing)} to leave out")

    @property
    def rows(self) -> list[FaceFile]:
        """Of the split; with the sources that are left out."""
        return [row for row in self.everything if row.split == self.split]

    @property
    def left_out(self) -> tuple[str, ...]:
        """The sources that are not counted, as "label/name"."""
        return tuple(sorted({_names(row)[1] for row in self.rows if {*_names(row)} & {*self.leave_out}}))

    def judge(self, model: str) -> Judged:
        """Whatever `model` names on the split, without the sources that are left out.

        Raises:
            ModelError, DeviceError, ValueError: as `training.evaluation.subject.judge`.
        """
        judged = judge(model, self.rows, self.root, self.tiers, self.how)
        return replace(judged, scores=judged.scores.where(~np.isin(judged.scores.strata, self.left_out)))

    def summarised(self, judged: Judged) -> tuple[TierSummary, ...]:
        """Each tier of what was judged."""
        return tuple(summarise(tier, part, self.rounds) for tier, part in judged.scores.by_tier().items())

    def evaluation(self, judged: Judged, command: str, points: Sequence[CurvePoint], other: str | None) -> Evaluation:
        """The description of what was judged, beside the model `other` on the same files."""
        second = self.judge(other) if other else None
        over_sources = self.split == WORLD
        return Evaluation(
            judged.subject,
            self.split,
            command,
            self.summarised(judged),
            judged.learned_from(),
            self.left_out,
            judged.crossfitted,
            tuple(points),
            second.subject if second else None,
            self.summarised(second) if second else (),
            tuple(compare(judged.scores, second.scores, self.rounds, over_sources=over_sources)) if second else (),
            other_learned_from=second.learned_from() if second else (),
        )


def _names(row: FaceFile) -> tuple[str, str]:
    return row.source, row.stratum
