"""The answer: one typed, immutable result that says what was seen, how sure the model is, and what it cannot judge."""

from collections.abc import Sequence
from dataclasses import asdict, dataclass, field
from enum import StrEnum
from typing import Any, Self

from facecheck.error_rates import ChanceOfError
from facecheck.provenance.findings import Provenance

Box = tuple[float, float, float, float]
Point = tuple[float, float]

PROMINENT_SHARE = 0.5


class Verdict(StrEnum):
    """What the pixels say. Compares equal to its word: `prediction.verdict == "fake"`."""

    REAL = "real"
    FAKE = "fake"
    UNCERTAIN = "uncertain"
    NO_FACE = "no_face"

    @property
    def meaning(self) -> str:
        """The sentence that people read instead of the word."""
        return _MEANINGS[self]


class Reason(StrEnum):
    """Why a face or a picture is `uncertain`. Compares equal to its word: `Reason.BLURRED == "blurred"`."""

    FACE_TOO_SMALL = "face_too_small"
    BLURRED = "blurred"
    HEAVY_COMPRESSION = "heavy_compression"
    PARTIAL = "partial"
    BORDERLINE = "borderline"
    UNSTABLE = "unstable"
    BRIEF = "brief"
    INCONSISTENT = "inconsistent"
    INCOMPLETE = "incomplete"


_MEANINGS = {
    Verdict.REAL: "no sign of generation found",
    Verdict.FAKE: "looks generated",
    Verdict.UNCERTAIN: "cannot be judged either way",
    Verdict.NO_FACE: "no face found",
}


@dataclass(frozen=True)
class Stability:
    """How the score of a face moves when the picture is saved and resized again, as websites and messengers do.

    Attributes:
        p_fake: of each delivered copy, in [0, 1].
        deliveries: what was done to each copy, in words.
        low, high: range of p_fake over the copies and the face as given.
        flips: whether a copy falls on the other side of the threshold.
    """

    p_fake: tuple[float, ...]
    deliveries: tuple[str, ...]
    low: float
    high: float
    flips: bool

    @property
    def meaning(self) -> str:
        """The sentence that people read."""
        moved = f"the score lies between {self.low:.2f} and {self.high:.2f} when the picture is saved or resized again"
        return f"{moved}: {'the answer changes with it' if self.flips else 'the answer stays the same'}"

    @classmethod
    def from_dict(cls, values: dict[str, Any]) -> Self:
        """The stability that `Prediction.to_dict` wrote."""
        lists = {name: tuple(values[name]) for name in ("p_fake", "deliveries")}
        return cls(**{**values, **lists})


@dataclass(frozen=True)
class Quality:
    """What was measured of one face, by `facecheck.quality.measure`.

    Attributes:
        face_px: longer side of the box, pixels of the picture as given.
        sharpness: standard deviation of the Laplacian of the classifier's input, grey levels; falls with blur and with
            enlargement (the variance of the Laplacian: Pech-Pacheco et al. 2000).
        blockiness: mean step across the borders of the 8x8 JPEG grid over the mean step elsewhere, in the face's
            original pixels; 1 = no trace of blocks, grows as the quality falls (after Wang, Sheikh, Bovik 2002). A
            picture that was resized or shifted after compression shows none.
        outside: share of the box that lies outside the picture, in [0, 1].
        turned: how far the nose lies beside the middle of the eyes and the mouth, over the distance of the eyes: 0 =
            frontal, 0.5 = about 40 degrees to a side. 0 also where there are no landmarks.
    """

    face_px: float
    sharpness: float
    blockiness: float
    outside: float
    turned: float = 0.0


@dataclass(frozen=True)
class Face:
    """One face.

    Attributes:
        box: xyxy, pixels of the upright picture; may reach a little outside it.
        landmarks: five (x, y), pixels: eyes, nose, corners of the mouth, left to right as the viewer sees them.
        confidence: of the detector, in [0, 1].
        p_fake: calibrated probability that the face was generated, in [0, 1].
        verdict: real, fake or uncertain.
        reasons: why it is uncertain.
        stability: what delivery does to the score; None where it was not asked for.
        quality: its size, sharpness and so on; None where nobody measured it.
        expected_error: how often an answer like this one is wrong on unseen sources; None for an uncertain one, and
            where that was not measured.
    """

    box: Box
    landmarks: tuple[Point, ...]
    confidence: float
    p_fake: float
    verdict: Verdict
    reasons: tuple[Reason, ...] = ()
    stability: Stability | None = None
    quality: Quality | None = None
    expected_error: ChanceOfError | None = None

    @property
    def size_px(self) -> float:
        """Longer side of the box, pixels."""
        return max(self.box[2] - self.box[0], self.box[3] - self.box[1])

    @classmethod
    def from_dict(cls, values: dict[str, Any]) -> Self:
        """The face that `Prediction.to_dict` wrote."""
        x0, y0, x1, y1 = map(float, values["box"])
        error = values.get("expected_error") or {}  # That of 0.2.0 counted sources that the model had learned from.
        return cls(
            box=(x0, y0, x1, y1),
            landmarks=tuple((float(x), float(y)) for x, y in values["landmarks"]),
            confidence=float(values["confidence"]),
            p_fake=float(values["p_fake"]),
            verdict=Verdict(values["verdict"]),
            reasons=tuple(map(Reason, values["reasons"])),
            # 0.2.0 wrote none of these.
            stability=Stability.from_dict(values["stability"]) if values.get("stability") is not None else None,
            quality=Quality(**values["quality"]) if values.get("quality") is not None else None,
            expected_error=ChanceOfError(**error) if "chance" in error else None,
        )


@dataclass(frozen=True)
class Budget:
    """A false-accusation budget: the threshold that was chosen to keep it, and what was measured with it.

    Attributes:
        max_fpr: the share of photographed faces that may be called fake.
        threshold: a face is fake from this p_fake on.
        recall: share of the generated faces that are then called fake; recall_low to recall_high: 95 % interval.
        fpr: share of the photographed faces that are then called fake, on sources that neither the network nor the
            threshold has seen; fpr_low to fpr_high: 95 % interval. None where that was not measured.
    """

    max_fpr: float
    threshold: float
    recall: float
    recall_low: float
    recall_high: float
    fpr: float | None = None
    fpr_low: float | None = None
    fpr_high: float | None = None

    @property
    def meaning(self) -> str:
        """The sentence that people read with a verdict under this budget."""
        recall = f"{self.recall:.1%} of generated ones [95 %: {self.recall_low:.1%} to {self.recall_high:.1%}]"
        if self.fpr is None:
            asked = f"at most {self.max_fpr:.1%} of photographed faces are called fake, {recall}"
            return f"{asked}, on sources it learned from; on unseen sources that was not measured"
        fpr = f"{self.fpr:.1%} of photographed faces are called fake [95 %: {self.fpr_low:.1%} to {self.fpr_high:.1%}]"
        return f"asked for at most {self.max_fpr:.1%}; on sources it has never seen {fpr}, and {recall}"


@dataclass(frozen=True)
class ModelInfo:
    """Which weights gave the answer."""

    name: str
    version: str
    sha256: str


@dataclass(frozen=True)
class Timing:
    """Milliseconds spent on this picture; detection and classification of a batch are shared out evenly."""

    decode: float = 0.0
    detect: float = 0.0
    classify: float = 0.0


@dataclass(frozen=True)
class Prediction:
    """The answer for one picture.

    Attributes:
        source: a short name of the input.
        size: (width, height) of the upright picture, pixels; None if it could not be read.
        faces: largest first; empty is a normal answer.
        error: in batches only: what was wrong with this input. Then `verdict` is None.
        budget: the false-accusation budget that was asked for, with its expected recall; None without one.
        provenance: what the file says about its own origin; it has no part in the verdict. None for pixels.
    """

    source: str
    size: tuple[int, int] | None = None
    faces: tuple[Face, ...] = ()
    model: ModelInfo | None = None
    timing_ms: Timing = field(default_factory=Timing)
    error: str | None = None
    budget: Budget | None = None
    provenance: Provenance | None = None

    @property
    def verdict(self) -> Verdict | None:
        """Fake if any judged face is; else uncertain or real; no_face without faces.

        Uncertain where the largest face is, or half of the prominent ones or more: one blurred or unstable face in a
        crowd takes no answer from the others, but nothing reassuring is said of a picture that is half unclear.
        """
        if self.error is not None:
            return None
        verdicts = {face.verdict for face in _deciding(self.faces)}
        return next((v for v in (Verdict.FAKE, Verdict.UNCERTAIN, Verdict.REAL) if v in verdicts), Verdict.NO_FACE)

    @property
    def p_fake(self) -> float | None:
        """The highest of the faces that decide the verdict; None without a face."""
        return max((face.p_fake for face in _deciding(self.faces)), default=None)

    @property
    def reasons(self) -> tuple[Reason, ...]:
        """Why the picture is uncertain, each reason once; empty for other verdicts."""
        if self.verdict != Verdict.UNCERTAIN:
            return ()
        return tuple(dict.fromkeys(reason for face in _deciding(self.faces) for reason in face.reasons))

    @property
    def contradiction(self) -> str | None:
        """A sentence where the pixels and the file disagree; it changes neither."""
        return self.provenance.contradiction(self.verdict) if self.provenance else None

    def to_dict(self) -> dict[str, Any]:
        """Plain values only, ready for `json.dumps`."""
        values = asdict(self)
        values["provenance"] = self.provenance.to_dict() if self.provenance else None
        values["faces"] = [
            face | {"verdict": str(face["verdict"]), "reasons": tuple(map(str, face["reasons"]))}
            for face in values["faces"]
        ]
        head = {
            "source": self.source,
            "verdict": str(self.verdict) if self.verdict else None,
            "p_fake": self.p_fake,
            "reasons": tuple(map(str, self.reasons)),
            "contradiction": self.contradiction,
        }
        return head | values

    @classmethod
    def from_dict(cls, values: dict[str, Any]) -> Self:
        """The prediction that `to_dict` wrote, also after a trip through JSON.

        Raises:
            KeyError, TypeError, ValueError: not such a dictionary.
        """
        size = values["size"]
        return cls(
            source=str(values["source"]),
            size=(int(size[0]), int(size[1])) if size is not None else None,
            faces=tuple(Face.from_dict(face) for face in values["faces"]),
            model=ModelInfo(**values["model"]) if values["model"] is not None else None,
            timing_ms=Timing(**values["timing_ms"]),
            error=values["error"],
            # 0.1.0 wrote no budget, 0.2.0 no provenance.
            budget=Budget(**values["budget"]) if values.get("budget") is not None else None,
            provenance=Provenance.from_dict(values["provenance"]) if values.get("provenance") is not None else None,
        )


def _deciding(faces: Sequence[Face]) -> list[Face]:
    """The faces that speak for the picture: all that could be judged, and the prominent ones that make it uncertain."""
    if not faces:
        return []
    largest = max(faces, key=lambda face: face.size_px)
    least_px = PROMINENT_SHARE * largest.size_px
    is_unclear = [face.verdict == Verdict.UNCERTAIN for face in faces if face.size_px >= least_px]
    matter = largest.verdict == Verdict.UNCERTAIN or 2 * sum(is_unclear) >= len(is_unclear)
    return [face for face in faces if face.verdict != Verdict.UNCERTAIN or (matter and face.size_px >= least_px)]
