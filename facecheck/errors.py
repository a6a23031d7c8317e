"""Everything facecheck raises on purpose, in one tree.

FacecheckError
├── ImageError       the picture cannot be read: missing, corrupt, too large, or not a picture
├── ModelError       the model cannot be loaded: missing, damaged, foreign, or of another version
│   └── NoFeatureMapError   the network has no stage that Grad-CAM could look at
├── DeviceError      the device asked for does not exist on this machine
├── LedgerError      a file of JSON lines cannot be opened, read or written
│   └── LedgerBusyError     another process writes to it
└── ScanError        a scan cannot start or go on: its output is foreign, in use, full, or of other settings
    └── ReviewConflictError   somebody else decided about the same file meanwhile

Every message quotes what was received, in at most 200 characters, and says what to do about it.
"""


class FacecheckError(Exception):
    """Root of all errors that facecheck raises on purpose."""


class ImageError(FacecheckError):
    """The input could not be turned into an RGB picture."""


class ModelError(FacecheckError):
    """The model or its config is missing, damaged, or not one of facecheck's."""


class NoFeatureMapError(ModelError):
    """The network has no stage that gives a map of features."""


class DeviceError(FacecheckError):
    """The requested device is unknown or unavailable."""


class LedgerError(FacecheckError):
    """A file of JSON lines is of another kind, damaged, or cannot be written."""


class LedgerBusyError(LedgerError):
    """Another process writes to the file."""


class ScanError(FacecheckError):
    """The output of a scan is not one, is being written by another, or was made with other settings."""


class ReviewConflictError(ScanError):
    """Somebody else decided about the same file since whoever decides now looked."""
