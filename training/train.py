"""Fine-tune a classifier; killed at any moment, it goes on from the last checkpoint with the same examples."""

import math
import time
from collections.abc import Sequence
from dataclasses import dataclass, field
from pathlib import Path

import cv2
import torch
from safetensors.torch import load_file
from torch import Tensor, nn
from torch.optim.swa_utils import AveragedModel, get_ema_multi_avg_fn
from torch.utils.data import DataLoader

from facecheck.models import Model, ModelConfig, build, save_model
from training.augment import Delivery
from training.data import FaceFile, FaceStream


@dataclass(frozen=True)
class TrainConfig:
    """A training run. Sizes are pixels.

    Attributes:
        phases: (share of the steps, input side), in order.
        lr, fresh_lr: for tensors that came with the backbone, and for those initialised at random.
        boost: ("label/source", factor) on the share of hard sources, see `training.data.sampling_weights`.
        frozen: top-level modules that keep the backbone's weights and batch-norm statistics.
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
    """Network, moving average and optimizer of one run, and the checkpoint that holds them."""

    def __init__(self, model_config: ModelConfig, config: TrainConfig, backbone: Path | None, folder: Path) -> None:
        torch.manual_seed(config.seed)
        self.model_config, self.config, self.folder = model_config, config, folder
        self.device = torch.device("cuda" if torch.cuda.is_available() else "cpu")
        network = build(model_config.architecture)
        fresh = set(load_backbone(network, backbone)) if backbone else set()
        for name in config.frozen:
            network.get_submodule(name).requires_grad_(False)
        self.network = network.to(self.device, memory_format=torch.channels_last)  # type: ignore[call-overload]
        average = get_ema_multi_avg_fn(config.ema)  # type: ignore[no-untyped-call]
        self.ema = AveragedModel(self.network, multi_avg_fn=average, use_buffers=False)
        self.optimizer = _optimizer(self.network, fresh, config)
        self.step = 0
        self.mean = torch.tensor(model_config.mean, device=self.device).view(1, 3, 1, 1) * 255
        self.std = torch.tensor(model_config.std, device=self.device).view(1, 3, 1, 1) * 255

    @property
    def checkpoint(self) -> Path:
        """Where the run resumes from."""
        return self.folder / "checkpoint.pt"

    def save(self) -> None:
        """Write the checkpoint; a kill in between leaves the previous one."""
        self.folder.mkdir(parents=True, exist_ok=True)
        state = {
            "step": self.step,
            "network": self.network.state_dict(),
            "ema": self.ema.state_dict(),
            "optimizer": self.optimizer.state_dict(),
        }
        partial = self.checkpoint.with_suffix(".partial")
        torch.save(state, partial)
        partial.replace(self.checkpoint)

    def resume(self) -> bool:
        """Take up the checkpoint of the folder, if there is one."""
        if not self.checkpoint.exists():
            return False
        state = torch.load(self.checkpoint, map_location=self.device, weights_only=True)
        self.network.load_state_dict(state["network"])
        self.ema.load_state_dict(state["ema"])
        self.optimizer.load_state_dict(state["optimizer"])
        self.step = state["step"]
        return True

    def training_mode(self) -> None:
        """Batch statistics everywhere but in the frozen modules."""
        self.network.train()
        for name in self.config.frozen:
            self.network.get_submodule(name).eval()

    def train_step(self, faces: Tensor, targets: Tensor) -> float:
        """One update on (N, 3, S, S) uint8 faces and (N,) targets, 1 = fake; returns the loss."""
        for group in self.optimizer.param_groups:
            group["lr"] = group["base_lr"] * self.config.rate(self.step)
        faces = ((faces.to(self.device).float() - self.mean) / self.std).contiguous(memory_format=torch.channels_last)
        with torch.autocast(self.device.type, dtype=torch.bfloat16):
            logits = self.network(faces).squeeze(1)
        loss = nn.functional.binary_cross_entropy_with_logits(logits.float(), targets.to(self.device).float())
        self.optimizer.zero_grad(set_to_none=True)
        loss.backward()  # type: ignore[no-untyped-call]
        nn.utils.clip_grad_norm_(self.network.parameters(), 5.0)
        self.optimizer.step()
        self.ema.update_parameters(self.network)
        self.step += 1
        return loss.item()

    def averaged(self) -> nn.Module:
        """The moving average with the batch-norm statistics of the trained network."""
        network: nn.Module = self.ema.module
        for own, trained in zip(network.buffers(), self.network.buffers(), strict=True):
            own.copy_(trained)
        return network.eval()


def _quiet_worker(_: int) -> None:
    cv2.setNumThreads(0)
    torch.set_num_threads(1)


def train(
    rows: list[FaceFile], model_config: ModelConfig, config: TrainConfig, backbone: Path | None, folder: Path
) -> Path:
    """Train on these rows (pass the train split), resuming a run found in `folder`; returns the weights' path."""
    trainer = Trainer(model_config, config, backbone, folder)
    if trainer.resume():
        print(f"resumed at step {trainer.step}", flush=True)
    stream = FaceStream(
        rows,
        config.sizes(),
        config.batch,
        model_config.crop_margin,
        config.delivery,
        config.seed,
        trainer.step,
        dict(config.boost),
    )
    loader = DataLoader(
        stream,
        config.batch,
        num_workers=config.workers,
        worker_init_fn=_quiet_worker,
        prefetch_factor=4 if config.workers else None,
    )
    trainer.training_mode()
    smooth, began, first = 0.7, time.perf_counter(), trainer.step
    for faces, targets in loader:
        smooth += 0.03 * (trainer.train_step(faces, targets) - smooth)
        if trainer.step % 20 == 0:
            speed = (trainer.step - first) * config.batch / (time.perf_counter() - began)
            print(
                f"step {trainer.step}/{config.steps}  {faces.shape[-1]} px  loss {smooth:.4f}  {speed:.1f} images/s",
                flush=True,
            )
        if trainer.step % config.save_every == 0:
            trainer.save()
    trainer.save()
    return save_model(trainer.averaged(), model_config, folder)


def average(models: Sequence[Model], folder: Path) -> Path:
    """Average the weights of runs that started from one another, and save the result under the last one's config.

    Uniform model soup (Wortsman et al. 2022): better than each run where they lie in one basin of the loss.
    """
    states = [model.network.state_dict() for model in models]
    mixed = {
        name: torch.stack([state[name] for state in states]).mean(dim=0) if last.is_floating_point() else last
        for name, last in states[-1].items()
    }
    network = build(models[-1].config.architecture)
    network.load_state_dict(mixed)
    return save_model(network, models[-1].config, folder)
