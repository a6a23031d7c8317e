"""`explain`: a picture -> the answer with its evidence: crops, heat maps, stability, what the file says."""

from collections.abc import Sequence
from dataclasses import asdict, replace

import numpy as np

from facecheck import crop, image
from facecheck.batching import decode
from facecheck.checker import FaceChecker, shared_checker
from facecheck.error_rates import ErrorCell
from facecheck.errors import NoFeatureMapError
from facecheck.explain.heatmaps import GRAD_CAM, METHODS, OCCLUSION, Pixels, heat_maps, region
from facecheck.explain.report import Explanation, FaceEvidence
from facecheck.files import sha256_of
from facecheck.image import Source
from facecheck.result import Face

MOST_FACES = 24
"""Faces, largest first, that heat maps are made for."""


def explain(source: Source, *, methods: Sequence[str] = (GRAD_CAM,), checker: FaceChecker | None = None) -> Explanation:
    """Judge one picture and show why; it is read, decoded and searched for faces once.

    Args:
        source: a picture in any form that `facecheck.image.load` reads.
        methods: of the heat maps: "grad-cam" takes about one more look at each face, "occlusion" 65. Models that allow
            no Grad-CAM, such as vision transformers, are looked at by occlusion in its place.
        checker: another one than that of `facecheck.predict`.

    Raises:
        ImageError: there is no such file. One that is no readable picture has `prediction.error` set instead.
        ValueError: an unknown method.
    """
    if unknown := set(methods) - set(METHODS):
        raise ValueError(f"no heat maps by {sorted(unknown)}; there are {sorted(METHODS)}")
    checker, data = checker or shared_checker(), image.encoded(source)
    decoded = decode(source if data is None else data, name=image.describe(source))
    (prediction,) = checker.with_settings(stability=True).judge_batch([decoded])
    found = Explanation(prediction, decoded.pixels, model=checker.config, threshold=checker.decision.threshold)
    if data is not None:
        found = replace(found, sha256=sha256_of(data), bytes=len(data))
    if decoded.pixels is None:
        return found
    return replace(found, faces=_seen(checker, decoded.pixels, prediction.faces[:MOST_FACES], methods))


def _seen(
    checker: FaceChecker, picture: Pixels, faces: Sequence[Face], methods: Sequence[str]
) -> tuple[FaceEvidence, ...]:
    if not faces:
        return ()
    config = checker.config
    crops = np.stack([crop.face(picture, face.box, config.input_size, config.crop_margin) for face in faces])
    regions = [region(picture, face.box, config.crop_margin) for face in faces]
    fake = [face.p_fake >= checker.decision.threshold for face in faces]
    try:
        maps = [heat_maps(checker.classifier, crops, regions, fake, method) for method in methods]
    except NoFeatureMapError:
        maps = [heat_maps(checker.classifier, crops, regions, fake, OCCLUSION)]
    return tuple(
        FaceEvidence(face, pixels, tuple(of_method[index] for of_method in maps), _cells(checker, face))
        for index, (face, pixels) in enumerate(zip(faces, crops, strict=True))
    )


def _cells(checker: FaceChecker, face: Face) -> tuple[ErrorCell, ...]:
    return () if face.quality is None else checker.errors.of(asdict(face.quality))
