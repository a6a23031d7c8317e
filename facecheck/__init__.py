"""facecheck tells photographs of faces from AI-generated ones.

    >>> import facecheck
    >>> facecheck.predict("photo.jpg").verdict
    <Verdict.REAL: 'real'>

"real" means that no sign of generation was found; it never means that a picture is authentic.
"""

from importlib import import_module
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from facecheck.checker import FaceChecker, predict
    from facecheck.detection.detector import Detections, FaceDetector
    from facecheck.error_rates import Budget, ChanceOfError, ErrorCell, Quality, Stability
    from facecheck.errors import DeviceError, FacecheckError, ImageError, ModelError, NoFeatureMapError, ScanError
    from facecheck.explain.explanation import explain
    from facecheck.explain.heatmaps import HeatMap
    from facecheck.explain.report import Explanation, FaceEvidence
    from facecheck.model.checkpoint import Model, load_model
    from facecheck.model.config import ModelConfig
    from facecheck.provenance import Claim, Finding, Provenance, Strength
    from facecheck.provenance.reader import provenance
    from facecheck.result import Face, ModelInfo, Prediction, Reason, Timing, Verdict

__version__ = "0.2.0"
__all__ = [
    "Budget",
    "ChanceOfError",
    "Claim",
    "Detections",
    "DeviceError",
    "ErrorCell",
    "Explanation",
    "Face",
    "FaceChecker",
    "FaceDetector",
    "FaceEvidence",
    "FacecheckError",
    "Finding",
    "HeatMap",
    "ImageError",
    "Model",
    "ModelConfig",
    "ModelError",
    "ModelInfo",
    "NoFeatureMapError",
    "Prediction",
    "Provenance",
    "Quality",
    "Reason",
    "ScanError",
    "Stability",
    "Strength",
    "Timing",
    "Verdict",
    "explain",
    "load_model",
    "predict",
    "provenance",
]

# Resolved on first use (PEP 562), so that importing facecheck loads no torch.
_HOMES = {
    "checker": ("FaceChecker", "predict"),
    "detection.detector": (
        "Detections",
        "FaceDetector",
    ),
    "error_rates": ("Budget", "ChanceOfError", "ErrorCell", "Quality", "Stability"),
    "errors": (
        "DeviceError",
        "FacecheckError",
        "ImageError",
        "ModelError",
        "NoFeatureMapError",
        "ScanError",
    ),
    "explain.explanation": ("explain",),
    "explain.heatmaps": ("HeatMap",),
    "explain.report": ("Explanation", "FaceEvidence"),
    "model.checkpoint": (
        "Model",
        "load_model",
    ),
    "model.config": ("ModelConfig",),
    "provenance": (
        "Claim",
        "Finding",
        "Provenance",
        "Strength",
    ),
    "provenance.reader": ("provenance",),
    "result": (
        "Face",
        "ModelInfo",
        "Prediction",
        "Reason",
        "Timing",
        "Verdict",
    ),
}


# Two functions are called like the package that they stand in. Python binds the name of a package once, when it is
# first imported: that is here, and the name is taken back. So `__getattr__` answers, in whatever order all others come.
for _package in ("explain", "provenance"):
    import_module(f"{__name__}.{_package}")
    del globals()[_package]


def __getattr__(name: str) -> Any:
    for home, names in _HOMES.items():
        if name in names:
            found = globals()[name] = getattr(import_module(f"{__name__}.{home}"), name)
            return found
    raise AttributeError(f"module {__name__!r} has no attribute {name!r}")


def __dir__() -> list[str]:
    return [*__all__, "__version__"]
