"""Processes that are started to be killed: forked from one that has imported what they need."""

import multiprocessing
from multiprocessing import forkserver
from multiprocessing.context import ForkServerContext


def forking(*preloaded: str) -> ForkServerContext:
    """Where such processes come from. A server that another test left, with other modules, is replaced."""
    server = forkserver._forkserver  # The one of this process; only it can be stopped.
    if server._preload_modules != list(preloaded):
        server._stop()
    context = multiprocessing.get_context("forkserver")
    context.set_forkserver_preload(list(preloaded))
    return context
