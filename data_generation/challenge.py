"""How much of a generator does a detector catch, and which prompts slip through?"""

from collections import defaultdict
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import numpy.typing as npt
from PIL import Image

import facecheck
from data_generation.record import Row
from facecheck import FaceChecker, Prediction
from facecheck.model.files import DEFAULT_MODEL
from training.augment import delivered
from training.evaluation.metrics import wilson

Pixels = npt.NDArray[np.uint8]
CLEAN, WEB = "clean", "web"
"""Of `training.augment.TIERS`."""
FEWEST = 5
"""Images that a value of an attribute must have before its rate is reported."""


@dataclass(frozen=True)
class Scored:
    """One accepted image and what the detector says of it, as made and in the tier *web*."""

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


def score(rows: Sequence[Row], folder: Path, model: str = "") -> tuple[FaceChecker, list[Scored]]:
    """Ask a facecheck model (the default one without a name) about every image, in both tiers."""
    checker = FaceChecker(model or DEFAULT_MODEL, engine="torch")  # The published rates are the reference's.
    paths = [folder / row.file for row in rows]
    answers = {CLEAN: checker.predict(paths), WEB: checker.predict(delivered(path.read_bytes(), WEB) for path in paths)}
    return checker, [Scored(row, {tier: found[i] for tier, found in answers.items()}) for i, row in enumerate(rows)]


def rate(name: str, scored: Sequence[Scored], tier: str = CLEAN) -> Rate:
    """Count the verdicts."""
    verdicts = [each.answers[tier].verdict for each in scored]
    kinds = (facecheck.Verdict.FAKE, facecheck.Verdict.UNCERTAIN, facecheck.Verdict.REAL, facecheck.Verdict.NO_FACE)
    return Rate(name, len(scored), *(verdicts.count(kind) for kind in kinds))


def by_attribute(scored: Sequence[Scored], attributes: Mapping[str, Mapping[str, str]]) -> list[Rate]:
    """Rates for each value of each attribute that has enough images, the least caught first.

    Args:
        attributes: prompt id -> attributes of its plan cell.
    """
    groups: defaultdict[str, list[Scored]] = defaultdict(list)
    for each in scored:
        if each.row.recipe.prompt:
            for name, value in attributes.get(each.row.recipe.prompt_id, {}).items():
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
        with Image.open(folder / each.row.file, formats=("PNG",)) as opened:
            sheet.paste(
                opened.convert("RGB").resize((side, side), Image.Resampling.BICUBIC),
                (number % columns * side, number // columns * side),
            )
    return np.asarray(sheet)
