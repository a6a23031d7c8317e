"""FaceChecker: pictures -> detection -> crops -> scores -> Prediction."""

import copy
import functools
import os
import threading
import time
from collections.abc import Callable, Iterable, Iterator, Sequence
from dataclasses import replace
from itertools import chain, islice
from pathlib import Path
from typing import TYPE_CHECKING, Any, Self, Unpack, cast, overload

import numpy as np
import numpy.typing as npt

from facecheck import calibration, crop, image, quality
from facecheck.batching import WORKER_PICTURES, Decoded, batches, decode, groups, in_order
from facecheck.decoding import Pixels
from facecheck.detection.detector import Detections, FaceDetector
from facecheck.detection.second_look import Look, second_look
from facecheck.engines import AUTO
from facecheck.engines.classifier import Classifier, open_classifier
from facecheck.error_rates import DEFAULT_PREVALENCE, Stability, require_prevalence
from facecheck.errors import FacecheckError
from facecheck.image import Options, Source
from facecheck.model import DEFAULT_MODEL, read_model
from facecheck.result import Face, ModelInfo, Prediction, Timing
from facecheck.stability import stabilities

if TYPE_CHECKING:
    from facecheck.model.checkpoint import Model


class FaceChecker:
    """Finds and scores faces. Make one and share it: it is safe to use from several threads at once.

    Args:
        model: a name, a path (see `load_model`), or a loaded `Model`. With a name or a path and OpenVINO, torch is not
            loaded once the converted network is in the cache.
        device: "auto" (CUDA where there is one, else the CPU), "cpu", "cuda", "cuda:1", ...
        detector: another `FaceDetector`, for other detection settings.
        max_fpr: a false-accusation budget stored with the model, such as 0.01: a face is called fake only where at most
            this share of photographed faces is; what only the model's own threshold accuses or doubts is `uncertain`
            ("borderline"). None: that threshold.
        stability: also score each face as it looks after it was saved and resized again; a verdict that flips becomes
            `uncertain` ("unstable"). Three more looks at each face.
        engine: "auto" (OpenVINO on CPUs where it is installed and can run the network, else torch), "torch" or
            "openvino".
        precision: "auto" (torch: f32; OpenVINO: bf16 where the processor has it, and int8 where that was measured to
            answer the same), "f32", "bf16", "f16" (CUDA only) or "int8" (OpenVINO only); see docs/engines.md.
        prevalence: share of generated faces among those that are asked about; `Face.expected_error` holds for it, the
            verdict does not depend on it.

    Attributes:
        config: what stands beside the weights.
        decision: what turns scores into verdicts here: that of the config, or the same under `max_fpr`.
        classifier: the model on its engine and device; `classifier.choice` says which, such as "openvino bf16".
        errors: how often it is wrong on unseen sources, by p_fake and by measurement; empty where not measured.

    Raises:
        ModelError: also for a `max_fpr` that is not stored. DeviceError. ValueError: the prevalence.
    """

    def __init__(
        self,
        model: "str | os.PathLike[str] | Model" = DEFAULT_MODEL,
        *,
        device: str = AUTO,
        detector: FaceDetector | None = None,
        max_fpr: float | None = None,
        stability: bool = False,
        engine: str = AUTO,
        precision: str = AUTO,
        prevalence: float = DEFAULT_PREVALENCE,
    ) -> None:
        source = read_model(model) if isinstance(model, str | os.PathLike) else model
        self.config, self.errors = source.config, source.errors
        self.stability = stability
        self.prevalence = require_prevalence(prevalence)
        self._budget, self.decision = source.config.decision.kept_to(max_fpr)
        self.classifier = open_classifier(source, device=device, engine=engine, precision=precision)
        self.detector = detector or FaceDetector(self.classifier.choice.device, engine=self.classifier.choice.engine)
        # Copies of this checker share what follows; who replaces a classifier or a detector gets others for workers.
        self._for_workers: dict[tuple[Classifier, FaceDetector], tuple[Classifier, FaceDetector]] = {}
        self._making, self._closed = threading.Lock(), threading.Event()
        self._again: functools.partial[FaceChecker] | None = None
        if isinstance(model, str | os.PathLike) and detector is None:
            name = os.path.abspath(model) if Path(model).exists() else model
            run = functools.partial(FaceChecker, name, device=device, engine=engine, precision=precision)
            self._again = functools.partial(run, prevalence=prevalence)
        self._info = ModelInfo(self.config.name, self.config.version, self.config.sha256)

    def __copy__(self) -> Self:
        other = object.__new__(type(self))
        other.__dict__ |= vars(self)
        return other

    def __reduce__(self) -> tuple[Any, ...]:
        """Pickled by its arguments: where it is unpickled it is made anew, with the model from its path."""
        if self._again is None:
            raise TypeError("a FaceChecker with a model or detector in memory is not pickled; make it where it is used")
        max_fpr = self._budget and self._budget.max_fpr
        return functools.partial(self._again, max_fpr=max_fpr, stability=self.stability), ()

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: object) -> None:
        self.close()

    def close(self) -> None:
        """Give the networks back. Whoever judges with this checker, or with a copy of it, afterwards is told so."""
        self._closed.set()
        self._for_workers.clear()
        self.__dict__ = {name: value for name, value in vars(self).items() if name not in ("classifier", "detector")}

    @overload
    def predict(self, source: Source, **options: Unpack[Options]) -> Prediction: ...  # type: ignore[overload-overlap]
    @overload
    def predict(self, source: Iterable[Source], **options: Unpack[Options]) -> list[Prediction]: ...
    def predict(self, source: "Source | Iterable[Source]", **options: Unpack[Options]) -> Prediction | list[Prediction]:
        """Judge one picture or many.

        Args:
            source: a picture in any form that `facecheck.image.load` reads, or a list or generator of them. Arrays are
                RGB; `bgr=True` for those of OpenCV.
            **options: see `facecheck.image.Options`.

        Returns:
            One `Prediction` for a picture; a list in input order for several, where an unreadable input has its
            `error` set and harms no other.

        Raises:
            ImageError: the one picture cannot be read.
            ModelError: `max_fpr` is not stored with the model.
            FacecheckError: the checker is closed.
            ValueError: several pictures have one `name`. TypeError: no such option.
        """
        if unknown := options.keys() - Options.__annotations__.keys():
            raise TypeError(f"predict() has no option {min(unknown)!r}; it has {', '.join(Options.__annotations__)}")
        name, bgr = options.get("name"), options.get("bgr", False)
        checker = self.with_settings(max_fpr=options.get("max_fpr"), stability=options.get("stability"))
        if not image.is_one(source) and isinstance(source, Iterable):
            if name is not None:
                raise ValueError(f"name={name!r} is for one picture; of several, give each to predict by itself")
            return list(checker.stream(cast(Iterable[Source], source), bgr=bgr))
        item = decode(cast(Source, source), name=name, bgr=bgr)
        if item.error is not None:
            raise item.error
        return checker.judge_batch([item])[0]

    def stream(self, sources: Iterable[Source], *, bgr: bool = False) -> Iterator[Prediction]:
        """As `predict` for many, but lazily: results come in input order, some inputs behind.

        Several threads decode, detect and classify, each a few pictures at a time; the inputs are taken one by one by
        the thread that iterates. Memory is bounded, whatever their number.
        """
        rest = iter(sources)
        begin = list(islice(rest, WORKER_PICTURES + 1))
        if len(begin) <= WORKER_PICTURES:  # To make networks for workers takes longer.
            yield from self._judged(begin, bgr)
            return
        several = self.for_workers()
        workers = several.classifier.workers
        judged = functools.partial(several._judged, bgr=bgr)
        yield from in_order(judged, groups(chain(begin, rest), workers), workers)

    def for_workers(self) -> Self:
        """The same checker for `classifier.workers` threads at once, which together get the most pictures a second.

        Its networks are made once; `predict` on this one answers a single picture sooner.
        """
        self._require_open()
        several = copy.copy(self)
        with self._making:
            mine = self.classifier, self.detector
            if mine not in self._for_workers:
                self._for_workers[mine] = self.classifier.for_workers(), self.detector.for_workers()
            several.classifier, several.detector = self._for_workers[mine]
        return several

    def with_settings(self, *, max_fpr: float | None = None, stability: bool | None = None) -> Self:
        """The same checker, with the same networks, under other settings; None leaves one as it is.

        Raises:
            ModelError: `max_fpr` is not stored with the model.
        """
        other = copy.copy(self)
        other.stability = self.stability if stability is None else stability
        if max_fpr is not None:
            other._budget, other.decision = self.config.decision.kept_to(max_fpr)
        return other

    def p_fake(self, faces: npt.NDArray[np.uint8], *, face_px: npt.ArrayLike | None = None) -> npt.NDArray[np.float64]:
        """Score faces that were cut already.

        Args:
            faces: (N, S, S, 3) uint8 RGB, as `facecheck.crop.face` cuts them.
            face_px: (N,) longer side of each face's box in its picture, pixels; None where that is not known.

        Returns:
            (N,) calibrated probabilities.
        """
        self._require_open()
        classifier, logits = self.classifier, self.classifier.logits(faces)
        again = calibration.near_a_border(logits, classifier.margin, self.decision, face_px)
        if again.any():
            logits[again] = classifier.exact_logits(faces[again])
        return calibration.p_fake(logits, self.decision, face_px)

    def judge(self, pictures: Sequence[Pixels], detections: Sequence[Detections]) -> list[tuple[Face, ...]]:
        """Score faces whose places are known already, from a tracker or another detector.

        Args:
            pictures: each (H, W, 3) uint8 RGB. detections: one for each picture.

        Returns:
            The faces of each picture, in the order of its boxes.
        """
        boxes = [(picture, box) for picture, found in zip(pictures, detections, strict=True) for box in found.boxes]
        size, margin = self.config.input_size, self.config.crop_margin
        cut = np.array([crop.face(picture, box, size, margin) for picture, box in boxes], np.uint8)
        cut = cut.reshape(len(boxes), size, size, 3)
        scores = self.p_fake(cut, face_px=[float(max(box[2:] - box[:2])) for _, box in boxes]).tolist()
        stable: Sequence[Stability | None] = [None] * len(boxes)
        if self.stability:
            stable = stabilities(boxes, scores, self.p_fake, self.config, self.decision.threshold)
        standards = quality.Standards(self.decision, self.config.limits, self.errors, self.prevalence)
        places = [one for at in detections for one in zip(at.boxes, at.landmarks, at.confidence, strict=True)]
        faces = map(standards.face, (picture for picture, _ in boxes), places, cut, scores, stable)
        return [tuple(islice(faces, len(found))) for found in detections]

    def judge_batch(self, batch: Sequence[Decoded], *, watch: Callable[[str], None] | None = None) -> list[Prediction]:
        """Judge pictures that were decoded already, all in memory at once; for those who read ahead.

        Args:
            watch: called with each step that begins, "detect" and "classify", as in `Timing`; what it raises ends the
                work.
        """
        self._require_open()
        tell = watch or (lambda _: None)
        tell("detect")
        started = time.perf_counter()
        looks = self._looks([item for item in batch if item.pixels is not None])
        detected = time.perf_counter()
        tell("classify")
        judged = self.judge([look.pixels for look in looks], [look.found for look in looks])
        share = 1000 / max(len(looks), 1)
        timing = Timing(0.0, (detected - started) * share, (time.perf_counter() - detected) * share)
        each = iter(zip(looks, judged, strict=True))
        return [self._answer(item, timing, each) for item in batch]

    def _looks(self, items: Sequence[Decoded]) -> list[Look]:
        """Each picture with its faces; where there are none, after a second look if it is worth one."""
        pictures = [item.pixels for item in items if item.pixels is not None]
        looks = []
        for item, pixels, found in zip(items, pictures, self.detector.detect(pictures), strict=True):
            again = second_look(self.detector, pixels, item.others) if item.look_again and not len(found) else None
            looks.append(again or Look(pixels, found))
        return looks

    def _answer(self, item: Decoded, timing: Timing, each: Iterator[tuple[Look, tuple[Face, ...]]]) -> Prediction:
        known = Prediction(item.name, model=self._info, budget=self._budget, provenance=item.provenance, path=item.path)
        if item.pixels is None:
            return replace(known, timing_ms=Timing(item.decode_ms), error=str(item.error))
        (look, faces), timing = next(each), replace(timing, decode=item.decode_ms)
        unseen = () if faces else quality.not_seen(look.pixels, self.detector.min_face_px, item.frames)
        answer = replace(known, timing_ms=timing, size=look.pixels.shape[1::-1], faces=faces, not_seen=unseen)
        return replace(answer, turned=look.turned, frame=look.frame, problems=item.problems + look.problems)

    def _judged(self, sources: Sequence[Source], bgr: bool) -> list[Prediction]:
        """Results for a few inputs, as many of them in memory at once as are not too large."""
        decoded = batches((decode(source, bgr=bgr) for source in sources), lambda item: item.area)
        return [prediction for batch in decoded for prediction in self.judge_batch(batch)]

    def _require_open(self) -> None:
        if self._closed.is_set():
            raise FacecheckError("this FaceChecker is closed; make another, or close it later")


_shared_lock = threading.Lock()
_made_once = functools.cache(FaceChecker)


def shared_checker() -> FaceChecker:
    """The `FaceChecker` behind `facecheck.predict`: default model, default device, made on first use."""
    with _shared_lock:  # functools.cache alone would let two threads load the model twice.
        return _made_once()


@overload
def predict(source: Source, **options: Unpack[Options]) -> Prediction: ...  # type: ignore[overload-overlap]
@overload
def predict(source: Iterable[Source], **options: Unpack[Options]) -> list[Prediction]: ...
def predict(source: "Source | Iterable[Source]", **options: Unpack[Options]) -> Prediction | list[Prediction]:
    """Judge one picture or many with the default model; see `FaceChecker.predict`."""
    return shared_checker().predict(source, **options)
