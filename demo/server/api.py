"""What programs ask: POST /api/v1/predict; and for whoever runs the server, /health and counters under /metrics."""

import base64
import binascii
import functools
import sys
import time
from dataclasses import replace
from typing import Annotated, Any

from fastapi import FastAPI, HTTPException, Request, Response
from fastapi.exceptions import RequestValidationError
from fastapi.responses import JSONResponse
from prometheus_client import CollectorRegistry, Counter, Gauge, Histogram, generate_latest
from pydantic import BaseModel, ConfigDict, Field, ValidationError
from starlette.datastructures import UploadFile
from starlette.formparsers import MultiPartException, MultiPartParser

from demo import texts
from demo.server.access import refused
from demo.server.middleware import address_of
from demo.server.service import BusyError, NotReadyError, Service
from demo.server.uploads import Uploads
from facecheck.error_rates import Budget
from facecheck.errors import ModelError
from facecheck.result import Face, ModelInfo, Prediction, Timing
from facecheck.video import is_clip

MAX_PICTURES, MAX_NAME = 16, 200
REQUEST_PIXELS = 160_000_000
ANOTHER_CLIP = Prediction("clip", error="clip: only one is judged in a request; send each by itself")
TOO_MANY_PIXELS = f"this request has {REQUEST_PIXELS // 1_000_000} megapixels without it; send it in another"
Named = tuple[str, bytes]


class Metrics:
    """What /metrics tells; no picture, no address, no score is in it."""

    def __init__(self, service: Service, uploads: Uploads) -> None:
        self._registry = CollectorRegistry()
        self.answers = Counter(
            "facecheck_answers", "Pictures answered, by verdict, error or busy", ["verdict"], registry=self._registry
        )
        self.seconds = Histogram("facecheck_seconds", "Seconds from request to answer", registry=self._registry)
        waiting = Gauge("facecheck_waiting", "Jobs that wait for their turn", registry=self._registry)
        waiting.set_function(lambda: service.waiting)
        kept = Gauge("facecheck_kept_pictures", "Visitors' pictures in memory", registry=self._registry)
        kept.set_function(lambda: len(uploads))
        ready = Gauge("facecheck_ready", "1 once the model is loaded", registry=self._registry)
        ready.set_function(lambda: service.state == "ready")

    def text(self) -> bytes:
        """In the format that Prometheus reads."""
        return generate_latest(self._registry)


class Health(BaseModel):
    """Whether the server can answer."""

    status: str = Field(description="ready, loading or failed")


class Picture(BaseModel):
    """One picture in a JSON request."""

    data: str = Field(description="base64, or a data: URL with base64")
    name: str = Field("picture", max_length=MAX_NAME, description="comes back as `source`")


class Batch(BaseModel):
    """A JSON request."""

    pictures: list[Picture] = Field(min_length=1, max_length=MAX_PICTURES)
    max_fpr: Annotated[float, Field(gt=0, lt=1)] | None = Field(
        None, description="false-accusation budget stored with the model, such as 0.01"
    )


class Answer(BaseModel):
    """`facecheck.Prediction.to_dict()`. The verdict "real" means: no sign of generation found."""

    model_config = ConfigDict(extra="allow", protected_namespaces=())

    source: str
    verdict: str | None = Field(description="real, fake, uncertain, no_face; null if there is an error")
    p_fake: float | None
    reasons: list[str]
    size: tuple[int, int] | None
    faces: list[Face]
    model: ModelInfo | None
    timing_ms: Timing
    error: str | None
    budget: Budget | None = None


class Answers(BaseModel):
    """One prediction for each picture, in the order of the request."""

    predictions: list[Answer]


class Problem(BaseModel):
    """What was wrong with a request (RFC 9457)."""

    type: str
    title: str
    status: int
    detail: str = Field(description="a sentence that says what to do")


REQUEST_BODY = {
    "required": True,
    "content": {
        "multipart/form-data": {
            "schema": {
                "type": "object",
                "required": ["files"],
                "properties": {
                    "files": {
                        "type": "array",
                        "minItems": 1,
                        "maxItems": MAX_PICTURES,
                        "items": {"type": "string", "format": "binary"},
                    },
                    "max_fpr": {"type": "number", "exclusiveMinimum": 0, "exclusiveMaximum": 1},
                },
            }
        },
        "application/json": {"schema": Batch.model_json_schema()},
    },
}
PROBLEMS: dict[int | str, dict[str, Any]] = {
    status: {"description": text, "content": {"application/problem+json": {"schema": Problem.model_json_schema()}}}
    for status, text in {
        400: "The body cannot be read.",
        401: "A key is missing or wrong.",
        408: "The body came too slowly.",
        413: "The body is too large.",
        415: "The body is neither multipart/form-data nor JSON.",
        422: "No picture, too many pictures, or a budget that the model does not have.",
        429: "Too many requests from this address.",
        503: "Busy, or the model is not there yet; try again.",
    }.items()
}


def add_api(app: FastAPI, service: Service, metrics: Metrics) -> None:
    """Add the route for programs."""

    @app.post(
        "/api/v1/predict", response_model=Answers, responses=PROBLEMS, openapi_extra={"requestBody": REQUEST_BODY}
    )
    async def predict(request: Request) -> Response:
        """Judge up to 16 pictures, one of which may be a clip: files of a multipart form, or base64 in JSON.

        A bad picture harms no other. Of a clip 60 frames are looked at, spread over it; each person in it is one face.
        """
        started = time.perf_counter()
        pictures, max_fpr = await _read(request)
        predictions = await _judge(service, metrics, pictures, max_fpr, address_of(request.scope))
        for prediction in predictions:
            metrics.answers.labels(prediction.verdict or "error").inc()
        metrics.seconds.observe(time.perf_counter() - started)
        return JSONResponse({"predictions": [prediction.to_dict() for prediction in predictions]})

    @app.exception_handler(RequestValidationError)
    async def invalid(_: Request, error: RequestValidationError) -> Response:
        return refused(422, _in_one_sentence(error.errors()))

    @app.exception_handler(HTTPException)
    async def failed(_: Request, error: HTTPException) -> Response:
        return refused(error.status_code, str(error.detail), dict(error.headers or {}))


async def _judge(
    service: Service, metrics: Metrics, pictures: list[Named], max_fpr: float | None, client: str
) -> list[Prediction]:
    """One after the other, each in its turn: what others ask for comes in between."""
    answers: list[Prediction] = []
    try:
        async with service.place(client) as turn:
            while len(answers) < len(pictures):
                files = [data for _, data in pictures[: len(answers) + 1]]
                answer = _over_limits(files, answers)
                if answer is None:
                    answer = await turn(functools.partial(service.predict, files[-1], max_fpr))
                answers.append(answer)
                service.charge(client, answer.size)
    except BusyError as error:
        metrics.answers.labels("busy").inc(len(pictures))
        raise HTTPException(503, " ".join(texts.BUSY), {"Retry-After": "2"}) from error
    except NotReadyError as error:
        raise HTTPException(503, " ".join(texts.LOADING), {"Retry-After": "5"}) from error
    except ModelError as error:
        raise HTTPException(422, str(error)) from error
    return [_renamed(answer, name) for (name, _), answer in zip(pictures, answers, strict=True)]


def _over_limits(files: list[bytes], answers: list[Prediction]) -> Prediction | None:
    """The answer for the last of these files where the request has had its share already."""
    if is_clip(files[-1]) and any(map(is_clip, files[:-1])):
        return ANOTHER_CLIP
    if sum(answer.size[0] * answer.size[1] for answer in answers if answer.size) >= REQUEST_PIXELS:
        return Prediction("picture", error=f"picture: {TOO_MANY_PIXELS}")
    return None


def _renamed(prediction: Prediction, name: str) -> Prediction:
    """A prediction under the name that the sender gave; surrogates that UTF-8 cannot carry are replaced."""
    source = name.encode("utf-8", "replace").decode()[:MAX_NAME]
    error = prediction.error and f"{source}: {prediction.error.removeprefix(f'{prediction.source}: ')}"
    return replace(prediction, source=source, error=error)


async def _read(request: Request) -> tuple[list[Named], float | None]:
    kind = request.headers.get("content-type", "").partition(";")[0].strip().lower()
    if kind == "multipart/form-data":
        return await _from_form(request)
    if kind == "application/json":
        batch = _validated(await request.body())
        return [(picture.name, _decoded(picture.data)) for picture in batch.pictures], batch.max_fpr
    raise HTTPException(415, "Send multipart/form-data with files, or JSON with pictures in base64.")


async def _from_form(request: Request) -> tuple[list[Named], float | None]:
    parser = MultiPartParser(request.headers, request.stream(), max_files=MAX_PICTURES, max_fields=4)
    parser.spool_max_size = sys.maxsize  # The body is limited; else what is above 1 MiB goes through a file.
    try:
        form = await parser.parse()
    except MultiPartException as error:
        raise HTTPException(400, error.message) from error
    files = [value for _, value in form.multi_items() if isinstance(value, UploadFile)]
    pictures = [(file.filename or "picture", await file.read()) for file in files]
    budget = form.get("max_fpr")
    await form.close()
    if not pictures:
        raise HTTPException(422, "There is no file in the form.")
    try:
        max_fpr = float(budget) if isinstance(budget, str) and budget else None
        if max_fpr is not None and not 0 < max_fpr < 1:
            raise ValueError(max_fpr)
    except ValueError as error:
        raise HTTPException(422, "max_fpr must be a number between 0 and 1.") from error
    return pictures, max_fpr


def _validated(body: bytes) -> Batch:
    try:
        return Batch.model_validate_json(body)
    except ValidationError as error:
        raise HTTPException(422, _in_one_sentence(error.errors(include_url=False, include_input=False))) from error


def _in_one_sentence(errors: Any) -> str:
    """Validation errors in one sentence, without repeating what was sent."""
    parts = ("{}: {}".format(".".join(map(str, error["loc"])), error["msg"]) for error in errors[:5])
    return "; ".join(parts).encode("utf-8", "replace").decode()


def _decoded(data: str) -> bytes:
    """The bytes of base64 or of a data: URL; what is neither becomes bytes that no decoder takes for a picture."""
    body = data.partition(",")[2] if data.startswith("data:") else data
    try:
        return base64.b64decode(body, validate=True)
    except (binascii.Error, ValueError):
        return b"not base64"


def add_metrics(app: FastAPI, service: Service, metrics: Metrics) -> None:
    """Add /health and /metrics."""

    @app.get("/health", responses={503: {"model": Health, "description": "There is no model (yet)."}})
    async def health(response: Response) -> Health:
        """200 once the server can judge."""
        response.status_code = 200 if service.state == "ready" else 503
        return Health(status=service.state)

    @app.get("/metrics", response_class=Response, responses={200: {"content": {"text/plain": {}}}})
    async def prometheus() -> Response:
        """Counters for Prometheus."""
        return Response(metrics.text(), media_type="text/plain; version=0.0.4; charset=utf-8")
