"""What a run reports on its way: a line on the screen, a line of JSON in its folder, TensorBoard if wanted."""

import json
from pathlib import Path
from typing import TYPE_CHECKING

from facecheck.files import write_atomically

if TYPE_CHECKING:
    from torch.utils.tensorboard import SummaryWriter


class Journal:
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
        with self.path.open("a") as stream:
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
