"""Fine-tune a classifier; killed at any moment, it goes on from the last checkpoint with the same examples.

On its way a run shows a log (screen, JSON lines, TensorBoard), and its validation on the web tier.
"""

import json
import time
from collections.abc import Iterable, Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import TYPE_CHECKING

import numpy as np
import torch
from safetensors.torch import load_file
from safetensors.torch import save as dump_tensors
from torch import Tensor, nn
from torch.utils.data import DataLoader

from facecheck.errors import ModelError
from facecheck.files import naming, sha256_of, write_atomically
from facecheck.model.checkpoint import save_model
from facecheck.model.config import ModelConfig
from training.data import WORLD, FaceFile, FaceStream, arrived, copy_path, quiet_worker, read_opinions
from training.evaluation.metrics import roc_auc
from training.fitting.trainer import Processes, TrainConfig, Trainer, channels, mixed_precision

if TYPE_CHECKING:
    from torch.utils.tensorboard import SummaryWriter

REPORT_EVERY = 20


class RunLog:
    """`folder`/log.jsonl, one object a report; TensorBoard's files in `folder`/tensorboard.

    Args:
        step: reports after it belong to a future that a killed run never saved, and are dropped.
        tensorboard: also write event files; needs the package of that name.
        wandb: name of a Weights & Biases project that mirrors TensorBoard; needs the package wandb.
    """

    def __init__(self, folder: Path, step: int = 0, tensorboard: bool = False, wandb: str = "") -> None:
        folder.mkdir(parents=True, exist_ok=True)
        self.path = folder / "log.jsonl"
        self._keep_until(step)
        if wandb:
            import wandb as service

            service.init(project=wandb, dir=str(folder), sync_tensorboard=True)
        self.board = _board(folder / "tensorboard", step) if tensorboard or wandb else None

    def _keep_until(self, step: int) -> None:
        if not self.path.exists():
            return
        kept = [line for line in self.path.read_text().splitlines() if _step_of(line) <= step]
        write_atomically(self.path, "".join(line + "\n" for line in kept).encode())

    def report(self, step: int, **values: float) -> None:
        """Write the values of one step."""
        rounded = {name: round(value, 6) for name, value in values.items()}
        with naming(self.path), self.path.open("a") as stream:
            stream.write(json.dumps({"step": step, **rounded}) + "\n")
        print(f"step {step}", *(f"{name} {value:g}" for name, value in rounded.items()), sep="  ", flush=True)
        if self.board is not None:
            for name, value in values.items():
                self.board.add_scalar(name, value, step)

    def close(self) -> None:
        """Flush what is still in memory."""
        if self.board is not None:
            self.board.close()


def _step_of(line: str) -> float:
    try:
        return float(json.loads(line)["step"])
    except (ValueError, KeyError, TypeError):
        return float("inf")  # Half a line: the run was killed while it wrote.


def _board(folder: Path, step: int) -> "SummaryWriter":
    from torch.utils.tensorboard import SummaryWriter

    return SummaryWriter(folder, purge_step=step or None)


@torch.inference_mode()
def logits(network: nn.Module, faces: Iterable[Tensor], config: ModelConfig, device: torch.device) -> Tensor:
    """Batches of (N, 3, S, S) uint8 faces -> all their logits; `network` is in evaluation mode on `device`."""
    mean, std = channels(config.mean), channels(config.std)
    found = []
    for batch in faces:
        pixels = ((batch.float() - mean) / std).to(device, memory_format=torch.channels_last)
        with mixed_precision(device):
            found.append(network(pixels).squeeze(1).float().cpu())
    return torch.cat(found)


class Watch:
    """Validation faces as they arrive through a delivery tier, held in memory.

    Args:
        rows: of the val split; `limit` of them are drawn at random, both classes alike.
        size: input side, pixels.
    """

    def __init__(
        self, rows: Sequence[FaceFile], config: ModelConfig, size: int, limit: int = 600, tier: str = "web"
    ) -> None:
        rng = np.random.default_rng(0)
        classes = [[row for row in rows if row.target == target] for target in (0, 1)]
        if not all(classes):
            raise ValueError("watching needs real and fake faces in the val split")
        each = min(limit // 2, *map(len, classes))
        chosen = [members[i] for members in classes for i in rng.permutation(len(members))[:each]]
        self.config, self.targets = config, np.array([row.target for row in chosen])
        faces = np.stack([arrived(row, tier, size, config.crop_margin) for row in chosen])
        self.faces = torch.from_numpy(np.ascontiguousarray(faces.transpose(0, 3, 1, 2)))

    def auc(self, network: nn.Module, device: torch.device) -> float:
        """Area under the ROC curve of `network`, which is in evaluation mode on `device`."""
        scores = logits(network, torch.split(self.faces, 64), self.config, device)
        return roc_auc(self.targets, scores.double().numpy())


@dataclass(frozen=True)
class Reporting:
    """Where a run tells of itself besides the screen and its log; see `training.fitting.train.RunLog`."""

    tensorboard: bool = False
    wandb: str = ""


@dataclass(frozen=True)
class Aids:
    """Files that a run learns from besides the faces.

    Attributes:
        autoencoder: weights for the pseudo-fakes of that kind.
        copies: a folder of `training pairs`, for `TrainConfig.pair_share`.
        teacher: a table for `training.data.read_opinions`, for `TrainConfig.teacher_share`.
    """

    autoencoder: Path | None = None
    copies: Path | None = None
    teacher: Path | None = None


def _loader(rows: list[FaceFile], trainer: Trainer, aids: Aids) -> "DataLoader[tuple[Tensor, float]]":
    config, processes = trainer.config, trainer.processes
    stream = FaceStream(
        rows, config.sizes(), config.batch, trainer.model_config.crop_margin, config.delivery, config.seed,
        start_step=trainer.step, boost=dict(config.boost), share=(processes.rank, processes.world),
        pseudo=dict(config.pseudo), autoencoder=aids.autoencoder, copies=aids.copies, pair_share=config.pair_share,
        opinions=read_opinions(aids.teacher) if aids.teacher else None, teacher_share=config.teacher_share,
    )  # fmt: skip
    return DataLoader(
        stream,
        config.batch // processes.world,
        num_workers=config.workers,
        worker_init_fn=quiet_worker,
        prefetch_factor=4 if config.workers else None,
    )


def train(
    rows: list[FaceFile],
    model_config: ModelConfig,
    config: TrainConfig,
    backbone: Path | None,
    folder: Path,
    watched: Sequence[FaceFile] = (),
    aids: Aids | None = None,
    reporting: Reporting | None = None,
) -> Path:
    """Train on these rows (pass the train split), resuming a run found in `folder`.

    Args:
        watched: rows of the val split, needed if `config.watch_every` is set.
        aids: files that the run learns from besides the faces.

    Returns:
        The path of the weights: the moving average at the end, or at its best on the web tier where it was watched.

    Raises:
        ValueError: the folder holds a run with other settings, on other faces, or from another backbone or other aids;
            there is nothing to watch; the processes cannot share the batch; a face is of the split `world`.
    """
    if any(row.split == WORLD for row in rows):
        raise ValueError(f"faces of the split {WORLD!r} are there to be judged on: nothing is trained on them")
    aids, processes = aids or Aids(), Processes.join()
    if config.batch % processes.world:
        raise ValueError(f"a batch of {config.batch} cannot be shared by {processes.world} processes")
    inputs = _inputs(rows, watched if config.watch_every else (), backbone, aids)
    trainer = Trainer(model_config, config, backbone, folder, processes, inputs)
    if trainer.resume() and processes.leads:
        print(f"resumed at step {trainer.step}", flush=True)
    watch = Watch(watched, model_config, config.phases[-1][1]) if config.watch_every else None
    try:
        _run(trainer, _loader(rows, trainer, aids), watch, reporting or Reporting())
    finally:
        processes.leave()
    path = folder / f"{model_config.name}.safetensors"
    return _saved(trainer, watch is not None) if processes.leads else path


def _inputs(rows: Sequence[FaceFile], watched: Sequence[FaceFile], backbone: Path | None, aids: Aids) -> dict[str, str]:
    """The sha256 of everything that a run learns from, by the name that stands in a refusal."""
    faces = {"faces": rows, "watched faces": watched}
    files = {"backbone": backbone, "autoencoder": aids.autoencoder, "teacher": aids.teacher}
    # Of the faces names and places alone: to read every file would take minutes.
    told = {name: repr([(r.path.name, r.label, r.source, r.box) for r in part]) for name, part in faces.items()}
    told["copies"] = repr(sorted(copy_path(aids.copies, r).is_file() for r in rows)) if aids.copies else ""
    digests = {name: sha256_of(text.encode()) for name, text in told.items()}
    return digests | {name: sha256_of(path) if path else "" for name, path in files.items()}


def _run(
    trainer: Trainer, loader: "DataLoader[tuple[Tensor, float]]", watch: Watch | None, reporting: Reporting
) -> None:
    config, leads = trainer.config, trainer.processes.leads
    log = RunLog(trainer.folder, trainer.step, reporting.tensorboard, reporting.wandb) if leads else None
    trainer.training_mode()
    smooth, began, first = 0.7, time.perf_counter(), trainer.step
    for faces, targets in loader:
        if _gave_up(trainer):
            break
        smooth += 0.03 * (trainer.train_step(faces, targets) - smooth)
        if log and (trainer.step % REPORT_EVERY == 0 or trainer.step == config.steps):
            speed = (trainer.step - first) * config.batch / (time.perf_counter() - began)
            log.report(trainer.step, loss=smooth, side=faces.shape[-1], images_per_s=speed)
        if watch and (trainer.step % config.watch_every == 0 or trainer.step == config.steps):
            _look(trainer, watch, log)
        if leads and trainer.step % config.save_every == 0:
            trainer.save()
    if leads:
        trainer.save()
    if log:
        log.close()


def _gave_up(trainer: Trainer) -> bool:
    return bool(trainer.config.patience) and trainer.stale >= trainer.config.patience


def _best(folder: Path) -> Path:
    return folder / "best.weights"


def _look(trainer: Trainer, watch: Watch, log: RunLog | None) -> None:
    """Judge the moving average on the web tier, keep it if none was better, and tell the others."""
    auc = trainer.processes.broadcast(watch.auc(trainer.averaged(), trainer.device) if trainer.processes.leads else 0.0)
    better = auc > trainer.best
    trainer.best, trainer.stale = max(auc, trainer.best), 0 if better else trainer.stale + 1
    if log:
        log.report(trainer.step, web_auc=auc, best_web_auc=trainer.best)
        if better:
            state = {name: t.contiguous().cpu() for name, t in trainer.averaged().state_dict().items()}
            write_atomically(_best(trainer.folder), dump_tensors(state))


def _saved(trainer: Trainer, watched: bool) -> Path:
    network = trainer.averaged()
    if watched and _best(trainer.folder).exists():
        network.load_state_dict(load_file(_best(trainer.folder)))
    return save_as_decided(network, trainer.model_config, trainer.folder)


def save_as_decided(network: nn.Module, config: ModelConfig, folder: Path) -> Path:
    """As `save_model`; where the folder holds these very weights already, their decision and limits stay."""
    before = _config_beside(folder / f"{config.name}.safetensors")
    path = save_model(network, config, folder)
    written = _config_beside(path)
    if before and written and before.sha256 == written.sha256:
        kept = replace(written, decision=before.decision, limits=before.limits)
        write_atomically(path.with_suffix(".json"), kept.to_json().encode())
    return path


def _config_beside(weights: Path) -> ModelConfig | None:
    try:
        return ModelConfig.from_json(weights.with_suffix(".json").read_text(encoding="utf-8"))
    except (OSError, ModelError):
        return None
