"""A model -> its classifier, on the engine that was asked for or that is the fastest here."""

import copy
import functools
import hashlib
import threading
from typing import TYPE_CHECKING, Any, Self, cast

from facecheck.engines import AUTO, F32, INT8, OPENVINO, TORCH, Choice, Engine
from facecheck.engines.choosing import choose
from facecheck.engines.runtime import installed, threads_per_worker
from facecheck.errors import ModelError
from facecheck.model import Stored
from facecheck.model.config import ModelConfig

if TYPE_CHECKING:
    from collections.abc import Callable
    from pathlib import Path

    import numpy as np
    import numpy.typing as npt
    from torch import nn

    from facecheck.engines.quantised import Quantised
    from facecheck.engines.torch import TorchEngine
    from facecheck.model.checkpoint import Model


class Classifier:
    """A model on its engine, and, made when first needed, the same in float32 and the same on torch.

    Args:
        engine: what scores faces.
        margin: how far, in logits, its answer may be from that of float32; 0 where it is as good as that.
        exact: makes an engine in float32, which uses that many threads; None: the engine itself will do.
        reference: makes the engine on torch, the only one with gradients; None: the engine is it.

    Attributes:
        engine, margin: as given.
        logits: those of the engine; see `facecheck.engines.Engine`.
    """

    def __init__(
        self,
        engine: Engine,
        *,
        margin: float = 0.0,
        exact: "Callable[[int | None], Engine] | None" = None,
        reference: "Callable[[], TorchEngine] | None" = None,
    ) -> None:
        self.engine, self.logits, self.margin = engine, engine.logits, margin
        self._exact = functools.cache(exact or (lambda _: engine))
        self._reference = functools.cache(reference or (lambda: cast("TorchEngine", engine)))
        self._threads: int | None = None
        self._making = threading.Lock()  # functools.cache alone would let two threads make one each.

    @property
    def choice(self) -> Choice:
        """What it runs on, such as "openvino bf16"."""
        return self.engine.choice

    @property
    def workers(self) -> int:
        """How many threads should use it at once for the most faces a second."""
        return self.engine.workers

    def for_workers(self) -> Self:
        """The same for that many threads at once; one alone would get its answers later."""
        other = copy.copy(self)
        other.engine = self.engine.for_workers()
        # Answers in float32 are few: the workers share one network for them.
        other.logits, other._threads = other.engine.logits, threads_per_worker()
        return other

    def exact_logits(self, faces: "npt.NDArray[np.uint8]") -> "npt.NDArray[np.float32]":
        """(N, S, S, 3) uint8 RGB -> (N,) logits in float32: for answers that lie closer to a border than `margin`."""
        with self._making:
            engine = self._exact(self._threads)
        return engine.logits(faces)

    def last_features(
        self, faces: "npt.NDArray[np.uint8]"
    ) -> "tuple[npt.NDArray[np.float32], npt.NDArray[np.float32]]":
        """(N, S, S, 3) uint8 RGB -> features of the last stage and gradients of the logits: (N, C, H, W) each.

        Raises:
            NoFeatureMapError: that stage gives no map of features.
        """
        with self._making:
            reference = self._reference()
        return reference.last_features(faces)


def open_classifier(
    source: "Stored | Model",
    *,
    device: str = AUTO,
    engine: str = AUTO,
    precision: str = AUTO,
    threads: int | None = None,
) -> Classifier:
    """Run a model on what `facecheck.engines.choosing.choose` chooses.

    Where the engine is "auto" and OpenVINO cannot run the network, torch does.

    Args:
        source: a model's files, or a model that is in memory already. Files and OpenVINO need no torch once the
            converted network is in the cache.
        threads: for OpenVINO; see `facecheck.engines.openvino.Requests`. torch has a setting of its own.

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
    return Classifier(_torch(source, choice))


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


def _torch(source: "Stored | Model", choice: Choice) -> "TorchEngine":
    from facecheck.engines.torch import TorchEngine, pick_device
    from facecheck.model.checkpoint import model_of

    model = model_of(source) if isinstance(source, Stored) else source
    return TorchEngine(model, pick_device(choice.device), choice.precision)


def _openvino(
    source: "Stored | Model", choice: Choice, quantised: "Quantised | None", threads: int | None
) -> Classifier:
    from facecheck.engines.openvino import OpenVinoEngine
    from facecheck.engines.quantised import MARGIN, load_quantised

    if isinstance(source, Stored):
        reference = functools.partial(_reference, source.path, source.config)
    else:
        reference = functools.partial(_torch, source, Choice(TORCH, F32))
    if choice.precision != INT8:
        network, margin = converted_network(source), 0.0
    elif isinstance(source, Stored):
        network, margin = load_quantised(source.path, quantised), MARGIN
    else:
        raise ModelError("precision 'int8' needs the name or the path of a model, whose int8 files lie beside it")
    engine = OpenVinoEngine(network, source.config, choice.precision, threads=threads)
    return Classifier(engine, margin=margin, exact=functools.partial(exact_engine, source), reference=reference)


def exact_engine(source: "Stored | Model", threads: int | None = None) -> Engine:
    """OpenVINO in float32.

    Raises:
        ConversionError: OpenVINO cannot run the network.
    """
    from facecheck.engines.openvino import OpenVinoEngine

    return OpenVinoEngine(converted_network(source), source.config, F32, threads=threads)


def _reference(path: "Path", config: ModelConfig) -> "TorchEngine":
    """The model of these files once more, as torch runs it; they may have been replaced in the meantime."""
    from facecheck.model import read_model

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
