"""Counters for Prometheus, of one server."""

from prometheus_client import CollectorRegistry, Counter, Gauge, Histogram, generate_latest

from demo.server.service import Service
from demo.server.uploads import Pictures


class Metrics:
    """What /metrics tells; no picture, no address, no score is in it."""

    def __init__(self, service: Service, pictures: Pictures) -> None:
        self._registry = CollectorRegistry()
        self.answers = Counter(
            "facecheck_answers", "Pictures answered, by verdict, error or busy", ["verdict"], registry=self._registry
        )
        self.seconds = Histogram("facecheck_seconds", "Seconds from request to answer", registry=self._registry)
        waiting = Gauge("facecheck_waiting", "Jobs that wait for their turn", registry=self._registry)
        waiting.set_function(lambda: service.waiting)
        kept = Gauge("facecheck_kept_pictures", "Visitors' pictures in memory", registry=self._registry)
        kept.set_function(lambda: len(pictures))
        ready = Gauge("facecheck_ready", "1 once the model is loaded", registry=self._registry)
        ready.set_function(lambda: service.state == "ready")

    def text(self) -> bytes:
        """In the format that Prometheus reads."""
        return generate_latest(self._registry)
