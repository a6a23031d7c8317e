"""The one `FaceChecker` behind the functions of the package that are given none."""

import functools
import threading
from collections.abc import Iterable
from typing import overload

from facecheck.checker import FaceChecker
from facecheck.image import Source
from facecheck.result import Prediction

_shared_lock = threading.Lock()


@functools.cache
def _made_once() -> FaceChecker:
    return FaceChecker()


def shared_checker() -> FaceChecker:
    """The `FaceChecker` behind `facecheck.predict`: default model, default device, made on first use."""
    with _shared_lock:  # functools.cache alone would let two threads load the model twice.
        return _made_once()


@overload
def predict(  # type: ignore[overload-overlap]
    source: Source, max_fpr: float | None = None, stability: bool | None = None
) -> Prediction: ...
@overload
def predict(
    source: Iterable[Source], max_fpr: float | None = None, stability: bool | None = None
) -> list[Prediction]: ...
def predict(
    source: "Source | Iterable[Source]", max_fpr: float | None = None, stability: bool | None = None
) -> Prediction | list[Prediction]:
    """Judge one picture or many with the default model; see `FaceChecker.predict`."""
    return shared_checker().predict(source, max_fpr, stability)
