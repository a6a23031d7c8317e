"""facecheck tells photographs of faces from AI-generated ones.

    >>> import facecheck
    >>> facecheck.predict("photo.jpg").verdict
    <Verdict.REAL: 'real'>

"real" means that no sign of generation was found; it never means that a picture is authentic.
"""

from importlib import import_module
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from facecheck.checker import FaceChecker
    from facecheck.detection.detector import Detections, FaceDetector
    from facecheck.errors import DeviceError, FacecheckError, ImageError, ModelError
    from facecheck.explain.explanation import Explanation, explain
    from facecheck.model.checkpoint import load_model
    from facecheck.provenance.findings import Finding, Provenance
    from facecheck.provenance.reader import provenance
    from facecheck.result import Face, Prediction, Verdict
    from facecheck.shared import predict

__version__ = "0.2.0"
__all__ = [
    "Detections",
    "DeviceError",
    "Explanation",
    "Face",
    "FaceChecker",
    "FaceDetector",
    "FacecheckError",
    "Finding",
    "ImageError",
    "ModelError",
    "Prediction",
    "Provenance",
    "Verdict",
    "explain",
    "load_model",
    "predict",
    "provenance",
]

# Resolved on first use (PEP 562), so that importing facecheck loads no torch.
_HOMES = {
    "checker": ("FaceChecker",),
    "detection.detector": ("Detections", "FaceDetector"),
    "errors": ("DeviceError", "FacecheckError", "ImageError", "ModelError"),
    "explain.explanation": ("Explanation", "explain"),
    "model.checkpoint": ("load_model",),
    "provenance.findings": ("Finding", "Provenance"),
    "provenance.reader": ("provenance",),
    "result": ("Face", "Prediction", "Verdict"),
    "shared": ("predict",),
}


# Two functions are called like the package that they stand in. Python binds the name of a package once, when it is
# first imported: that is here, and the name is taken back. So `__getattr__` answers, in whatever order all others come.
for _package in ("explain", "provenance"):
    import_module(f"{__name__}.{_package}")
    del globals()[_package]


def __getattr__(name: str) -> Any:
    for home, names in _HOMES.items():
        if name in names:
            return getattr(import_module(f"{__name__}.{home}"), name)
    raise AttributeError(f"module {__name__!r} has no attribute {name!r}")


def __dir__() -> list[str]:
    return [*__all__, "__version__"]
