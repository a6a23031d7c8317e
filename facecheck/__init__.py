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
    from facecheck.errors import DeviceError, FacecheckError, ImageError, ModelError
    from facecheck.evidence.explanation import Explanation, explain
    from facecheck.models import load_model
    from facecheck.origin.findings import Finding, Provenance
    from facecheck.origin.provenance import provenance
    from facecheck.result import Face, Prediction, Verdict
    from facecheck.shared import predict

__version__ = "0.2.0"
__all__ = [
    "DeviceError",
    "Explanation",
    "Face",
    "FaceChecker",
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
    "errors": ("DeviceError", "FacecheckError", "ImageError", "ModelError"),
    "evidence.explanation": ("Explanation", "explain"),
    "models": ("load_model",),
    "origin.findings": ("Finding", "Provenance"),
    "origin.provenance": ("provenance",),
    "result": ("Face", "Prediction", "Verdict"),
    "shared": ("predict",),
}


def __getattr__(name: str) -> Any:
    for home, names in _HOMES.items():
        if name in names:
            return getattr(import_module(f"{__name__}.{home}"), name)
    raise AttributeError(f"module {__name__!r} has no attribute {name!r}")


def __dir__() -> list[str]:
    return [*__all__, "__version__"]
