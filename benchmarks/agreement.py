"""Whether two stacks see the same faces and say the same of them, on the pictures that are timed and on more."""

from collections.abc import Iterable, Sequence
from dataclasses import dataclass, replace

import torch
from scipy.optimize import linear_sum_assignment
from torchvision.ops import box_iou

from benchmarks.harness import Bar, Bench, Part, Table
from benchmarks.inputs import ALL
from facecheck import calibration
from facecheck.model.config import Decision
from facecheck.result import Face, Prediction

SAME_FACE_IOU = 0.5
LARGE_PX = 40
AGREEMENT_BAR = 0.995
AGREEMENT_COLUMNS = (
    "faces of naive",
    "of facecheck",
    "of both",
    f"lost, >= {LARGE_PX} px",
    "same verdict, faces",
    "same verdict, pictures",
)


@dataclass(frozen=True)
class Agreement:
    """The naive stack and facecheck on the same pictures, counted. Verdicts are by the score alone.

    Attributes:
        matched: faces that both found, by an IoU of at least `SAME_FACE_IOU`.
        lost_large: faces of at least `LARGE_PX` pixels that only the naive stack found.
        same_faces, same_pictures: matched faces, and pictures, with the same verdict.
    """

    pictures: int
    naive_faces: int
    facecheck_faces: int
    matched: int
    lost_large: int
    same_faces: int
    same_pictures: int

    @property
    def face_share(self) -> float:
        """Of the matched faces, how many have the same verdict; NaN without any."""
        return self.same_faces / self.matched if self.matched else float("nan")

    @property
    def picture_share(self) -> float:
        """Of the pictures, how many have the same verdict; NaN without any."""
        return self.same_pictures / self.pictures if self.pictures else float("nan")


def agreement(pairs: Iterable[tuple[Prediction, Prediction]], decision: Decision) -> Agreement:
    """Compare predictions of the naive stack with those of facecheck, picture by picture."""
    both = [(by_score(naive, decision), by_score(ours, decision)) for naive, ours in pairs]
    matches = [matching(naive.faces, ours.faces) for naive, ours in both]
    lost = [
        face
        for (naive, _), match in zip(both, matches, strict=True)
        for index, face in enumerate(naive.faces)
        if index not in dict(match)
    ]
    return Agreement(
        pictures=len(both),
        naive_faces=sum(len(naive.faces) for naive, _ in both),
        facecheck_faces=sum(len(ours.faces) for _, ours in both),
        matched=sum(map(len, matches)),
        lost_large=sum(face.size_px >= LARGE_PX for face in lost),
        same_faces=sum(
            naive.faces[i].verdict == ours.faces[j].verdict
            for (naive, ours), match in zip(both, matches, strict=True)
            for i, j in match
        ),
        same_pictures=sum(naive.verdict == ours.verdict for naive, ours in both),
    )


def agreement_cells(found: Agreement) -> tuple[object, ...]:
    """For a table with `AGREEMENT_COLUMNS`."""
    counts = (found.naive_faces, found.facecheck_faces, found.matched, found.lost_large)
    return *counts, f"{found.face_share:.2%}", f"{found.picture_share:.2%}"


def agreement_bars(found: Agreement, where: str) -> list[Bar]:
    """Of faces and of pictures."""
    return [
        Bar(f"same verdict of a face, {where}", AGREEMENT_BAR, found.face_share),
        Bar(f"same verdict of a picture, {where}", AGREEMENT_BAR, found.picture_share),
    ]


def matching(first: Sequence[Face], second: Sequence[Face]) -> list[tuple[int, int]]:
    """Pairs of indices of the same face, each face at most once, with the largest sum of IoU."""
    if not first or not second:
        return []
    overlap = box_iou(*(torch.tensor([face.box for face in faces]) for faces in (first, second))).numpy()
    pairs = zip(*linear_sum_assignment(overlap, maximize=True), strict=True)
    return [(int(i), int(j)) for i, j in pairs if overlap[i, j] >= SAME_FACE_IOU]


def by_score(prediction: Prediction, decision: Decision) -> Prediction:
    """The same with verdicts that no reason (too small, blurred ...) has turned into `uncertain`."""
    faces = tuple(
        replace(face, verdict=calibration.verdict(face.p_fake, decision), reasons=()) for face in prediction.faces
    )
    return replace(prediction, faces=faces)


@dataclass(frozen=True)
class Verdicts(Part):
    """All photos, and stored faces."""

    agreement: Agreement

    def tables(self) -> list[Table]:
        """See `benchmarks.harness.Part`."""
        row = (f"{self.agreement.pictures} photos and stored faces", *agreement_cells(self.agreement))
        return [Table("Agreement on more pictures", ("pictures", *AGREEMENT_COLUMNS), [row])]

    def bars(self) -> list[Bar]:
        """See `benchmarks.harness.Part`."""
        return agreement_bars(self.agreement, f"{self.agreement.pictures} photos and stored faces")


def run(bench: Bench) -> Verdicts:
    """Let both judge everything once; nothing is timed."""
    paths = (*bench.inputs.named(ALL).paths, *bench.inputs.stored_faces)
    pairs = zip(map(bench.naive.predict, paths), bench.checker.stream(paths), strict=True)
    return Verdicts(agreement(pairs, bench.checker.decision))
