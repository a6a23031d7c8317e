"""Does an answer that survives another delivery deserve more trust? Faces judged with the stability check."""

from collections.abc import Sequence
from dataclasses import asdict

from tqdm import tqdm

from facecheck.checker import FaceChecker
from facecheck.model.checkpoint import Model
from training.data import FaceFile
from training.evaluation.corruptions import stratified
from training.evaluation.error_cells import JudgedFace
from training.evaluation.observations import BATCH, delivered_at_random


def judge_stability(model: Model, rows: Sequence[FaceFile], faces: int, device: str = "auto") -> list[JudgedFace]:
    """So many of the rows, evenly over sources, each after a delivery drawn by chance, at the shipped threshold."""
    checker = FaceChecker(model, device=device, stability=True, engine="torch")
    chosen, found = stratified(rows, faces), []
    for start in tqdm(range(0, len(chosen), BATCH), desc="stability", unit="batch", disable=None):
        batch = chosen[start : start + BATCH]
        pictures, places, _ = delivered_at_random(checker, batch)
        for row, (face,) in zip(batch, checker.judge(pictures, places), strict=True):
            wrong = (face.p_fake >= checker.decision.threshold) != row.target
            flips = bool(face.stability and face.stability.flips)
            measured = asdict(face.quality) if face.quality else {}
            source = f"{row.label}/{row.source}"
            found.append(JudgedFace(row.label, source, row.group, face.p_fake, wrong, flips=flips, **measured))
    return found
