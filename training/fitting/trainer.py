"""One run's network, moving average and optimizer: its steps, its checkpoint, and the processes that share it."""

import dataclasses
import io
import json
import math
import os
from collections.abc import Mapping
from contextlib import AbstractContextManager
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, Self

import numpy as np
import torch
from safetensors.torch import load_file
from torch import Tensor, distributed, nn
from torch.nn.parallel import DistributedDataParallel
from torch.optim.swa_utils import AveragedModel, get_ema_multi_avg_fn

from facecheck.files import write_atomically
from facecheck.model.architectures import build
from facecheck.model.config import Channels, ModelConfig
from training.augment import Delivery


def mixed_precision(device: torch.device) -> AbstractContextManager[Any]:
    """Autocast to bfloat16 where `device` computes in it; without AVX-512 a processor takes many times as long."""
    is_fast = device.type != "cpu" or torch.backends.cpu.get_cpu_capability().startswith(("AVX512", "SVE"))
    return torch.autocast(device.type, dtype=torch.bfloat16, enabled=is_fast)


@dataclass(frozen=True)
class Processes:
    """The processes of a run. Alone: rank 0 of 1.

    On the CPU (gloo) batch-norm statistics are each process's own and rank 0's are kept; on GPUs (nccl) they are
    computed over the whole batch.
    """

    rank: int = 0
    world: int = 1
    device: torch.device = field(default_factory=lambda: torch.device("cpu"))

    @classmethod
    def join(cls) -> Self:
        """Meet the others, if `torchrun` started this process; otherwise work alone on the GPU, or on the CPU."""
        device = torch.device("cuda", int(os.environ.get("LOCAL_RANK", "0"))) if torch.cuda.is_available() else None
        if int(os.environ.get("WORLD_SIZE", "1")) == 1:
            return cls(device=device or torch.device("cpu"))
        if not distributed.is_initialized():
            distributed.init_process_group("nccl" if device else "gloo")
        return cls(distributed.get_rank(), distributed.get_world_size(), device or torch.device("cpu"))

    @property
    def leads(self) -> bool:
        """Whether this process writes, prints and decides."""
        return self.rank == 0

    def mean(self, value: float) -> float:
        """The mean of everybody's value."""
        if self.world == 1:
            return value
        total = torch.tensor(value, dtype=torch.float64, device=self.device)
        distributed.all_reduce(total)
        return float(total) / self.world

    def broadcast(self, value: float) -> float:
        """What the leader has."""
        if self.world == 1:
            return value
        word = torch.tensor(value, dtype=torch.float64, device=self.device)
        distributed.broadcast(word, 0)
        return float(word)

    def leave(self) -> None:
        """Part when the work is done."""
        if self.world > 1 and distributed.is_initialized():
            distributed.destroy_process_group()


@dataclass(frozen=True)
class TrainConfig:
    """A training run. Sizes are pixels.

    Attributes:
        batch: faces a step, of all processes together.
        phases: (share of the steps, input side), in order.
        lr, fresh_lr: for tensors that came with the backbone, and for those initialised at random.
        boost: ("label/source", factor) on the share of hard sources, see `training.data.sampling_weights`.
        frozen: top-level modules that keep the backbone's weights and batch-norm statistics.
        pseudo: (kind, share of the real examples that become pseudo-fakes), see `training.pseudo`.
        pair_share: share of a batch that are photographs beside their copies, see `training pairs`.
        teacher_share: how much a teacher's opinion of a face weighs beside its label.
        watch_every: steps between two looks at the web tier of the val split; 0 = never look.
        patience: looks without a better AUC before the run stops; the best network is kept. 0 = train to the end.
    """

    steps: int = 2400
    batch: int = 48
    phases: tuple[tuple[float, int], ...] = ((0.55, 160), (0.45, 224))
    lr: float = 3e-4
    fresh_lr: float = 1e-3
    weight_decay: float = 0.05
    warmup: int = 60
    ema: float = 0.998
    seed: int = 0
    workers: int = 2
    frozen: tuple[str, ...] = ("conv1", "bn1", "layer1")
    boost: tuple[tuple[str, float], ...] = ()
    pseudo: tuple[tuple[str, float], ...] = ()
    pair_share: float = 0.0
    teacher_share: float = 0.5
    watch_every: int = 0
    patience: int = 0
    save_every: int = 100
    delivery: Delivery = field(default_factory=Delivery)

    def sizes(self) -> list[int]:
        """Input side at every step."""
        sizes = [side for share, side in self.phases for _ in range(round(share * self.steps))]
        return (sizes + [self.phases[-1][1]] * self.steps)[: self.steps]

    def rate(self, step: int) -> float:
        """Factor on the learning rates: linear warm-up, then a cosine to zero."""
        if step < self.warmup:
            return (step + 1) / self.warmup
        return 0.5 * (1 + math.cos(math.pi * (step - self.warmup) / max(self.steps - self.warmup, 1)))

    def to_json(self) -> str:
        """The config as JSON text."""
        return json.dumps(dataclasses.asdict(self))


def load_backbone(network: nn.Module, path: Path) -> list[str]:
    """Copy the tensors of `path` that fit; return the names of the network's that stay as initialised."""
    tensors = {
        name: tensor.float() if tensor.is_floating_point() else tensor for name, tensor in load_file(path).items()
    }
    own = network.state_dict()
    fitting = {name: tensor for name, tensor in tensors.items() if name in own and own[name].shape == tensor.shape}
    if not fitting:
        raise ValueError(f"{path} has no tensor that fits the network")
    network.load_state_dict(fitting, strict=False)
    return sorted(set(own) - set(fitting))


def channels(values: Channels) -> Tensor:
    """(1, 3, 1, 1): a mean or a standard deviation of pixels in [0, 1], for those of 0 to 255."""
    return torch.tensor(values).view(1, 3, 1, 1) * 255


def _optimizer(network: nn.Module, fresh: set[str], config: TrainConfig) -> torch.optim.AdamW:
    groups: dict[tuple[float, float], list[nn.Parameter]] = {}
    for name, parameter in network.named_parameters():
        if not parameter.requires_grad:
            continue
        rate = config.fresh_lr if name in fresh else config.lr
        decay = config.weight_decay if parameter.dim() > 1 else 0.0
        groups.setdefault((rate, decay), []).append(parameter)
    return torch.optim.AdamW(
        [{"params": p, "lr": rate, "base_lr": rate, "weight_decay": decay} for (rate, decay), p in groups.items()]
    )


class Trainer:
    """The state of one run.

    Args:
        inputs: digests of what the run learns from, by name; a run is resumed with the same ones only.

    Attributes:
        step: updates done.
        best, stale: highest AUC of the watch so far, and looks since then.
    """

    def __init__(
        self,
        model_config: ModelConfig,
        config: TrainConfig,
        backbone: Path | None,
        folder: Path,
        processes: Processes | None = None,
        inputs: Mapping[str, str] | None = None,
    ) -> None:
        torch.manual_seed(config.seed)
        self.model_config, self.config, self.folder, self.inputs = model_config, config, folder, dict(inputs or {})
        self.processes = processes or Processes.join()
        self.device = self.processes.device
        network = build(model_config.architecture)
        fresh = set(load_backbone(network, backbone)) if backbone else set()
        for name in config.frozen:
            network.get_submodule(name).requires_grad_(False)
        if self.processes.world > 1 and self.device.type == "cuda":
            network = nn.SyncBatchNorm.convert_sync_batchnorm(network)  # type: ignore[no-untyped-call]
        self.network: nn.Module = network.to(self.device, memory_format=torch.channels_last)  # type: ignore[call-overload]
        self.learner = DistributedDataParallel(self.network) if self.processes.world > 1 else self.network
        average = get_ema_multi_avg_fn(config.ema)  # type: ignore[no-untyped-call]
        self.ema = AveragedModel(self.network, multi_avg_fn=average, use_buffers=False)
        self.optimizer = _optimizer(self.network, fresh, config)
        self.step, self.best, self.stale = 0, 0.0, 0
        self.mean, self.std = (channels(each).to(self.device) for each in (model_config.mean, model_config.std))

    @property
    def checkpoint(self) -> Path:
        """Where the run resumes from."""
        return self.folder / "checkpoint.pt"

    def save(self) -> None:
        """Write the checkpoint; a kill in between leaves the previous one."""
        self.folder.mkdir(parents=True, exist_ok=True)
        state = {
            "config": self.config.to_json(),
            "inputs": self.inputs,
            "step": self.step,
            "best": self.best,
            "stale": self.stale,
            "network": self.network.state_dict(),
            "ema": self.ema.state_dict(),
            "optimizer": self.optimizer.state_dict(),
        }
        data = io.BytesIO()
        torch.save(state, data)  # Into memory: of a full disk torch says that its own file is corrupt.
        write_atomically(self.checkpoint, data.getvalue())

    def resume(self) -> bool:
        """Take up the checkpoint of the folder, if there is one.

        Raises:
            ValueError: it was made with other settings, or from other inputs.
        """
        if not self.checkpoint.exists():
            return False
        state = torch.load(self.checkpoint, map_location=self.device, weights_only=True)
        changed = _changes(json.loads(state["config"]), json.loads(self.config.to_json()))
        # A checkpoint of an earlier version names no inputs.
        inputs = state.get("inputs", {})
        changed += [f"other {name}" for name, value in self.inputs.items() if inputs.get(name, value) != value]
        if changed:
            raise ValueError(
                f"{self.checkpoint} was made with other settings ({', '.join(changed)}); "
                "use the same ones to resume, or another folder for a new run"
            )
        self.network.load_state_dict(state["network"])
        self.ema.load_state_dict(state["ema"])
        self.optimizer.load_state_dict(state["optimizer"])
        self.step, self.best, self.stale = state["step"], state["best"], state["stale"]
        return True

    def training_mode(self) -> None:
        """Batch statistics everywhere but in the frozen modules."""
        self.learner.train()
        for name in self.config.frozen:
            self.network.get_submodule(name).eval()

    def train_step(self, faces: Tensor, targets: Tensor) -> float:
        """One update on (N, 3, S, S) uint8 faces and (N,) targets, 1 = fake, of this process.

        Returns:
            The mean loss of all processes.
        """
        torch.manual_seed(self._chance())
        for group in self.optimizer.param_groups:
            group["lr"] = group["base_lr"] * self.config.rate(self.step)
        faces = ((faces.to(self.device).float() - self.mean) / self.std).contiguous(memory_format=torch.channels_last)
        with mixed_precision(self.device):
            logits = self.learner(faces).squeeze(1)
        loss = nn.functional.binary_cross_entropy_with_logits(logits.float(), targets.to(self.device).float())
        self.optimizer.zero_grad(set_to_none=True)
        loss.backward()  # type: ignore[no-untyped-call]
        nn.utils.clip_grad_norm_(self.network.parameters(), 5.0)
        self.optimizer.step()
        self.ema.update_parameters(self.network)
        self.step += 1
        return self.processes.mean(loss.item())

    def _chance(self) -> int:
        """The seed of dropout and stochastic depth in this step: a resumed run draws the same, each process its own."""
        drawn = np.random.SeedSequence((self.config.seed, self.step, self.processes.rank))
        return int(drawn.generate_state(1)[0])

    def averaged(self) -> nn.Module:
        """The moving average with the batch-norm statistics of the trained network."""
        network: nn.Module = self.ema.module
        for own, trained in zip(network.buffers(), self.network.buffers(), strict=True):
            own.copy_(trained)
        return network.eval()


def _changes(before: dict[str, Any], now: dict[str, Any]) -> list[str]:
    """What differs, leaving out what has no influence on the numbers."""
    names = (set(before) | set(now)) - {"workers", "save_every"}
    return [
        f"{name}: {before.get(name)} then, {now.get(name)} now"
        for name in sorted(names)
        if before.get(name) != now.get(name)
    ]
