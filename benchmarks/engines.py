"""All engines and precisions on the same faces: speed, and agreement with torch in float32."""

import copy
from concurrent.futures import ThreadPoolExecutor
from contextlib import ExitStack
from dataclasses import dataclass

import numpy as np

from benchmarks.classifiers import CutFaces, cut_faces, repeated, stage_runner
from benchmarks.harness import Bar, Bench, Part, Table, median
from benchmarks.inputs import ALL
from facecheck import calibration
from facecheck.batching import WORKER_PICTURES
from facecheck.checker import FaceChecker
from facecheck.engines import BF16, F16, F32, INT8, OPENVINO, TORCH, is_cpu
from facecheck.engines.classifier import Classifier, open_classifier, quantised_of
from facecheck.engines.quantised import MAX_AUC_DROP, MIN_AGREEMENT, Loss
from facecheck.errors import FacecheckError
from facecheck.model.config import Decision
from facecheck.model.files import read_model

REFERENCE = (TORCH, F32)
ON_CPU = (REFERENCE, (TORCH, BF16), (OPENVINO, F32), (OPENVINO, BF16), (OPENVINO, INT8))
ON_GPU = (REFERENCE, (TORCH, BF16), (TORCH, F16))


@dataclass(frozen=True)
class Engines(Part):
    """Speed of every engine that runs here, and how far its answers are from the reference's.

    Attributes:
        face_s: seconds a face in each round, by engine, from as many threads as it likes best.
        same_verdicts: share of the faces with the verdict of torch f32, by engine.
        largest_shift: of p_fake against torch f32, by engine.
        missing: why an engine did not take part.
        faces: that verdicts were compared on.
        losses: of int8 on the test split, as `python -m training quantize` measured them.
    """

    face_s: dict[str, list[float]]
    same_verdicts: dict[str, float]
    largest_shift: dict[str, float]
    missing: dict[str, str]
    faces: int
    losses: tuple[Loss, ...]

    def tables(self) -> list[Table]:
        """See `benchmarks.harness.Part`."""
        columns = ("engine", "faces/s", f"same verdicts, {self.faces} faces", "largest shift of p_fake")
        rows: list[tuple[object, ...]] = [
            (name, 1 / median(rounds), f"{self.same_verdicts[name]:.2%}", self.largest_shift[name])
            for name, rounds in self.face_s.items()
        ]
        engines = Table("Engines", columns, [*rows, *((name, why, "", "") for name, why in self.missing.items())])
        return [engines, self._int8()]

    def _int8(self) -> Table:
        columns = ("tier", "pictures", "AUC, float32", "AUC, int8", "same verdicts")
        rows = [(each.tier, each.pictures, each.auc_f32, each.auc_int8, each.agreement) for each in self.losses]
        return Table("int8 on the test split, by `python -m training quantize`", columns, list(rows))

    def bars(self) -> list[Bar]:
        """See `benchmarks.harness.Part`."""
        return [
            bar
            for each in self.losses
            for bar in (
                Bar(f"int8, fall of the AUC, {each.tier}", MAX_AUC_DROP, each.drop, at_most=True),
                Bar(f"int8, same verdicts, {each.tier}", MIN_AGREEMENT, each.agreement),
            )
        ]


def run(bench: Bench) -> Engines:
    """Measure every engine that runs here."""
    classifiers, missing = _opened(bench.device)
    cut = cut_faces(bench.checker, bench.inputs.named(ALL).paths)
    scores = {name: _p_fake(bench.checker, classifier, cut) for name, classifier in classifiers.items()}
    reference = scores[" ".join(REFERENCE)]
    return Engines(
        _times(bench, classifiers, cut),
        {name: same_verdicts(reference, found, bench.checker.decision) for name, found in scores.items()},
        {name: float(np.abs(found - reference).max(initial=0)) for name, found in scores.items()},
        missing,
        len(reference),
        found.losses if (found := quantised_of(read_model())) else (),
    )


def _p_fake(checker: FaceChecker, classifier: Classifier, cut: CutFaces) -> calibration.Floats:
    """As a checker on that engine answers: with its second looks."""
    other = copy.copy(checker)
    other.classifier = classifier
    return other.p_fake(cut.pixels, face_px=cut.face_px)


def same_verdicts(first: calibration.Floats, second: calibration.Floats, decision: Decision) -> float:
    """Share of faces with the same verdict, by their p_fake; NaN without faces."""
    same = [
        calibration.verdict(a, decision) == calibration.verdict(b, decision) for a, b in zip(first, second, strict=True)
    ]
    return sum(same) / len(same) if same else float("nan")


def _opened(device: str) -> tuple[dict[str, Classifier], dict[str, str]]:
    stored, classifiers, missing = read_model(), {}, {}
    for engine, precision in ON_CPU if is_cpu(device) else ON_GPU:
        try:
            classifiers[f"{engine} {precision}"] = open_classifier(
                stored, device=device, engine=engine, precision=precision
            )
        except FacecheckError as error:
            missing[f"{engine} {precision}"] = str(error)
    return classifiers, missing


def _times(bench: Bench, classifiers: dict[str, Classifier], cut: CutFaces) -> dict[str, list[float]]:
    faces = repeated(cut.pixels, bench.settings.classified)
    with ExitStack() as pools:
        runners = {
            name: stage_runner(
                several, faces, WORKER_PICTURES, pools.enter_context(ThreadPoolExecutor(several.workers))
            )
            for name, several in ((name, classifier.for_workers()) for name, classifier in classifiers.items())
        }
        return bench.take_turns(runners)
