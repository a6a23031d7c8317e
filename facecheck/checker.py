"""FaceChecker: pictures -> detection -> crops -> scores -> Prediction."""

import copy
import os
import threading
import time
from collections import deque
from collections.abc import Iterable, Iterator, Sequence
from concurrent.futures import Future, ThreadPoolExecutor
from dataclasses import asdict, replace
from itertools import chain, islice
from typing import TYPE_CHECKING, Self, cast, overload

import numpy as np
import numpy.typing as npt

from facecheck import calibration, crop, image, quality
from facecheck.detection.detector import Detections, FaceDetector
from facecheck.engines import Backend
from facecheck.engines.opening import open_backend
from facecheck.image import Pixels, Source
from facecheck.model.config import Decision, ModelConfig
from facecheck.model.files import DEFAULT_MODEL, read_model
from facecheck.reading import LANE_PICTURES, Opened, groups, opened
from facecheck.result import Budget, Face, ModelInfo, Prediction, Reason, Stability, Timing, Verdict
from facecheck.stability import DELIVERIES, delivered

if TYPE_CHECKING:
    from facecheck.model.checkpoint import Model

# A batch is closed early when its pictures are large, so that memory stays bounded.
BATCH_PIXELS = 6_000_000


class FaceChecker:
    """Finds and scores faces. Make one and share it: it is safe to use from several threads at once.

    Args:
        model: a name, a path (see `load_model`), or a loaded `Model`. With a name or a path and OpenVINO, torch is not
            loaded once the converted network is in the cache.
        device: "auto" (CUDA where there is one, else the CPU), "cpu", "cuda", "cuda:1", ...
        detector: another `FaceDetector`, for other detection settings.
        max_fpr: a false-accusation budget stored with the model, such as 0.01: a face is called fake only where at most
            this share of photographed faces is; where the model's own threshold accuses or doubts and the budget does
            not, it is `uncertain` ("borderline"). None: the model's own threshold.
        stability: also score each face as it looks after it was saved and resized again; a verdict that flips becomes
            `uncertain` ("unstable"). Three more looks at each face.
        engine: "auto" (OpenVINO on CPUs where it is installed and can run the network, else torch), "torch" or
            "openvino".
        precision: "auto" (torch: f32; OpenVINO: bf16 where the processor has it, and int8 where that was measured to
            answer the same), "f32", "bf16", "f16" (CUDA only) or "int8" (OpenVINO only); see docs/engines.md.

    Attributes:
        config: what stands beside the weights.
        decision: what turns scores into verdicts here: that of the config, or the same under `max_fpr`.
        backend: the classifier on its engine and device; `backend.name` says which, such as "openvino bf16".
        errors: how often the model is wrong, by the measurements of a face; empty where that was not measured.

    Raises:
        ModelError: also for a `max_fpr` that is not stored. DeviceError.
    """

    def __init__(
        self,
        model: "str | os.PathLike[str] | Model" = DEFAULT_MODEL,
        device: str = "auto",
        detector: FaceDetector | None = None,
        max_fpr: float | None = None,
        stability: bool = False,
        engine: str = "auto",
        precision: str = "auto",
    ) -> None:
        source = read_model(model) if isinstance(model, str | os.PathLike) else model
        self.config: ModelConfig = source.config
        self.errors = source.errors
        self.decision: Decision = source.config.decision
        self.stability = stability
        self._budget: Budget | None = None
        if max_fpr is not None:
            self._keep_to(max_fpr)
        self.backend = open_backend(source, device, engine, precision)
        self.detector = detector or FaceDetector(self.backend.device, engine=self.backend.engine)
        # Copies of this checker share them; who replaces an engine gets others.
        self._lanes: dict[tuple[Backend, FaceDetector], tuple[Backend, FaceDetector]] = {}
        self._making = threading.Lock()
        self._info = ModelInfo(self.config.name, self.config.version, self.config.sha256)

    @overload
    def predict(  # type: ignore[overload-overlap]
        self, source: Source, max_fpr: float | None = None, stability: bool | None = None
    ) -> Prediction: ...
    @overload
    def predict(
        self, source: Iterable[Source], max_fpr: float | None = None, stability: bool | None = None
    ) -> list[Prediction]: ...
    def predict(
        self, source: "Source | Iterable[Source]", max_fpr: float | None = None, stability: bool | None = None
    ) -> Prediction | list[Prediction]:
        """Judge one picture or many.

        Args:
            source: a picture in any form that `facecheck.image.load` reads, or a list or generator of them.
            max_fpr: a false-accusation budget for this call, in place of the checker's own.
            stability: whether to check this call's faces for stability, in place of the checker's own setting.

        Returns:
            One `Prediction` for a picture; a list in input order for several, where an unreadable input has its
            `error` set and harms no other.

        Raises:
            ImageError: the one picture cannot be read.
            ModelError: `max_fpr` is not stored with the model.
        """
        if max_fpr is not None or stability is not None:
            return self._adapted(max_fpr, stability).predict(source)
        if not image.is_one(source) and isinstance(source, Iterable):
            return list(self.stream(cast(Iterable[Source], source)))
        item = opened(cast(Source, source))
        if item.error is not None:
            raise item.error
        return self.judge_batch([item])[0]

    def stream(self, sources: Iterable[Source]) -> Iterator[Prediction]:
        """As `predict` for many, but lazily: results come in input order, some inputs behind.

        Several threads decode, detect and classify, each a few pictures at a time; the inputs are taken one by one by
        the thread that iterates. Memory is bounded, whatever their number.
        """
        rest = iter(sources)
        begin = list(islice(rest, LANE_PICTURES + 1))
        if len(begin) <= LANE_PICTURES:  # To make the lanes takes longer.
            yield from self._judged(begin)
            return
        several = self.side_by_side()
        with ThreadPoolExecutor(several.backend.lanes) as pool:
            waiting: deque[Future[list[Prediction]]] = deque()
            try:
                for group in groups(chain(begin, rest), several.backend.lanes):
                    waiting.append(pool.submit(several._judged, group))
                    while len(waiting) > 2 * several.backend.lanes or (waiting and waiting[0].done()):
                        yield from waiting.popleft().result()
                while waiting:
                    yield from waiting.popleft().result()
            finally:
                for future in waiting:
                    future.cancel()

    def side_by_side(self) -> Self:
        """The same checker for `backend.lanes` threads at once, which together get the most pictures a second.

        Its networks are made once; `predict` on this one answers a single picture sooner.
        """
        several = copy.copy(self)
        with self._making:
            mine = self.backend, self.detector
            if mine not in self._lanes:
                self._lanes[mine] = self.backend.side_by_side(), self.detector.side_by_side()
            several.backend, several.detector = self._lanes[mine]
        return several

    def _judged(self, sources: Sequence[Source]) -> list[Prediction]:
        """Results for a few inputs, as many of them in memory at once as are not too large."""
        results: list[Prediction] = []
        batch: list[Opened] = []
        for source in sources:
            batch.append(opened(source))
            if sum(item.area for item in batch) >= BATCH_PIXELS:
                results += self.judge_batch(batch)
                batch = []
        return results + self.judge_batch(batch)

    def p_fake(self, faces: npt.NDArray[np.uint8], face_px: npt.ArrayLike | None = None) -> npt.NDArray[np.float64]:
        """Score faces that were cut already.

        Args:
            faces: (N, S, S, 3) uint8 RGB, as `facecheck.crop.face` cuts them.
            face_px: (N,) longer side of each face's box in its picture, pixels; None where that is not known.

        Returns:
            (N,) calibrated probabilities.
        """
        logits = self.backend.logits(faces)
        again = np.flatnonzero(calibration.near_a_border(logits, self.backend.margin, self.decision, face_px))
        if len(again):
            logits[again] = self.backend.second_look(faces[again])
        return calibration.p_fake(logits, self.decision, face_px)

    def judge(self, pictures: Sequence[Pixels], detections: Sequence[Detections]) -> list[tuple[Face, ...]]:
        """Score faces whose places are known already, from a tracker or another detector.

        Args:
            pictures: each (H, W, 3) uint8 RGB. detections: one for each picture.

        Returns:
            The faces of each picture, in the order of its boxes.
        """
        places = [(picture, box) for picture, found in zip(pictures, detections, strict=True) for box in found.boxes]
        size, margin = self.config.input_size, self.config.crop_margin
        crops = (
            np.stack([crop.face(picture, box, size, margin) for picture, box in places])
            if places
            else np.empty((0, size, size, 3), np.uint8)
        )
        found_scores = self.p_fake(crops, [float(max(box[2:] - box[:2])) for _, box in places]).tolist()
        scores, cut = iter(found_scores), iter(crops)
        stable = iter(self._stabilities(places, found_scores) if self.stability else [None] * len(places))
        return [
            tuple(
                self._face(picture, found, index, next(cut), next(scores), next(stable)) for index in range(len(found))
            )
            for picture, found in zip(pictures, detections, strict=True)
        ]

    def _stabilities(self, places: Sequence[tuple[Pixels, Pixels]], scores: Sequence[float]) -> Iterator[Stability]:
        """Each face after every delivery, all of them scored in one batch."""
        size, margin = self.config.input_size, self.config.crop_margin
        if not places:
            return
        copies = np.concatenate([delivered(picture, box, size, margin) for picture, box in places])
        face_px = [float(max(box[2:] - box[:2])) * way.scale for _, box in places for way in DELIVERIES]
        for own, after in zip(scores, self.p_fake(copies, face_px).reshape(len(places), -1).tolist(), strict=True):
            sides = {score >= self.decision.threshold for score in (own, *after)}
            names = tuple(way.name for way in DELIVERIES)
            yield Stability(tuple(after), names, min(own, *after), max(own, *after), flips=len(sides) > 1)

    def _face(
        self, picture: Pixels, found: Detections, index: int, face: Pixels, score: float, stable: Stability | None
    ) -> Face:
        box = found.boxes[index]
        measured = quality.measure(picture, box, face, found.landmarks[index])
        reasons = quality.reasons(measured, self.config.limits)
        verdict = calibration.verdict(score, self.decision)
        if verdict == Verdict.UNCERTAIN:
            reasons += (Reason.BORDERLINE,)
        if stable is not None and stable.flips:
            reasons += (Reason.UNSTABLE,)
        x0, y0, x1, y1 = box.tolist()
        return Face(
            box=(x0, y0, x1, y1),
            landmarks=tuple((x, y) for x, y in found.landmarks[index].tolist()),
            confidence=float(found.confidence[index]),
            p_fake=score,
            verdict=Verdict.UNCERTAIN if reasons else verdict,
            reasons=reasons,
            stability=stable,
            quality=measured,
            expected_error=self.errors.expected(asdict(measured)),
        )

    def _adapted(self, max_fpr: float | None, stability: bool | None) -> Self:
        """This checker with the settings of one call."""
        other = copy.copy(self)
        if stability is not None:
            other.stability = stability
        return other if max_fpr is None else other._keep_to(max_fpr)

    def _keep_to(self, max_fpr: float) -> Self:
        self._budget = self.config.decision.budget(max_fpr)
        self.decision = self.config.decision.within(self._budget)
        return self

    def judge_batch(self, batch: Sequence[Opened]) -> list[Prediction]:
        """Judge pictures that `opened` has read already, all in memory at once; for those who read ahead."""
        pictures = [item.pixels for item in batch if item.pixels is not None]
        started = time.perf_counter()
        detections = self.detector.detect(pictures)
        detected = time.perf_counter()
        faces = iter(self.judge(pictures, detections))
        classified = time.perf_counter()
        share = 1000 / max(len(pictures), 1)
        detect_ms, classify_ms = (detected - started) * share, (classified - detected) * share
        results = []
        for item in batch:
            if item.pixels is None:
                answer = Prediction(item.name, timing_ms=Timing(item.decode_ms), error=str(item.error))
            else:
                height, width = item.pixels.shape[:2]
                timing = Timing(item.decode_ms, detect_ms, classify_ms)
                answer = Prediction(item.name, (width, height), next(faces), timing_ms=timing)
            results.append(replace(answer, model=self._info, budget=self._budget, provenance=item.provenance))
        return results
