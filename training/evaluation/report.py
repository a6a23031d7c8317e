"""The report: one frozen description of an evaluation, and its Markdown, JSON and pictures in one folder."""

import json
import math
from collections.abc import Sequence
from dataclasses import asdict, dataclass
from pathlib import Path

from facecheck.files import write_atomically
from training.evaluation import plots, tables
from training.evaluation.comparison import Difference
from training.evaluation.corruptions import CurvePoint
from training.evaluation.scores import Scores
from training.evaluation.subject import Subject
from training.evaluation.summary import TierSummary

CARD_BEGIN, CARD_END = "<!-- evaluation:begin -->", "<!-- evaluation:end -->"
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
        curves: empty where they were not measured. compared: `other` against `subject`, empty without another.
    """

    subject: Subject
    split: str
    command: str
    tiers: tuple[TierSummary, ...]
    curves: tuple[CurvePoint, ...] = ()
    other: Subject | None = None
    compared: tuple[Difference, ...] = ()

    def to_json(self) -> str:
        """Everything as JSON text; what is not a number is null."""
        return json.dumps(_finite(asdict(self)), indent=2, allow_nan=False) + "\n"

    def markdown(self) -> str:
        """The tables, under their headings."""
        parts = [
            tables.overall(self.tiers),
            tables.sources(self.tiers),
            tables.generators(self.tiers),
            tables.sizes(self.tiers),
            tables.fairness(self.tiers),
            tables.robustness(self.curves),
            tables.differences(self.compared, self.subject.title, self.other.title if self.other else ""),
        ]
        return "\n\n".join(part for part in parts if part)


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
    head = f"# Evaluation of {subject.title}\n\nMade by `{evaluation.command}` on split {evaluation.split}.{weights}"
    shown = "\n".join(f"![{_PICTURES[name]}]({name})" for name in pictures)
    return f"{head}\n\n{evaluation.markdown()}\n\n## Pictures\n\n{shown}\n"


def _finite(value: object) -> object:
    if isinstance(value, dict):
        return {key: _finite(item) for key, item in value.items()}
    if isinstance(value, list | tuple):
        return [_finite(item) for item in value]
    return None if isinstance(value, float) and not math.isfinite(value) else value
