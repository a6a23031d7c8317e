"""How often a photograph is called generated after it was processed, by kind: before and after, side by side."""

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
from tqdm import tqdm

from facecheck.checker import FaceChecker
from training.data import FaceFile, read_rgb
from training.evaluation.corruptions import judged_at
from training.processing import PROCESSES


@dataclass(frozen=True)
class Processed:
    """All chosen photographs after one kind of processing.

    Attributes:
        process: a name of `training.processing.PROCESSES`.
        false_positive_rate: share called generated at the threshold. called_fake: share whose verdict is `fake`.
    """

    process: str
    photographs: int
    false_positive_rate: float
    called_fake: float


def measure_processing(checker: FaceChecker, photographs: Sequence[FaceFile], seed: int = 0) -> list[Processed]:
    """Every kind of processing on every photograph, sources weighing the same.

    Args:
        photographs: real faces; each is judged at its known box.
    """
    sources = [row.source for row in photographs]
    weights = np.array([1 / sources.count(source) for source in sources])
    over, fake = (np.zeros((len(photographs), len(PROCESSES))) for _ in range(2))
    for index, row in enumerate(tqdm(photographs, desc="processed", unit="face", disable=None)):
        picture, box = read_rgb(row.path), np.array(row.box)
        made = [
            (process(picture, box, np.random.default_rng((seed, index, kind))), box)
            for kind, process in enumerate(PROCESSES.values())
        ]
        faces = judged_at(checker, made)
        over[index] = [face.p_fake >= checker.config.decision.threshold for face in faces]
        fake[index] = [face.verdict == "fake" for face in faces]
    shares = zip(
        PROCESSES, np.average(over, axis=0, weights=weights), np.average(fake, axis=0, weights=weights), strict=True
    )
    return [Processed(name, len(photographs), float(rate), float(called)) for name, rate, called in shares]


def markdown(found: Sequence[tuple[str, Sequence[Processed]]]) -> str:
    """One table of several models by title: the false positive rate, in brackets the share of `fake` verdicts."""
    lines = ["| photographs | " + " | ".join(title for title, _ in found) + " |", "|---" * (len(found) + 1) + "|"]
    for row in zip(*(points for _, points in found), strict=True):
        cells = [f"{point.false_positive_rate:.1%} ({point.called_fake:.1%})" for point in row]
        lines.append("| " + " | ".join([row[0].process, *cells]) + " |")
    return "\n".join(lines)
