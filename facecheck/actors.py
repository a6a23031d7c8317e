"""Actors on a Ray cluster: what scans and data generation share of it. Ray is imported only here, and only on use."""

import logging
import os
import socket
from collections import Counter
from typing import Any

IN_FLIGHT = 2
"""Groups that wait at each actor while it works on one."""
RETRIES = 3


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
