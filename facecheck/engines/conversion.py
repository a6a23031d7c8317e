"""torch networks as OpenVINO models, kept on disk, so that the next start needs neither torch nor a conversion.

An entry of the cache is a folder with the graph, its weights and a manifest with their sha256. It is written under
another name, flushed and renamed, so that it is there as a whole or not at all; what does not fit its manifest is
removed and made again. Whoever may write to the cache may change what the networks say, so only folders that nobody
else may write to are believed; and nothing is removed that is not ours.
"""

import hashlib
import json
import logging
import os
import shutil
import stat
import tempfile
import threading
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager, suppress
from pathlib import Path
from typing import TYPE_CHECKING, Any

from facecheck.engines.runtime import core, openvino
from facecheck.errors import ModelError
from facecheck.files import cache_folder, sha256_of

if TYPE_CHECKING:
    from torch import nn

FORMAT = 2
"""To be raised when the same key stands for another graph than before."""
FREE = -1
GRAPH, WEIGHTS, MANIFEST, PARTIAL = "network.xml", "network.bin", "manifest.json", "partial-"
ADMINISTRATOR = 0
UNUSED_S, ABANDONED_S = 60 * 86400, 3600
log = logging.getLogger(__name__)
_converting = threading.RLock()
"""torch.export and OpenVINO's converter change settings of the whole process meanwhile."""


class ConversionError(ModelError):
    """OpenVINO cannot run this network; torch can."""


def converted(key: str, make: "Callable[[], tuple[nn.Module, tuple[int, ...]]]") -> Any:
    """An `openvino.Model` in float32, from the cache if it is there.

    Args:
        key: says which weights and which architecture, such as a sha256 and a name: equal keys, equal networks.
        make: called only if the cache has none: the network in evaluation mode on the CPU, and the shape of its one
            float32 input, with `FREE` for sizes that may vary.

    Returns:
        A model with the network's inputs and outputs. If the cache cannot be written it is made again next time.

    Raises:
        ConversionError: the network cannot be converted. DeviceError: OpenVINO is not installed.
    """
    try:
        entry = _own_folder() / entry_name(key)
    except (RuntimeError, OSError) as error:
        log.warning("The converted model is not kept: %s", error)
        return converted_now(*make())
    with _converting:
        known = _read(entry)
        if known is not None:
            return known
        network = converted_now(*make())
        try:
            _keep(network, key, entry)
        except OSError as error:
            log.warning("The converted model is not kept, every start will convert it again: %s", error)
        return network


def converted_now(network: "nn.Module", shape: tuple[int, ...]) -> Any:
    """As `converted`, without a cache.

    Raises:
        ConversionError: the network cannot be converted.
    """
    with _converting:
        ov, program = openvino(), _exported(network, shape)
        try:
            with _logging_as_it_was():
                made = ov.convert_model(program)
            made.reshape(list(shape))
        except Exception as error:  # The failures of the two libraries have no base class of their own.
            raise _refused(network, str(error).strip().splitlines()[-1]) from error
    return made


@contextmanager
def _logging_as_it_was() -> Iterator[None]:
    """OpenVINO's converter gives the root logger a level, a filter and a handler; after a failure they stay."""
    root = logging.getLogger()
    level, filters, handlers = root.level, list(root.filters), list(root.handlers)
    try:
        yield
    finally:
        root.setLevel(level)
        root.filters[:], root.handlers[:] = filters, handlers


def _exported(network: "nn.Module", shape: tuple[int, ...]) -> Any:
    import torch

    # Any size does for the free ones but 1, which would be taken for fixed, and different ones, lest they be equated.
    example = torch.zeros([size if size != FREE else 2 + 32 * place for place, size in enumerate(shape)])
    free = {place: torch.export.Dim.DYNAMIC for place, size in enumerate(shape) if size == FREE}
    try:
        with torch.no_grad():
            return torch.export.export(network, (example,), dynamic_shapes=(free,))
    except Exception as error:
        raise _refused(network, str(error).strip().partition("\n")[0]) from error


def _refused(network: "nn.Module", why: str) -> ConversionError:
    return ConversionError(f"OpenVINO cannot run {type(network).__name__} ({why}); use engine='torch'")


def entry_name(key: str) -> str:
    """Name of the folder that a key's model has in the cache."""
    return hashlib.sha256(f"{key}\n{FORMAT}\n{openvino().__version__}".encode()).hexdigest()[:40]


def save_network(network: Any, graph: Path) -> dict[str, str]:
    """Write an `openvino.Model` as `graph` (.xml) and a .bin beside it, flushed to the disk.

    Returns:
        The sha256 of both files, by name.
    """
    try:
        openvino().save_model(network, graph, compress_to_fp16=False)
    except RuntimeError as error:  # OpenVINO's, for a full disk too.
        raise OSError(f"{graph} cannot be written: {error}") from error
    return {path.name: _flushed(path) for path in (graph, graph.with_suffix(".bin"))}


def intact(folder: Path, digests: dict[str, str]) -> bool:
    """Whether files have the sha256 that is known of them.

    Raises:
        OSError: one cannot be read.
    """
    return all(sha256_of(folder / name) == digest for name, digest in digests.items())


def _own_folder() -> Path:
    """Where the entries lie: `openvino` in the cache, or where others may write to that, a folder of this user.

    Raises:
        OSError: others may write to both.
    """
    folder = cache_folder() / "openvino"
    if is_private(folder):
        return folder
    log.warning("%s belongs to others, or others may write to it: what lies there is not used", folder)
    folder = folder.with_name(f"openvino-{os.getuid()}")
    if is_private(folder):
        return folder
    raise OSError(f"others may write to {folder} too; set FACECHECK_CACHE to a folder of your own")


def is_private(folder: Path) -> bool:
    """Whether nobody but this user and the administrator may write to a folder; also where there is none yet."""
    try:
        found = folder.lstat()
    except OSError:
        return True
    return os.name != "posix" or (
        stat.S_ISDIR(found.st_mode) and found.st_uid in (os.getuid(), ADMINISTRATOR) and not found.st_mode & 0o022
    )


def _read(entry: Path) -> Any:
    """The entry's model; None if there is none, or only a damaged one, which is removed."""
    if not os.path.isdir(entry):  # Unlike Path.is_dir it never raises, also where the folder may not be entered.
        return None
    try:
        manifest = json.loads((entry / MANIFEST).read_text(encoding="utf-8"))
        if set(manifest["sha256"]) != {GRAPH, WEIGHTS} or not intact(entry, manifest["sha256"]):
            raise ValueError(f"{entry} does not fit its manifest")
        if not is_private(entry):
            raise ValueError(f"others may write to {entry}")
        network = core().read_model(entry / GRAPH)
    except (OSError, ValueError, KeyError, TypeError, RuntimeError) as error:
        log.warning("A converted model is damaged and is made again: %s", error)
        shutil.rmtree(entry, ignore_errors=True)
        return None
    with suppress(OSError):
        os.utime(entry)  # So that `_sweep` knows what is in use.
    return network


def _keep(network: Any, key: str, entry: Path) -> None:
    entry.parent.mkdir(parents=True, exist_ok=True, mode=0o700)
    _sweep(entry.parent)
    partial = Path(tempfile.mkdtemp(prefix=PARTIAL, dir=entry.parent))
    manifest = partial / MANIFEST
    try:
        manifest.write_text(_manifest(key, {}), encoding="utf-8")  # Now, so that `_sweep` knows it.
        manifest.write_text(_manifest(key, save_network(network, partial / GRAPH)), encoding="utf-8")
        _flushed(manifest)
        _rename(partial, entry)
    finally:
        shutil.rmtree(partial, ignore_errors=True)


def _manifest(key: str, digests: dict[str, str]) -> str:
    return json.dumps({"key": key, "sha256": digests}, indent=2) + "\n"


def _rename(partial: Path, entry: Path) -> None:
    try:
        partial.rename(entry)
    except OSError:
        if not entry.is_dir():  # Else another process was faster, with the same model.
            raise


def _sweep(folder: Path) -> None:
    """Remove what killed processes left, and models that nobody used for two months: of old versions, mostly."""
    now = time.time()
    for path in folder.iterdir():
        with suppress(OSError):
            oldest = ABANDONED_S if path.name.startswith(PARTIAL) else UNUSED_S
            if now - path.lstat().st_mtime > oldest and _is_ours(path):
                shutil.rmtree(path, ignore_errors=True)


def _is_ours(path: Path) -> bool:
    """Whether this module made a folder; people choose the cache, and may keep other things there."""
    try:
        return not path.is_symlink() and set(json.loads((path / MANIFEST).read_bytes())) == {"key", "sha256"}
    except (OSError, ValueError, TypeError):
        return False


def _flushed(path: Path) -> str:
    """The sha256 of a file that is on the disk now."""
    with path.open("rb+") as stream:
        os.fsync(stream.fileno())
    return sha256_of(path)
