"""`explain`: a picture -> the answer with its evidence: crops, heat maps, stability, what the file says."""

from collections.abc import Callable, Sequence
from dataclasses import asdict, replace

import numpy as np

from facecheck import crop, image
from facecheck.batching import Decoded, decode
from facecheck.checker import FaceChecker, shared_checker
from facecheck.decoding import Picture
from facecheck.error_rates import ErrorCell
from facecheck.errors import NoFeatureMapError
from facecheck.explain.heatmaps import GRAD_CAM, METHODS, OCCLUSION, heat_maps
from facecheck.explain.report import Explanation, FaceEvidence
from facecheck.files import sha256_of
from facecheck.image import Source
from facecheck.result import Face

MOST_FACES = 24
"""Faces, largest first, that heat maps are made for."""


def explain(
    source: Source,
    *,
    name: str | None = None,
    bgr: bool = False,
    methods: Sequence[str] = (GRAD_CAM,),
    checker: FaceChecker | None = None,
    watch: Callable[[str], None] | None = None,
) -> Explanation:
    """Judge one picture and show why; it is read, decoded and searched for faces once.

    Args:
        source: a picture in any form that `facecheck.image.load` reads.
        name, bgr: as for `FaceChecker.predict`.
        methods: of the heat maps: "grad-cam" takes about one more look at each face, "occlusion" 65. Models that allow
            no Grad-CAM, such as vision transformers, are looked at by occlusion in its place.
        checker: another one than that of `facecheck.predict`.
        watch: called with each step that begins: "decode", "detect", "classify"; what it raises ends the work.

    Raises:
        ImageError: there is no such file. One that is no readable picture has `prediction.error` set instead.
        ValueError: an unknown method.
    """
    if unknown := set(methods) - set(METHODS):
        raise ValueError(f"no heat maps by {sorted(unknown)}; there are {sorted(METHODS)}")
    checker, name = checker or shared_checker(), name or image.describe(source)
    data = image.encoded(source, name=name)
    if watch is not None:
        watch("decode")
    decoded = decode(source if data is None else data, name=name, bgr=bgr)
    found = explain_decoded(decoded, methods, checker, watch=watch)
    return found if data is None else replace(found, sha256=sha256_of(data), bytes=len(data))


def explain_decoded(
    decoded: Decoded, methods: Sequence[str], checker: FaceChecker, *, watch: Callable[[str], None] | None = None
) -> Explanation:
    """As `explain`, of a picture that was decoded already."""
    (prediction,) = checker.with_settings(stability=True).judge_batch([decoded], watch=watch)
    found = Explanation(prediction, decoded.pixels, model=checker.config, threshold=checker.decision.threshold)
    if decoded.pixels is None:
        return found
    pixels = Picture(decoded.pixels, others=decoded.others).view(prediction.turned, prediction.frame)
    size, margin = checker.config.input_size, checker.config.crop_margin
    seen = tuple(
        FaceEvidence(face, crop.face(pixels, face.box, size, margin), (), _cells(checker, face))
        for face in prediction.faces[:MOST_FACES]
    )
    return with_heat_maps(replace(found, picture=pixels, faces=seen), checker, methods)


def with_heat_maps(found: Explanation, checker: FaceChecker, methods: Sequence[str] = (GRAD_CAM,)) -> Explanation:
    """The same with heat maps of its faces, by each of `methods`; needs no second look at the picture."""
    if not found.faces or not methods or found.prediction.size is None:
        return found
    faces, size = [seen.face for seen in found.faces], found.prediction.size
    crops = np.stack([seen.pixels for seen in found.faces])
    regions = [crop.square(face.box, *size, checker.config.crop_margin) for face in faces]
    fake = [face.p_fake >= checker.decision.threshold for face in faces]
    try:
        maps = [heat_maps(checker.classifier, crops, regions, fake, method) for method in methods]
    except NoFeatureMapError:
        maps = [heat_maps(checker.classifier, crops, regions, fake, OCCLUSION)]
    evidence = zip(found.faces, zip(*maps, strict=True), strict=True)
    return replace(found, faces=tuple(replace(seen, heat_maps=of_face) for seen, of_face in evidence))


def _cells(checker: FaceChecker, face: Face) -> tuple[ErrorCell, ...]:
    return () if face.quality is None else checker.errors.of(asdict(face.quality))
