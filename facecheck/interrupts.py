"""Ctrl-C ends a command with 130 and without a traceback, at whatever moment it comes.

While the interpreter loads modules, or leaves, nothing has begun or all is done: the process ends at once. In between
`KeyboardInterrupt` is raised, so that what was begun is put away; where Python could only print it, because it came in
a callback, the process ends as well. This imports nothing that takes time: it is asked for first.
"""

import os
import signal
import sys
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from importlib import import_module
from typing import Any, NoReturn

INTERRUPTED = 130
"""The exit code."""
_working = [False]


def run(module: str, name: str) -> None:
    """Import a module and call its `main`, as a program of this name."""
    # Where Ctrl-C is ignored, as in a shell's background jobs, it stays so.
    if signal.getsignal(signal.SIGINT) is signal.default_int_handler:
        signal.signal(signal.SIGINT, _hear)
        sys.unraisablehook = _unraisable
    import_module(module).main(prog_name=name)


@contextmanager
def raised() -> Iterator[None]:
    """The first Ctrl-C in this block raises `KeyboardInterrupt`."""
    try:
        _working[0] = True
        yield
    finally:
        _working[0] = False


@contextmanager
def not_for_children() -> Iterator[None]:
    """Processes that are started in this block never hear Ctrl-C: their parent does, and ends them."""
    if not hasattr(signal, "pthread_sigmask"):
        yield
        return
    before = signal.pthread_sigmask(signal.SIG_BLOCK, {signal.SIGINT})
    try:
        yield
    finally:
        signal.pthread_sigmask(signal.SIG_SETMASK, before)


def _hear(*_: object) -> None:
    if not _working[0]:
        _end()
    _working[0] = False
    raise KeyboardInterrupt


def _unraisable(problem: Any) -> None:
    if issubclass(problem.exc_type, KeyboardInterrupt):
        _end()
    sys.__unraisablehook__(problem)


def _end() -> NoReturn:
    with suppress(OSError):
        os.write(2, b"\nStopped.\n")
    os._exit(INTERRUPTED)
