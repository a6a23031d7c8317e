"""For whoever runs the server: /health, and counters for Prometheus under /metrics."""

from fastapi import FastAPI, Response
from prometheus_client import CollectorRegistry, Counter, Gauge, Histogram, generate_latest
from pydantic import BaseModel, Field

from demo.server.service import Service
from demo.server.uploads import Uploads


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
