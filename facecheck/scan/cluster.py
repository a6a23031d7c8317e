"""The same scan on a Ray cluster: actors hold the model and read the files, one process writes the rows.

Only paths and rows travel, so every machine must see the files under the same paths. A worker that dies is started
anew and asked again; what had not come back is not in the ledger and so cannot be lost or doubled. Where a machine is
gone for good, others do its work. Data generation starts its actors here too. Ray is imported only here, on use.
"""

import logging
import os
import socket
from collections import Counter
from collections.abc import Iterable, Iterator
from itertools import cycle
from typing import Any, Self

from facecheck.batching import BATCH_PICTURES
from facecheck.errors import ScanError
from facecheck.scan.rows import Candidate, Judge, Row, Settings, failed_row
from facecheck.scan.scanner import Outcome, Scanner
from facecheck.settings import CheckerSettings

IN_FLIGHT = 2
"""Groups that wait at each actor while it works on one."""
RETRIES = 3
PATIENCE_S = 60.0
"""When nothing at all has come for so long, workers that have nothing to do are asked for what others are late with."""


class Placed:
    """A worker that can be found."""

    def place(self) -> tuple[str, int]:
        """Host and process."""
        return socket.gethostname(), os.getpid()


def start_actors(address: str, worker: type, arguments: tuple[Any, ...], count: int = 0) -> tuple[Any, list[Any]]:
    """Join a cluster and start actors that are started anew, and asked again, when they die.

    Args:
        address: "auto", "host:port", "ray://host:port", or "local" for a cluster of this machine alone.
        worker: the class of the actors; arguments: of its constructor.
        count: how many; 0 = one for each GPU, or for each processor where there is none.

    Returns:
        The module `ray`, to be shut down in the end, and the actors.

    Raises:
        ConnectionError: Ray is missing, or the cluster cannot be reached; one line that says so.
    """
    try:
        import ray
    except ImportError:
        raise ConnectionError('--ray needs Ray: pip install "facecheck[ray]"') from None
    try:
        _knock(address)
        ray.init(address=address, log_to_driver=False, logging_level=logging.ERROR)
    except (OSError, ValueError, RuntimeError) as error:
        raise ConnectionError(f"cannot reach a Ray cluster at {address}: {error}") from error
    gpus = int(ray.cluster_resources().get("GPU", 0))
    actors = count or gpus or int(ray.cluster_resources().get("CPU", 1))
    remote = ray.remote(num_cpus=1, num_gpus=1 if gpus else 0, max_restarts=-1, max_task_retries=RETRIES)(worker)
    return ray, [remote.remote(*arguments) for _ in range(actors)]


def least_busy(busy: list[int], actors: int) -> int:
    """The actor with the fewest groups, given the actor of every group that is out."""
    groups = Counter(busy)
    return min(range(actors), key=groups.__getitem__)


def _knock(address: str) -> None:
    """Ray itself tries for minutes to reach a host that nobody answers at."""
    host, _, port = address.removeprefix("ray://").rpartition(":")
    if host and port.isdigit():
        socket.create_connection((host, int(port)), timeout=10).close()


class Cluster:
    """Actors on a Ray cluster. Use as a context manager.

    Args:
        address: "auto", "host:port", "ray://host:port", or "local" for a cluster of this machine alone.
        chosen: what the workers load.
        actors: how many; 0 = one for each GPU, or for each processor where there is none.

    Raises:
        ScanError: Ray is missing, or the cluster cannot be reached.
    """

    def __init__(self, address: str, settings: Settings, chosen: CheckerSettings, actors: int = 0) -> None:
        self.address, self.settings, self.chosen, self.actors = address, settings, chosen, actors
        self._waiting: dict[Any, tuple[list[Candidate], int]] = {}

    def __enter__(self) -> Self:
        try:
            self.ray, self.workers = start_actors(self.address, _Worker, (self.settings, self.chosen), self.actors)
        except ConnectionError as error:
            raise ScanError(str(error)) from error
        return self

    def __exit__(self, *_: object) -> None:
        self.ray.shutdown()

    def run(self, scanner: Scanner, paths: Iterable[str]) -> Iterator[Outcome]:
        """As `Scanner.run`, in the order in which the workers finish."""
        group: list[Candidate] = []
        for item in scanner.candidates(paths):
            if not isinstance(item, Candidate):
                yield Outcome(item.candidate.path, item.verdict, known=True)
                continue
            group.append(item)
            if len(group) == BATCH_PICTURES:
                while len(self._waiting) >= IN_FLIGHT * len(self.workers):
                    yield from self._written(scanner)
                self._send(group)
                group = []
        if group:
            self._send(group)
        while self._waiting:
            yield from self._written(scanner)

    def _send(self, group: list[Candidate], actor: int | None = None) -> None:
        if actor is None:
            actor = least_busy([busy for _, busy in self._waiting.values()], len(self.workers))
        self._waiting[self.workers[actor].rows.remote(group)] = group, actor

    def _ask_others(self) -> None:
        """Ray starts the workers of a lost machine elsewhere only if there is room; else they would never answer."""
        busy = {actor for _, actor in self._waiting.values()}
        idle = [actor for actor in range(len(self.workers)) if actor not in busy]
        late = {id(group): group for group, _ in self._waiting.values()}
        for group, actor in zip(late.values(), cycle(idle), strict=False):
            self._send(group, actor)

    def _first_done(self) -> tuple[Any, list[Candidate]] | None:
        """The first answer for a group, and the group; of others who were asked for it nothing is wanted any more."""
        done, _ = self.ray.wait(list(self._waiting), num_returns=1, timeout=PATIENCE_S)
        if not done:
            return None
        group, _ = self._waiting[done[0]]
        self._waiting = {call: asked for call, asked in self._waiting.items() if asked[0] is not group}
        return done[0], group

    def _written(self, scanner: Scanner) -> list[Outcome]:
        """Wait for one group and write its rows."""
        first = self._first_done()
        if first is None:
            self._ask_others()
            return []
        done, group = first
        try:
            rows: list[Row] = self.ray.get(done)
        except self.ray.exceptions.RayTaskError as error:
            raise ScanError(f"a worker of the cluster failed: {str(error).strip().splitlines()[-1]}") from error
        except self.ray.exceptions.RayError as error:
            # The worker died again and again: find the file that kills it.
            if len(group) > 1:
                for candidate in group:
                    self._send([candidate])
                return []
            (candidate,) = group
            message = f"{candidate.path}: its worker died {RETRIES + 1} times ({type(error).__name__})"
            rows = [failed_row(candidate, self.settings, message)]
        scanner.ledger.append(rows)
        return [Outcome(row["path"], row["verdict"]) for row in rows]


class _Worker(Placed):
    """What runs on the cluster."""

    def __init__(self, settings: Settings, chosen: CheckerSettings) -> None:
        self.judge = Judge(settings, lambda: chosen.checker(max_fpr=settings.max_fpr))

    def rows(self, candidates: list[Candidate]) -> list[Row]:
        return self.judge.judged(candidates)
