"""One run on several processes, started by `torchrun`: who am I, and what do the others say."""

import os
from dataclasses import dataclass, field
from typing import Self

import torch
from torch import distributed


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
