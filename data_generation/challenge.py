"""How much of a generator does a detector catch, which prompts slip through, and what does it say of photographs?"""

import dataclasses
from collections import Counter, defaultdict
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt
from PIL import Image

import facecheck
from data_generation.record import Row
from facecheck import FaceChecker, Prediction, image
from facecheck.model import DEFAULT_MODEL
from facecheck.model.config import ModelConfig
from training.augment import TIERS, delivered
from training.data import judged_split, read_manifest
from training.evaluation.metrics import wilson
from training.evaluation.scores import Scores
from training.evaluation.subject import judge

Pixels = npt.NDArray[np.uint8]
CLEAN, WEB = "clean", "web"
"""Of `training.augment.TIERS`."""
FEWEST = 5
"""Images that a value of an attribute must have before its rate is reported."""
ENOUGH = 30
"""Images, below which a rate says little."""


@dataclass(frozen=True)
class Scored:
    """One accepted image and what the detector says of it in each delivery tier."""

    row: Row
    answers: Mapping[str, Prediction]

    def p_fake(self, tier: str = CLEAN) -> float:
        """Of the largest face; 0 where the detector found none."""
        faces = self.answers[tier].faces
        return faces[0].p_fake if faces else 0.0

    @property
    def is_caught(self) -> bool:
        """Whether it is called fake as it was made."""
        return self.answers[CLEAN].verdict == facecheck.Verdict.FAKE


@dataclass(frozen=True)
class Rate:
    """Images of one kind: how many were called fake, uncertain, real, or had no face.

    Attributes:
        interval: 95 %, of the share called fake (Wilson 1927).
    """

    name: str
    images: int
    fake: int
    uncertain: int
    real: int
    no_face: int

    @property
    def caught(self) -> float:
        """Share called fake."""
        return self.fake / self.images

    @property
    def interval(self) -> tuple[float, float]:
        """Of `caught`."""
        return wilson(self.fake, self.images)


@dataclass(frozen=True)
class WorldRate:
    """Pictures of one kind that nobody trained on, in one tier: a share called fake.

    Attributes:
        name: of the source of photographs, or of the generator; empty for all of a kind, sources weighing the same.
        share: in [0, 1]; low, high: 95 %, Wilson; of all of a kind the lowest and highest source.
    """

    name: str
    label: str
    tier: str
    pictures: int
    share: float
    low: float
    high: float


@dataclass(frozen=True)
class World:
    """What the same detector says of the data set's own split.

    Attributes:
        split: "world", or "test" where the data set sets no source aside.
    """

    split: str
    rates: tuple[WorldRate, ...]

    def of(self, tier: str, label: str, name: str = "") -> WorldRate | None:
        """One rate; None where there is no such picture."""
        found = (rate for rate in self.rates if (rate.tier, rate.label, rate.name) == (tier, label, name))
        return next(found, None)


def score(rows: Sequence[Row], folder: Path, model: str = "") -> tuple[FaceChecker, list[Scored]]:
    """Ask a facecheck model (the default one without a name) about every image, in every tier."""
    checker = FaceChecker(model or DEFAULT_MODEL, engine="torch")  # The published rates are the reference's.
    paths = [folder / row.file for row in rows]
    answers = {
        tier: checker.predict(paths if TIERS[tier] is None else (delivered(path.read_bytes(), tier) for path in paths))
        for tier in TIERS
    }
    return checker, [Scored(row, {tier: found[i] for tier, found in answers.items()}) for i, row in enumerate(rows)]


def judge_world(data: Path, model: str = "") -> World:
    """What a model says of the split that rates are stated from, at its own threshold.

    Where its decision was fitted on that very split, each source is judged by one that was fitted on others. What was
    judged once is kept in facecheck's cache.
    """
    rows = read_manifest(data)
    split = judged_split(rows, "test")
    judged = judge(model or DEFAULT_MODEL, [row for row in rows if row.split == split], data, tuple(TIERS))
    return World(split, tuple(_world_rates(judged.scores)))


def _world_rates(scores: Scores) -> Iterator[WorldRate]:
    for tier, part in scores.by_tier().items():
        names = np.where(part.label == "fake", np.where(part.generator == "", part.source, part.generator), part.source)
        for label in ("real", "fake"):
            of_label, found = part.label == label, []
            for name in sorted(set(names[of_label].tolist())):
                chosen = of_label & (names == name)
                hits, count = int((part.verdict[chosen] == "fake").sum()), int(chosen.sum())
                found.append(WorldRate(name, label, tier, count, hits / count, *wilson(hits, count)))
            yield from found
            if found:
                shares = [each.share for each in found]
                total = sum(each.pictures for each in found)
                yield WorldRate("", label, tier, total, sum(shares) / len(shares), min(shares), max(shares))


def rate(name: str, scored: Sequence[Scored], tier: str = CLEAN) -> Rate:
    """Count the verdicts."""
    verdicts = [each.answers[tier].verdict for each in scored]
    kinds = (facecheck.Verdict.FAKE, facecheck.Verdict.UNCERTAIN, facecheck.Verdict.REAL, facecheck.Verdict.NO_FACE)
    return Rate(name, len(scored), *(verdicts.count(kind) for kind in kinds))


def by_tier(scored: Sequence[Scored]) -> dict[str, Rate]:
    """A rate for each delivery tier."""
    return {tier: rate(tier, scored, tier) for tier in TIERS}


def by_attribute(scored: Sequence[Scored], attributes: Mapping[str, Mapping[str, str]]) -> list[Rate]:
    """Rates for each value of each attribute that has enough images, the least caught first.

    Args:
        attributes: prompt id -> attributes of its plan cell, for rows of earlier versions, which do not say them.
    """
    groups: defaultdict[str, list[Scored]] = defaultdict(list)
    for each in scored:
        if each.row.recipe.prompt:
            known = each.row.attributes or attributes.get(each.row.recipe.prompt_id, {})
            for name, value in known.items():
                groups[f"{name}: {value}"].append(each)
    rates = [rate(name, members) for name, members in groups.items() if len(members) >= FEWEST]
    return sorted(rates, key=lambda found: (found.caught, found.name))


def missed(scored: Sequence[Scored]) -> list[Scored]:
    """Those that are not called fake as they were made, the least suspicious first."""
    return sorted((each for each in scored if not each.is_caught), key=Scored.p_fake)


def contact_sheet(scored: Sequence[Scored], folder: Path, columns: int = 8, side: int = 128) -> Pixels:
    """Thumbnails in reading order: (rows * side, columns * side, 3) uint8 RGB."""
    lines = max(-(-len(scored) // columns), 1)
    sheet = Image.new("RGB", (columns * side, lines * side), "white")
    for number, each in enumerate(scored):
        shown = Image.fromarray(image.load(folder / each.row.file)).resize((side, side), Image.Resampling.BICUBIC)
        sheet.paste(shown, (number % columns * side, number // columns * side))
    return np.asarray(sheet)


def headline(found: Rate) -> str:
    """One sentence."""
    low, high = found.interval
    return f"{found.caught:.0%} of {found.images} images are called fake (95 %: {low:.0%} to {high:.0%})"


@dataclass(frozen=True)
class Challenge:
    """Everything that the page tells.

    Attributes:
        folder: of the images. scored: accepted ones. attempted: images before the gate.
        attributes: prompt id -> attributes. world: what the detector says of a data set; None where none was given.
        commands: what retrains with these images.
    """

    folder: Path
    scored: Sequence[Scored]
    attempted: int
    checker: FaceChecker
    attributes: Mapping[str, Mapping[str, str]]
    world: World | None = None
    commands: str = ""

    @property
    def judge(self) -> ModelConfig:
        """The detector's config."""
        return self.checker.config

    @property
    def generator(self) -> str:
        """The model, or the models, that made the images."""
        return ", ".join(dict.fromkeys(each.row.recipe.model for each in self.scored))


def rate_values(found: Rate) -> dict[str, Any]:
    """For JSON."""
    return {**dataclasses.asdict(found), "caught": found.caught, "interval": found.interval}


def summary(found: Challenge) -> dict[str, Any]:
    """The numbers of the page, for JSON."""
    judge, scored = found.judge, found.scored
    return {
        "generator": found.generator, "revision": scored[0].row.recipe.revision,
        "detector": {"name": judge.name, "version": judge.version, "sha256": judge.sha256},
        "attempted": found.attempted, "accepted": len(scored), "known_by": labels_known(scored),
        "deliveries": {tier: rate_values(each) for tier, each in by_tier(scored).items()},
        "world": dataclasses.asdict(found.world) if found.world else None,
        "attributes": [rate_values(each) for each in by_attribute(scored, found.attributes)],
        "missed": [
            {"id": each.row.id, "p_fake": each.p_fake(), "prompt": each.row.recipe.prompt} for each in missed(scored)
        ],
        "scores": {each.row.id: each.p_fake() for each in scored},
    }  # fmt: skip


def labels_known(scored: Sequence[Scored]) -> dict[str, int]:
    """How the labels are known: the first sentence of each record -> images."""
    said = Counter(f"{each.row.known_by.partition('. ')[0].rstrip('.')}." for each in scored if each.row.known_by)
    return dict(said.most_common())
