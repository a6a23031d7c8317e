"""What all parts of the benchmark work with."""

from dataclasses import dataclass
from pathlib import Path

from benchmarks.inputs import Inputs
from benchmarks.naive import NaiveStack
from benchmarks.settings import Settings
from facecheck.checker import FaceChecker


@dataclass(frozen=True)
class Bench:
    """Both sides, loaded, and the pictures; `folder` is for files that a part makes."""

    naive: NaiveStack
    checker: FaceChecker
    inputs: Inputs
    settings: Settings
    folder: Path

    @property
    def device(self) -> str:
        """Where the networks of both sides run, as torch names it."""
        return self.checker.backend.device

    @property
    def options(self) -> list[str]:
        """For a `facecheck` command that shall run on the same."""
        return ["--device", self.device, "--precision", self.checker.backend.name.split()[1]]
