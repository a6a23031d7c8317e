"""The same work on a Ray cluster: one pipeline for each actor, a GPU for each where the cluster has some.

Only pixels travel; record and PNGs are written by the process that started the run, so a worker that dies loses
nothing but the images it was making, and Ray starts it anew and asks again.
"""

from collections.abc import Iterable, Iterator
from typing import Any, Self

from data_generation.errors import GenerationError
from data_generation.synthesis.generate import Work
from data_generation.synthesis.pipelines import Pipeline, Rendered
from data_generation.synthesis.settings import Settings
from facecheck.actors import IN_FLIGHT, Placed, least_busy, start_actors


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
            self.ray, self.workers = start_actors(self.address, _Worker, (self.settings,), self.actors)
        except ConnectionError as error:
            raise GenerationError(str(error)) from error
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
            actor = least_busy(busy, len(self.workers))
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


def _last_line(error: Exception) -> str:
    return str(error).strip().splitlines()[-1]


class _Worker(Placed):
    """What runs on the cluster."""

    def __init__(self, settings: Settings) -> None:
        self.pipeline = Pipeline(settings)

    def render(self, recipes: list[Any], photos: list[Any]) -> list[Rendered]:
        return self.pipeline.render(recipes, photos)
