"""A model and wishes -> what runs it."""

import functools
import hashlib
from typing import TYPE_CHECKING, Any

from facecheck.engines import AUTO, F32, INT8, OPENVINO, TORCH, Backend, Choice, choose
from facecheck.engines.runtime import installed
from facecheck.errors import ModelError
from facecheck.model.config import ModelConfig
from facecheck.model.files import Stored

if TYPE_CHECKING:
    from pathlib import Path

    from torch import nn

    from facecheck.engines.quantised import Quantised
    from facecheck.engines.torch import TorchBackend
    from facecheck.model.checkpoint import Model


def open_backend(
    source: "Stored | Model", device: str = AUTO, engine: str = AUTO, precision: str = AUTO, threads: int | None = None
) -> Backend:
    """Run a model on what `facecheck.engines.choose` chooses.

    Where the engine is "auto" and OpenVINO cannot run the network, torch does.

    Args:
        source: a model's files, or a model that is in memory already. Files and OpenVINO need no torch once the
            converted network is in the cache.
        threads: for OpenVINO; see `facecheck.engines.runtime.Requests`. torch has a setting of its own.

    Raises:
        DeviceError: see `choose`. ModelError: the files do not make a model.
    """
    quantised = quantised_of(source)
    choice = choose(device, engine, precision, quantised)
    if choice.engine == OPENVINO:
        from facecheck.engines.conversion import ConversionError

        try:
            return _openvino(source, choice, quantised, threads)
        except ConversionError:
            if engine != AUTO:
                raise
            choice = choose("cpu", TORCH, precision)
    return _torch(source, choice)


def quantised_of(source: "Stored | Model") -> "Quantised | None":
    """The losses of the model in int8, if it lies beside its files and can be run here.

    Raises:
        ModelError: it cannot be read.
    """
    if not isinstance(source, Stored) or not installed():
        return None
    from facecheck.engines.quantised import read_quantised

    return read_quantised(source.path, source.config.sha256)


def converted_network(source: "Stored | Model") -> Any:
    """The `openvino.Model` of a model in float32: (N, 3, S, S) float32, normalised -> (N, 1) logits.

    Raises:
        ConversionError: OpenVINO cannot run it. DeviceError: it is not installed. ModelError: the files are no model.
    """
    from facecheck.engines.conversion import FREE, converted

    shape = (FREE, 3, source.config.input_size, source.config.input_size)
    return converted(_key(source), lambda: (_network(source), shape))


def _torch(source: "Stored | Model", choice: Choice) -> "TorchBackend":
    from facecheck.engines.torch import TorchBackend, pick_device
    from facecheck.model.checkpoint import model_of

    model = model_of(source) if isinstance(source, Stored) else source
    return TorchBackend(model, pick_device(choice.device), choice.precision)


def _openvino(source: "Stored | Model", choice: Choice, quantised: "Quantised | None", threads: int | None) -> Backend:
    from facecheck.engines.openvino import OpenVinoBackend
    from facecheck.engines.quantised import MARGIN, load_quantised

    config = source.config
    if isinstance(source, Stored):
        reference = functools.partial(_reference, source.path, config)
    else:
        reference = functools.partial(_torch, source, Choice(TORCH, F32))
    exact, margin = functools.partial(converted_network, source), 0.0
    if choice.precision == INT8:
        if not isinstance(source, Stored):
            raise ModelError("precision 'int8' needs the name or the path of a model, whose int8 files lie beside it")
        network, margin = load_quantised(source.path, quantised), MARGIN
    else:
        network = exact()
    return OpenVinoBackend(network, config, choice.precision, reference, exact, margin, threads)


def _reference(path: "Path", config: ModelConfig) -> "TorchBackend":
    """The model of these files once more, as torch runs it; they may have been replaced in the meantime."""
    from facecheck.model.files import read_model

    stored = read_model(path)
    if stored.config.sha256 != config.sha256:
        raise ModelError(f"{path} was replaced while it was in use; make a new FaceChecker")
    return _torch(stored, Choice(TORCH, F32))


def _network(source: "Stored | Model") -> "nn.Module":
    from facecheck.model.checkpoint import model_of

    return model_of(source).network if isinstance(source, Stored) else source.network


def _key(source: "Stored | Model") -> str:
    """What a converted network is known by; input size because some networks are converted for one size only."""
    config = source.config
    weights = config.sha256 if isinstance(source, Stored) else _content(source.network)
    return f"{weights} {config.architecture} {config.input_size}"


def _content(network: "nn.Module") -> str:
    """sha256 of a network in memory: of its class and its tensors, for its config may tell of others."""
    digest = hashlib.sha256(f"{type(network).__module__}.{type(network).__qualname__}".encode())
    for name, tensor in network.state_dict().items():
        values = tensor.detach().cpu().numpy()
        digest.update(f"{name} {values.dtype} {values.shape}".encode())
        digest.update(values.tobytes())
    return digest.hexdigest()
