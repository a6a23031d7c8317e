"""The whole server put together: FastAPI with the page mounted on it."""

import asyncio
import contextlib
import os
from collections.abc import AsyncIterator

from fastapi import FastAPI
from fastapi.middleware.cors import CORSMiddleware
from fastapi.responses import FileResponse
from fastapi.staticfiles import StaticFiles
from fastapi_offline import FastAPIOffline

from demo import texts
from demo.feedback.store import Store
from demo.page.examples import add_examples
from demo.page.handlers import CheckHandlers, add_evidence
from demo.server.api import Metrics, add_api, add_metrics
from demo.server.decoders import Decoders
from demo.server.middleware import Middleware
from demo.server.service import Service
from demo.server.uploads import Uploads, add_camera, add_uploads
from demo.settings import Settings
from facecheck import __version__
from facecheck.checker import FaceChecker

SWEEP_S = 60
# Gradio and its libraries read these when they are imported.
QUIET = {"GRADIO_ANALYTICS_ENABLED": "False", "HF_HUB_DISABLE_TELEMETRY": "1", "HF_HUB_OFFLINE": "1"}


def create_app(settings: Settings, service: Service | None = None) -> FastAPI:
    """The whole server for `uvicorn.run`.

    Args:
        service: another one than that of the settings' model; tests pass it.

    Raises:
        ImportError: `settings.mcp` without the package that it needs.
    """
    os.environ.update(QUIET)
    decoders = Decoders(settings.workers)
    service = service or Service(
        lambda: FaceChecker(settings.model, device=settings.device, prevalence=settings.prevalence),
        settings.workers,
        settings.waiting,
        decode=decoders.decode,
        megapixels=settings.megapixels,
    )
    uploads, store = Uploads(settings.kept_bytes, settings.kept_s), Store(settings.feedback, settings.feedback_mb << 20)
    # FastAPI's own page of the documentation loads its scripts from elsewhere.
    app = FastAPIOffline(
        title=texts.NAME, version=__version__, redoc_url=None, static_url="/own/swagger",
        lifespan=lambda _: _lifespan(service, uploads, store, decoders),
        description="Tells photographs of faces from generated ones. “real” means: no sign of generation found.",
    )  # fmt: skip
    metrics = Metrics(service, uploads)
    add_api(app, service, metrics)
    add_metrics(app, service, metrics)
    add_camera(app, service)
    add_uploads(app, uploads)
    add_evidence(app, uploads, service)
    add_examples(app)
    app.add_middleware(Middleware, settings=settings)
    # Outside of ours: a browser asks first, without a key. There even with no origin, or Gradio allows every one.
    app.add_middleware(CORSMiddleware, allow_origins=settings.cors, allow_methods=["GET", "POST"], allow_headers=["*"])
    _mount_page(app, settings, CheckHandlers(service, uploads, settings), store)
    return app


def _mount_page(app: FastAPI, settings: Settings, handlers: CheckHandlers, store: Store) -> None:
    import gradio as gr

    from demo.page.blocks import HEAD, STATIC, Objections, build_page, theme

    app.mount("/own", StaticFiles(directory=STATIC))

    @app.get("/for-programs", include_in_schema=False)
    async def for_programs() -> FileResponse:
        return FileResponse(STATIC / "programs.html", media_type="text/html")

    page = build_page(handlers, Objections(store, handlers.uploads), settings)
    gr.mount_gradio_app(
        app, page, path="/", theme=theme(), head=HEAD, footer_links=[], run_history=False, show_error=False,
        enable_monitoring=False, ssr_mode=False, pwa=False, mcp_server=settings.mcp, max_file_size=1,
        root_path=settings.root_path or None, favicon_path=str(STATIC / "favicon.svg"),
    )  # fmt: skip
    if settings.mcp and not page.mcp_server:  # Gradio itself would go on without it.
        raise ImportError('--mcp needs another package: pip install "gradio[mcp]"')


@contextlib.asynccontextmanager
async def _lifespan(service: Service, uploads: Uploads, store: Store, decoders: Decoders) -> AsyncIterator[None]:
    service.start()
    store.sweep()
    sweeping = asyncio.create_task(_sweep(uploads))
    yield
    sweeping.cancel()
    decoders.close()


async def _sweep(uploads: Uploads) -> None:
    while True:
        await asyncio.sleep(SWEEP_S)
        uploads.sweep()
