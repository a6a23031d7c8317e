"""The same work on a Ray cluster: one pipeline for each actor, a GPU for each where the cluster has some.

Only pixels travel; record and masters are written by the process that started the run, so a worker that dies loses
nothing but the images it was making, and Ray starts it anew and asks again.
"""

import logging
import os
import socket
from collections.abc import Iterable, Iterator
from typing import Any, Self

from data_generation.errors import GenerationError
from data_generation.synthesis.generate import Work
from data_generation.synthesis.pipelines import Pipeline, Rendered
from data_generation.synthesis.settings import Settings

IN_FLIGHT = 2
"""Groups that wait at each actor while it makes one."""


class Cluster:
    """Actors on a Ray cluster. Use as a context manager.

    Args:
        address: "auto", "host:port", "ray://host:port", or "local" for a cluster of this machine alone.
        actors: how many; 0 = one for each GPU, or for each processor where there is none.

    Raises:
        GenerationError: Ray is missing, or the cluster cannot be reached.
    """

    def __init__(self, address: str, settings: Settings, actors: int = 0) -> None:
        self.address, self.settings, self.actors = address, settings, actors

    def __enter__(self) -> Self:
        try:
            import ray
        except ImportError:
            raise GenerationError('--ray needs Ray: pip install "facecheck[ray]"') from None
        self.ray = ray
        _knock(self.address)
        try:
            ray.init(address=self.address, log_to_driver=False, logging_level=logging.ERROR)
        except (ConnectionError, ValueError, RuntimeError) as error:
            raise GenerationError(f"cannot reach a Ray cluster at {self.address}: {error}") from error
        gpus = int(ray.cluster_resources().get("GPU", 0))
        count = self.actors or gpus or int(ray.cluster_resources().get("CPU", 1))
        worker = ray.remote(num_cpus=1, num_gpus=1 if gpus else 0, max_restarts=-1, max_task_retries=3)(_Worker)
        self.workers: list[Any] = [worker.remote(self.settings) for _ in range(count)]
        return self

    def __exit__(self, *_: object) -> None:
        self.ray.shutdown()

    def stream(self, groups: Iterable[Work]) -> Iterator[tuple[int, list[Rendered]]]:
        """As they are finished; `IN_FLIGHT` groups wait at each actor."""
        waiting: dict[Any, tuple[int, int]] = {}
        for number, (recipes, photos) in enumerate(groups):
            if len(waiting) >= IN_FLIGHT * len(self.workers):
                yield self._finished(waiting)
            busy = [actor for _, actor in waiting.values()]
            actor = min(range(len(self.workers)), key=busy.count)
            waiting[self.workers[actor].render.remote(recipes, photos)] = number, actor
        while waiting:
            yield self._finished(waiting)

    def _finished(self, waiting: dict[Any, tuple[int, int]]) -> tuple[int, list[Rendered]]:
        (done,), _ = self.ray.wait(list(waiting), num_returns=1)
        number, _ = waiting.pop(done)
        try:
            return number, self.ray.get(done)
        except self.ray.exceptions.RayError as error:
            raise GenerationError(f"a worker of the cluster failed: {_last_line(error)}") from error


def _knock(address: str) -> None:
    """Ray itself tries for minutes to reach a host that nobody answers at."""
    host, _, port = address.removeprefix("ray://").rpartition(":")
    if host and port.isdigit():
        try:
            socket.create_connection((host, int(port)), timeout=10).close()
        except OSError as error:
            raise GenerationError(f"cannot reach a Ray cluster at {address}: {error}") from error


def _last_line(error: Exception) -> str:
    return str(error).strip().splitlines()[-1]


class _Worker:
    """What runs on the cluster."""

    def __init__(self, settings: Settings) -> None:
        self.pipeline = Pipeline(settings)

    def render(self, recipes: list[Any], photos: list[Any]) -> list[Rendered]:
        return self.pipeline.render(recipes, photos)

    def place(self) -> tuple[str, int]:
        """Host and process, for whoever looks for a worker."""
        return socket.gethostname(), os.getpid()
