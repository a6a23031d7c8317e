"""The server: FastAPI with the page mounted on it."""

import asyncio
import contextlib
import os
from collections.abc import AsyncIterator

from fastapi import FastAPI, HTTPException, Request, Response
from fastapi.middleware.cors import CORSMiddleware
from fastapi.responses import FileResponse
from fastapi.staticfiles import StaticFiles
from fastapi_offline import FastAPIOffline
from PIL import Image

from demo.feedback.store import Store
from demo.page import texts
from demo.page.examples import TYPES, examples
from demo.page.handlers import Desk
from demo.page.heat_maps import heat_map
from demo.page.results import data_url
from demo.server.api import add_api
from demo.server.camera import add_live
from demo.server.metrics import Metrics
from demo.server.rate_limits import Guard
from demo.server.service import BusyError, NotReadyError, Service
from demo.server.uploads import Pictures
from demo.settings import Settings
from facecheck import __version__
from facecheck.checker import FaceChecker
from facecheck.errors import ModelError

SWEEP_S = 60
# Gradio and its libraries read these when they are imported.
QUIET = {"GRADIO_ANALYTICS_ENABLED": "False", "HF_HUB_DISABLE_TELEMETRY": "1", "HF_HUB_OFFLINE": "1"}


def create_app(settings: Settings, service: Service | None = None) -> FastAPI:
    """The whole server for `uvicorn.run`.

    Args:
        service: another one than that of the settings' model; tests pass it.
    """
    os.environ.update(QUIET)
    import gradio as gr

    from demo.page.blocks import HEAD, STATIC, build_page, theme
    from demo.page.objections import Objections

    service = service or Service(
        lambda: FaceChecker(settings.model, settings.device), settings.workers, settings.waiting
    )
    pictures = Pictures(settings.kept_bytes, settings.kept_s)
    desk = Desk(service, pictures, settings)
    store = Store(settings.feedback, settings.feedback_mb << 20)

    @contextlib.asynccontextmanager
    async def lifespan(_: FastAPI) -> AsyncIterator[None]:
        service.start()
        store.sweep()
        sweeping = asyncio.create_task(_sweep(pictures))
        yield
        sweeping.cancel()

    # FastAPI's own page of the documentation loads its scripts from elsewhere.
    app = FastAPIOffline(
        title=texts.NAME, version=__version__, lifespan=lifespan, redoc_url=None, static_url="/own/swagger",
        description="Tells photographs of faces from generated ones. “real” means: no sign of generation found.",
    )  # fmt: skip
    metrics = Metrics(service, pictures)
    add_api(app, service, metrics)
    add_live(app, service)
    _add_pictures(app, pictures, service)
    app.mount("/own", StaticFiles(directory=STATIC))
    page = build_page(desk, Objections(store, pictures), settings)
    app.add_middleware(Guard, settings=settings)
    # Outside of the guard: a browser asks first, without a key. There even with no origin, or Gradio allows every one.
    app.add_middleware(CORSMiddleware, allow_origins=settings.cors, allow_methods=["GET", "POST"], allow_headers=["*"])
    gr.mount_gradio_app(
        app, page, path="/", theme=theme(), head=HEAD, footer_links=[], run_history=False, show_error=False,
        enable_monitoring=False, ssr_mode=False, pwa=False, mcp_server=settings.mcp, max_file_size=1,
        root_path=settings.root_path or None, favicon_path=str(STATIC / "favicon.svg"),
    )  # fmt: skip
    if settings.mcp and not page.mcp_server:  # Gradio itself would go on without it.
        raise ImportError('--mcp needs another package: pip install "gradio[mcp]"')
    return app


async def _sweep(pictures: Pictures) -> None:
    while True:
        await asyncio.sleep(SWEEP_S)
        pictures.sweep()


def _add_pictures(app: FastAPI, pictures: Pictures, service: Service) -> None:
    """Where the page puts the visitor's picture, and takes it away again. The body is the file itself, unnamed."""

    @app.post("/pictures", include_in_schema=False)
    async def put(request: Request) -> dict[str, str]:
        return {"ticket": pictures.put(await request.body())}

    @app.post("/pictures/forget", include_in_schema=False)
    async def forget(request: Request) -> Response:
        pictures.drop((await request.body()).decode("ascii", "replace"))
        return Response(status_code=204)

    @app.post("/pictures/heat/{number}", include_in_schema=False)
    async def heat(number: int, request: Request) -> dict[str, str]:
        kept = pictures.get((await request.body()).decode("ascii", "replace"))
        if kept is None:
            raise HTTPException(404, " ".join(texts.GONE))
        try:
            seen = await service.run(lambda: heat_map(kept, number, service.checker))
        except (IndexError, ModelError, NotReadyError) as error:
            raise HTTPException(422, texts.NO_HEAT) from error
        except BusyError as error:
            raise HTTPException(503, " ".join(texts.BUSY)) from error
        return {"picture": data_url(Image.fromarray(seen)), "means": texts.HEAT_MEANS}

    @app.get("/examples/{name}", include_in_schema=False)
    def example(name: str) -> FileResponse:
        for known in examples():
            if known.name == name:
                return FileResponse(known.path, media_type=TYPES[known.path.suffix.lower()])
        raise HTTPException(404, "There is no such example.")
