"""Servers, browsers and pictures that the tests of the page share."""

import asyncio
import io
import socket
import threading
import time
from collections.abc import Coroutine, Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager, suppress
from pathlib import Path
from typing import Any, TypeVar

import httpx
import pytest
import uvicorn
from fastapi import FastAPI
from PIL import Image

from demo.app import create_app
from demo.feedback.store import Store
from demo.server.connections import server_options
from demo.server.service import Service
from demo.settings import Settings
from facecheck.checker import FaceChecker
from tests.demo.page.visiting import PATIENCE, opened, start_again

Result = TypeVar("Result")
ROOT = Path(__file__).parents[2]
SHARED_PHOTOS = ROOT.parent / "shared" / "data" / "photos"


@pytest.fixture(scope="session")
def portrait(grace_path: Path) -> bytes:
    return grace_path.read_bytes()


@pytest.fixture
def store(tmp_path: Path) -> Store:
    return Store(tmp_path / "feedback", 50 << 20)


def as_file(picture: Image.Image, kind: str = "JPEG", **options) -> bytes:
    buffer = io.BytesIO()
    picture.save(buffer, kind, **options)
    return buffer.getvalue()


@contextmanager
def serving(settings: Settings, checker: FaceChecker, service: Service | None = None) -> Iterator[str]:
    """A server in a thread; gives its address once the model is ready.

    Args:
        service: another than one with this checker.
    """
    with socket.socket() as free:
        free.bind(("127.0.0.1", 0))
        port = free.getsockname()[1]
    service, servers = service or Service(lambda: checker, settings.workers, settings.waiting), []

    def serve() -> None:
        app = asyncio.run(_made(settings, service))
        limits = server_options(settings)
        config = uvicorn.Config(
            app, host="127.0.0.1", port=port, log_level="error", timeout_graceful_shutdown=1, **limits
        )
        servers.append(uvicorn.Server(config))
        servers[0].run()

    thread = threading.Thread(target=serve, daemon=True)
    thread.start()
    address = f"http://127.0.0.1:{port}"
    _wait_until_ready(address)
    yield address
    servers[0].should_exit = True
    thread.join(20)  # A job that is under way ends first: torch must not be cut off in the middle.


def in_a_thread(work: Coroutine[Any, Any, Result]) -> Result:
    """Run a coroutine in a thread of its own: Playwright keeps an event loop running in this one."""
    with ThreadPoolExecutor(1) as pool:
        return pool.submit(asyncio.run, work).result()


async def _made(settings: Settings, service: Service) -> FastAPI:
    """Made inside an event loop: outside of one Gradio makes its own and never closes it."""
    return create_app(settings, service)


def _wait_until_ready(address: str) -> None:
    end = time.monotonic() + PATIENCE / 1000
    with httpx.Client() as client:
        while time.monotonic() < end:
            with suppress(httpx.TransportError):
                if client.get(f"{address}/health").status_code == 200:
                    return
            time.sleep(0.1)
    raise TimeoutError(address)


@pytest.fixture(scope="session")
def feedback_folder(tmp_path_factory) -> Path:
    """Of `small_server`."""
    return tmp_path_factory.mktemp("small") / "feedback"


@pytest.fixture(scope="session")
def small_server(checker: FaceChecker, feedback_folder: Path) -> Iterator[str]:
    """A server with a tiny model: fast, its verdicts mean nothing."""
    with serving(Settings(feedback=feedback_folder, max_mb=2), checker) as address:
        yield address


@pytest.fixture(scope="session")
def server(default_checker: FaceChecker, tmp_path_factory) -> Iterator[str]:
    """A server with the model that ships with the package, and the limits of a user's."""
    with serving(Settings(feedback=tmp_path_factory.mktemp("page") / "feedback"), default_checker) as address:
        yield address


@pytest.fixture(scope="module")
def visitor(browser, small_server):
    """One visitor of `small_server` who looks at many pictures, one after the other."""
    with opened(browser, small_server) as page:
        yield page


@pytest.fixture
def again(visitor):
    """The same visitor as before, who has chosen nothing now."""
    yield start_again(visitor)
    visitor.unroute_all()


@pytest.fixture
def page(visitor):
    """The same once more, whose page is loaded afresh and who remembers nothing."""
    visitor.unroute_all()
    visitor.evaluate("localStorage.clear()")
    visitor.reload()
    visitor.wait_for_selector("#rc-file", state="attached")
    return visitor


@pytest.fixture(scope="module")
def shipped_visitor(browser, server):
    """One visitor of `server`."""
    with opened(browser, server) as page:
        yield page


@pytest.fixture
def shipped_page(shipped_visitor):
    """A visitor of `server` who has chosen nothing yet."""
    return start_again(shipped_visitor)
