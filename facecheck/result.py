"""The answer: one typed, immutable result that says what was seen, how sure the model is, and what it cannot judge."""

from collections.abc import Sequence
from dataclasses import asdict, dataclass, field
from enum import StrEnum
from pathlib import Path
from typing import TYPE_CHECKING, Any, Self

from facecheck.error_rates import Budget, ChanceOfError, Quality, Stability
from facecheck.errors import ImageError
from facecheck.files import printable
from facecheck.provenance import Provenance

if TYPE_CHECKING:
    from PIL.Image import Image

    from facecheck.image import Source

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
    """Why an answer is `uncertain`, or a face that is there may not have been found. Compares equal to its word."""

    FACE_TOO_SMALL = "face_too_small"
    BLURRED = "blurred"
    HEAVY_COMPRESSION = "heavy_compression"
    PARTIAL = "partial"
    BORDERLINE = "borderline"
    UNSTABLE = "unstable"
    BRIEF = "brief"
    INCONSISTENT = "inconsistent"
    INCOMPLETE = "incomplete"
    DRAWN = "drawn"
    PICTURE_TOO_SMALL = "picture_too_small"
    NEARLY_ONE_COLOUR = "nearly_one_colour"
    TOO_DARK = "too_dark"
    FRAMES_NOT_SEEN = "frames_not_seen"


_MEANINGS = {
    Verdict.REAL: "no sign of generation found",
    Verdict.FAKE: "looks generated",
    Verdict.UNCERTAIN: "cannot be judged either way",
    Verdict.NO_FACE: "no face found",
}


@dataclass(frozen=True, repr=False)
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

    def __repr__(self) -> str:
        box = ", ".join(f"{edge:.0f}" for edge in self.box)
        return f"Face({self.verdict}, p_fake={self.p_fake:.3f}, box=({box}))"

    def __str__(self) -> str:
        box = ", ".join(f"{edge:.0f}" for edge in self.box)
        judged = f"{self.verdict:<9}  {self.p_fake:.2f}  {self.size_px:>4.0f} px  at ({box})"
        return f"{judged}  {', '.join(self.reasons)}".rstrip()

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


@dataclass(frozen=True, repr=False)
class Prediction:
    """The answer for one picture. `print` gives it in a few lines, a notebook shows it with the picture.

    Attributes:
        source: a short name of the input.
        size: (width, height) of the upright picture, pixels; None if it could not be read.
        faces: largest first; empty is a normal answer.
        error: in batches only: what was wrong with this input. Then `verdict` is None.
        budget: the false-accusation budget that was asked for, with its expected recall; None without one.
        provenance: what the file says about its own origin; it has no part in the verdict. None for pixels.
        path: of the file that was read, for `draw`; None for other inputs, and after a trip through `to_dict`.
        problems: sentences on what had to be assumed to read the picture, or was not looked at.
        turned: quarter turns against the clock after which a face was found, where there was none in the picture as it
            lies. `size` and the faces are those of the turned picture.
        frame: which of the other frames that were looked at was judged; None for the one that the file shows first, or
            that shows most.
        not_seen: why a picture without a face was not really seen.
    """

    source: str
    size: tuple[int, int] | None = None
    faces: tuple[Face, ...] = ()
    model: ModelInfo | None = None
    timing_ms: Timing = field(default_factory=Timing)
    error: str | None = None
    budget: Budget | None = None
    provenance: Provenance | None = None
    path: str | None = field(default=None, compare=False)
    problems: tuple[str, ...] = ()
    turned: int = 0
    frame: int | None = None
    not_seen: tuple[Reason, ...] = ()

    def __repr__(self) -> str:
        told, count = [repr(self.source), str(self.verdict or "unreadable")], len(self.faces)
        told += [] if self.p_fake is None else [f"p_fake={self.p_fake:.3f}", f"{count} face{'s' if count > 1 else ''}"]
        return f"Prediction({', '.join(told)})"

    def __str__(self) -> str:
        return "\n".join([f"{self._title()}", *(f"  {line}" for line in self._lines())])

    def _repr_html_(self) -> str:
        from facecheck.annotation import as_html

        is_there = self.path is not None and self.error is None
        return as_html(self._title(), self._lines(), self.draw if is_there else None)

    def draw(self, picture: "Source | None" = None) -> "Image":
        """The picture with its faces framed and their verdicts written beside them, as a PIL image.

        Args:
            picture: the one that was judged, in any form that `facecheck.image.load` reads. None: its file is read
                again.

        Raises:
            ImageError: it cannot be read, or it was no file and is not given.
        """
        from facecheck import annotation, image

        if picture is None and self.path is None:
            raise ImageError(f"{self.source}: was no file, so it cannot be read again; pass the picture: draw(picture)")
        read = image.read(Path(str(self.path)) if picture is None else picture, name=self.source)
        return annotation.framed(read.view(self.turned, self.frame), self.faces)

    def _title(self) -> str:
        if self.verdict is None:
            return printable(f"{self.source}: could not be read")
        score = "" if self.p_fake is None else f", p_fake {self.p_fake:.2f}"
        return printable(f"{self.source}: {self.verdict} ({self.verdict.meaning}){score}")

    def _lines(self) -> list[str]:
        if self.error is not None:
            return [printable(self.error.removeprefix(f"{self.source}: "))]
        faces = [f"face {number}  {face}" for number, face in enumerate(self.faces, 1)]
        said = [printable(sentence) for sentence in self.provenance.sentences] if self.provenance else []
        return [*faces, *self.problems, *said, *([self.contradiction] if self.contradiction else [])]

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
        """Why the picture is uncertain, or was not really seen where no face was found; each reason once."""
        if self.verdict == Verdict.NO_FACE:
            return self.not_seen
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
        del values["path"]
        values["provenance"] = self.provenance.to_dict() if self.provenance else None
        values["not_seen"] = tuple(map(str, self.not_seen))
        values["faces"] = [
            face | {"verdict": str(face["verdict"]), "reasons": tuple(map(str, face["reasons"]))}
            for face in values["faces"]
        ]
        verdict, reasons = str(self.verdict) if self.verdict else None, tuple(map(str, self.reasons))
        head = {"source": self.source, "verdict": verdict, "p_fake": self.p_fake, "reasons": reasons}
        return head | {"contradiction": self.contradiction} | values

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
            problems=tuple(values.get("problems", ())),
            turned=int(values.get("turned", 0)),
            frame=values.get("frame"),
            not_seen=tuple(map(Reason, values.get("not_seen", ()))),
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
