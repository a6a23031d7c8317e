"""What one tier of a score table says: overall, by source, by generator, by face size, by who is in the picture.

And whether a second model is better than the first, both on the same bootstrap samples of the same files.
"""

import itertools
from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass

import numpy as np

from training.evaluation.metrics import (
    Bools,
    Floats,
    Indices,
    Rate,
    Report,
    Words,
    balanced,
    clustered_draws,
    coverage_risk,
    rate,
    report,
    roc_auc,
    source_weights,
    threshold_at,
)
from training.evaluation.scores import Scores

SIZE_EDGES = (0, 32, 48, 64, 96, 128, 160, 192, 256)
AGE_EDGES = (0, 3, 10, 20, 40, 60)
SMALLEST_GROUP = 20
SMALLEST_AIMED = 30
"""Faces from which on the false alarms of a source of photographs are held against `MOST_FALSE_ALARMS`."""
MOST_FALSE_ALARMS = 0.03
POOLED_FALSE_ALARMS = 0.01


@dataclass(frozen=True)
class Source:
    """One source: verdicts, and errors at the threshold with no uncertain answers.

    Attributes:
        right, uncertain: shares of the verdicts.
        error: photographs accused, or fakes missed, when an answer is forced.
    """

    name: str
    faces: int
    right: float
    uncertain: float
    error: Rate


@dataclass(frozen=True)
class Generator:
    """The fakes of one generator against all photographs of the tier.

    Attributes:
        tpr: where 1 % of all photographs are accused. true_positive_rate: at the threshold.
    """

    name: str
    auc: float
    tpr: float
    true_positive_rate: Rate


@dataclass(frozen=True)
class Slice:
    """Photographs (false alarms) or fakes (misses) of people who share an attribute."""

    attribute: str
    label: str
    error: Rate


@dataclass(frozen=True)
class TierSummary:
    """Everything that is reported of one tier.

    Attributes:
        intervals: 95 % bootstrap intervals over sources, of the metrics in `Report.named`.
        source_alike, face_alike: balanced accuracy of forced answers where every source weighs exactly the same, and
            where every face does.
        aurc: area under the coverage-risk curve. missed: faces that the detector did not find.
        worst_real, worst_fake, worst_slice: the highest error among sources and attributes of at least
            `SMALLEST_GROUP` faces.
    """

    tier: str
    report: Report
    intervals: dict[str, tuple[float, float]]
    source_alike: float
    face_alike: float
    aurc: float
    missed: int
    sources: tuple[Source, ...]
    generators: tuple[Generator, ...]
    sizes: tuple[Rate, ...]
    fairness: tuple[Slice, ...]
    worst_real: Rate | None
    worst_fake: Rate | None
    worst_slice: Rate | None

    @property
    def alarming(self) -> tuple[Rate, ...]:
        """The sources of photographs of at least `SMALLEST_AIMED` faces with too many false alarms, the worst first."""
        real = [source.error for source in self.sources if source.name.startswith("real/")]
        found = [item for item in real if item.faces >= SMALLEST_AIMED and item.rate > MOST_FALSE_ALARMS]
        return tuple(sorted(found, key=lambda item: -item.rate))


def summarise(tier: str, part: Scores, rounds: int = 500) -> TierSummary:
    """All numbers of one tier; `rounds` of the bootstrap."""
    found, slices = sources(part), fairness(part)
    alike = [source_weights(part.strata, part.targets, half=half) for half in (0.0, float("inf"))]
    source_alike, face_alike = (balanced(part.forced_choice, part.targets, weights) for weights in alike)
    return TierSummary(
        tier=tier,
        report=report_of(part),
        intervals=intervals(part, rounds),
        source_alike=source_alike,
        face_alike=face_alike,
        aurc=float(coverage_risk(part.confidence, part.forced_choice)[1].mean()),
        missed=int((~part.detected).sum()),
        sources=found,
        generators=generators(part),
        sizes=sizes(part),
        fairness=slices,
        worst_real=worst([source.error for source in found if source.name.startswith("real/")]),
        worst_fake=worst([source.error for source in found if source.name.startswith("fake/")]),
        worst_slice=worst([item.error for item in slices]),
    )


def report_of(part: Scores) -> Report:
    """The metrics of a table."""
    return report(part.p_fake, part.targets, part.credit, part.forced_choice, part.weights)


def intervals(part: Scores, rounds: int) -> dict[str, tuple[float, float]]:
    """95 % interval of every metric: whole sources drawn anew within each class."""
    found = resampled(part, clustered_draws(part.strata, part.targets, rounds))
    low, high = np.quantile(found, [0.025, 0.975], axis=0).tolist()
    return dict(zip(report_of(part).named(), zip(low, high, strict=True), strict=True))


def resampled(part: Scores, draws: Iterable[Indices]) -> Floats:
    """(rounds, metrics): the metrics of `Report.named`, in its order, of each bootstrap sample."""
    p_fake, targets, credit, forced, weights = part.p_fake, part.targets, part.credit, part.forced_choice, part.weights
    reports = (report(p_fake[i], targets[i], credit[i], forced[i], weights[i]) for i in draws)
    return np.array([list(drawn.named().values()) for drawn in reports])


def sources(part: Scores) -> tuple[Source, ...]:
    """Every "label/source", in alphabetical order."""
    wrong, credit = part.forced_choice == 0, part.credit

    def source(name: str, inside: Bools) -> Source:
        mine = credit[inside]
        return Source(
            name, len(mine), float((mine == 1).mean()), float((mine == 0.5).mean()), rate(name, wrong[inside])
        )

    return tuple(source(name, inside) for name, inside in _groups(part.strata))


def generators(part: Scores) -> tuple[Generator, ...]:
    """Every generator against all photographs; fakes without a generator go by their source."""
    real, fake = part.where(part.label == "real"), part.where(part.label == "fake")
    names = np.where(fake.generator == "", fake.source, fake.generator)
    weights = real.weights
    limit = threshold_at(real.p_fake, POOLED_FALSE_ALARMS, weights)

    def generator(name: str, inside: Bools) -> Generator:
        scores = fake.p_fake[inside]
        targets = np.repeat([0, 1], [len(real), len(scores)])
        each = np.concatenate([weights, np.ones(len(scores))])
        area = roc_auc(targets, np.concatenate([real.p_fake, scores]), each)
        return Generator(name, area, float((scores > limit).mean()), rate(name, fake.forced_choice[inside] == 1))

    return tuple(generator(name, inside) for name, inside in _groups(names))


def sizes(part: Scores) -> tuple[Rate, ...]:
    """Error of forced answers by the face's size after delivery, in pixels; unknown sizes are left out."""
    return _binned(part.face_px, SIZE_EDGES, part.forced_choice == 0)


def fairness(part: Scores) -> tuple[Slice, ...]:
    """False alarms and misses by age, gender and ethnicity, where the source says so."""
    found = []
    for label in ("real", "fake"):
        mine = part.where(part.label == label)
        wrong = mine.forced_choice == 0
        ages = np.array([_years(text) for text in mine.age.tolist()])
        found += [Slice("age", label, item) for item in _binned(ages, AGE_EDGES, wrong)]
        words = np.where(np.isnan(ages), mine.age, "")
        for attribute, values in (("age", words), ("gender", mine.gender), ("ethnicity", mine.ethnicity)):
            known = ((name, inside) for name, inside in _groups(values) if name)
            found += [Slice(attribute, label, rate(name, wrong[inside])) for name, inside in known]
    return tuple(found)


def worst(rates: Sequence[Rate]) -> Rate | None:
    """The highest rate among those of at least `SMALLEST_GROUP` faces."""
    large = [item for item in rates if item.faces >= SMALLEST_GROUP]
    return max(large, key=lambda item: item.rate, default=None)


def _years(text: str) -> float:
    """Age as a number; nan for none, and for words such as "adult", which make groups of their own."""
    try:
        return float(text)
    except ValueError:
        return float("nan")


def _groups(names: Words) -> list[tuple[str, Bools]]:
    return [(str(name), names == name) for name in np.unique(names)]


def _binned(values: Floats, edges: Sequence[int], hits: Bools) -> tuple[Rate, ...]:
    """The rate of `hits` between edges, low included; the last bin is open, empty ones are left out."""
    found = []
    for low, high in itertools.pairwise((*edges, np.inf)):
        inside = (values >= low) & (values < high)
        if inside.any():
            found.append(rate(f"{low} to {high:g}" if np.isfinite(high) else f"from {low}", hits[inside]))
    return tuple(found)


@dataclass(frozen=True)
class Difference:
    """One metric of two models in one tier.

    Attributes:
        difference: second - first, with its 95 % interval `low` to `high`.
        p_value: two-sided, of no difference, from the same bootstrap.
    """

    tier: str
    metric: str
    first: float
    second: float
    difference: float
    low: float
    high: float
    p_value: float


def compare(
    first: Scores, second: Scores, rounds: int = 500, seed: int = 0, over_sources: bool = False
) -> list[Difference]:
    """Paired bootstrap in every tier that both have.

    Args:
        over_sources: draw whole sources anew, for what is said of sources that neither has seen; otherwise groups
            (near-duplicates, identities, prompts), for what is said of more pictures from the same sources.

    Raises:
        ValueError: no tier in common, or a tier's files or labels differ.
    """
    ours, theirs = first.by_tier(), second.by_tier()
    common = [tier for tier in ours if tier in theirs]
    if not common:
        raise ValueError(f"no tier in common: {', '.join(ours)} against {', '.join(theirs)}")
    return [
        item for tier in common for item in _differences(tier, ours[tier], theirs[tier], rounds, seed, over_sources)
    ]


def _differences(
    tier: str, first: Scores, second: Scores, rounds: int, seed: int, over_sources: bool
) -> Iterator[Difference]:
    first, second = first.where(np.argsort(first.file)), second.where(np.argsort(second.file))
    if not (np.array_equal(first.file, second.file) and np.array_equal(first.label, second.label)):
        raise ValueError(f"tier {tier!r}: the two were not scored on the same files with the same labels")
    clusters = first.strata if over_sources else np.where(first.group == "", first.file, first.group)
    draws = list(clustered_draws(clusters, first.targets, rounds, seed))
    gaps = resampled(second, draws) - resampled(first, draws)
    before, after = report_of(first).named(), report_of(second).named()
    for metric, gap in zip(before, gaps.T, strict=True):
        low, high = np.quantile(gap, [0.025, 0.975]).tolist()
        change = after[metric] - before[metric]
        yield Difference(tier, metric, before[metric], after[metric], change, low, high, _p_value(gap))


def _p_value(gaps: Floats) -> float:
    """Twice the smaller tail, with the one that was observed counted in (Davison and Hinkley 1997, 4.2)."""
    tail = 1 + min(int((gaps <= 0).sum()), int((gaps >= 0).sum()))
    return min(2 * tail / (1 + len(gaps)), 1.0)
