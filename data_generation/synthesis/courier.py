"""The courier: a process of its own that asks a service for images and writes down what comes of it.

What a service was asked for is paid for, so it must not be asked for twice, nor its answer be lost. A request is on the
disk before it is sent, and an image before anybody else hears of it. The courier lives in a session of its own: what
kills the run that started it leaves it receiving the answers that are on their way; then it ends, and the next run
finds them. Only what kills the courier too, or a connection that breaks, can cost an image; such a request is written
down as lost and not sent again unless a person says so.
"""

import contextlib
import json
import logging
import os
import shutil
import sys
import threading
import time
from collections.abc import Callable, Mapping
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import Any, Self

from data_generation import GenerationError
from data_generation.api_client import LONGEST_PAUSE, Backoff, RateLimit
from data_generation.record import suffix_of
from data_generation.synthesis import ServiceSettings
from data_generation.synthesis.exchange import ANSWERED, DONE, LOST, SENT, STOP, UNSENT, Exchange, Outcome
from facecheck import image
from facecheck.decoding import CUT
from facecheck.errors import ImageError, LedgerBusyError, LedgerError
from facecheck.files import sha256_of, write_atomically
from facecheck.ledger import KeyedLedger

logger = logging.getLogger(__name__)

REQUESTS = "requests.jsonl"
IMAGES = "images"
ROOM_BYTES = 64 << 20
"""Free on the disk, below which nothing is asked for."""


class Courier:
    """Sends requests side by side and keeps OUT/requests.jsonl. Use as a context manager.

    Args:
        folder: OUT. say: hears every event, a JSON object with "key" and "state".

    Raises:
        GenerationError: the key or the address cannot be one; requests.jsonl cannot be written.
    """

    def __init__(self, folder: Path, settings: ServiceSettings, say: Callable[[Mapping[str, Any]], None]) -> None:
        self.folder, self.settings, self.say = folder, settings, say
        self.backoff = Backoff(settings.retries, settings.backoff)
        self.exchange = Exchange(settings)
        self.closing = threading.Event()
        self.rate_limit = RateLimit(settings.per_minute, self.closing.wait)
        self.ledger = KeyedLedger(self.folder / REQUESTS)
        self._lock, self._turn, self._not_before = threading.RLock(), threading.Lock(), 0.0

    def __enter__(self) -> Self:
        end, is_told = time.monotonic() + self.settings.patience, False
        while not self._opened():
            if time.monotonic() > end:
                raise GenerationError(f"{self.ledger.path} is still being written; wait, and run again")
            if not is_told:
                logger.warning("an earlier run is still receiving what it asked for; waiting for it")
            is_told = True
            time.sleep(0.1)
        (self.folder / IMAGES).mkdir(exist_ok=True)
        self.pool = ThreadPoolExecutor(self.settings.concurrency)
        for key, entry in list(self.ledger.entries.items()):
            if entry["state"] == SENT:
                self.note(
                    key,
                    state=LOST,
                    says="the machine stopped before the answer came",
                    losses=entry.get("losses", 0) + 1,
                )
            if entry["state"] == ANSWERED:
                outcome = Outcome(ANSWERED, more={"url": entry["url"]})
                self.pool.submit(self._safely, self._finish, key, outcome)
        return self

    def __exit__(self, *_: object) -> None:
        self.closing.set()
        self.pool.shutdown(wait=True, cancel_futures=True)
        self.exchange.server.close()
        self.ledger.close()

    def _opened(self) -> bool:
        """Whether no other courier holds the ledger any more: an earlier run's may still be receiving."""
        with contextlib.suppress(LedgerBusyError):
            self.ledger.open()
            return True
        return False

    def take(self, key: str, entry: Mapping[str, Any]) -> None:
        """Send a request when its turn comes; `entry` holds "request" and what else is to be written down."""
        self.pool.submit(self._safely, self._send, key, entry)

    def note(self, key: str, *, tell: bool = True, **values: Any) -> None:
        """Write down what is known of a request, and tell."""
        with self._lock:
            entry = {**self.ledger.entries.get(key, {}), **values}
            self.ledger.add(key, entry)
            self.ledger.sync()
        if tell:
            self.say(self.ledger.entries[key])

    def stop(self, key: str, says: str) -> None:
        """Send nothing more; what was sent is still received."""
        self.closing.set()
        self.say({"key": key, "state": STOP, "says": says})

    def _safely(self, work: Callable[[str, Any], None], key: str, what: object) -> None:
        try:
            work(key, what)
        except (OSError, LedgerError) as error:
            self.stop(key, f"{error}: make room on the disk, and run again to go on")
        except Exception as error:  # Whoever waits for this request must hear of it.
            self.stop(key, f"the courier failed ({error!r}): run again to go on")

    def _send(self, key: str, entry: Mapping[str, Any]) -> None:
        for failures in range(1, self.backoff.retries + 2):
            with self._turn:
                self.closing.wait(max(self._not_before - time.monotonic(), 0))
                self.rate_limit.wait()
            if self.closing.is_set():
                return self.say({"key": key, "state": UNSENT})
            if shutil.disk_usage(self.folder).free < ROOM_BYTES:
                room = f"less than {ROOM_BYTES >> 20} MB are free in {self.folder}"
                return self.stop(key, f"{room}: make room, and run again to go on")
            self.note(key, **entry, state=SENT, sent=time.time(), tell=False)
            outcome = self.exchange.ask(entry["request"])
            if outcome.state != UNSENT:
                return self._finish(key, outcome)
            self.note(key, state=UNSENT, says=outcome.says, tell=False)
            seconds = self.backoff.seconds(failures, outcome.headers)
            if seconds > LONGEST_PAUSE:
                return self.stop(key, f"the service asks to wait {seconds:.0f} s ({outcome.says}): run again later")
            logger.warning("%s; asking again in %.1f s", outcome.says, seconds)
            self._not_before = max(self._not_before, time.monotonic() + seconds)
        says = f"no image from {self.exchange.server.address} after {failures} requests (last: {outcome.says})"
        return self.stop(key, f"{says}: check --base-url and the network, or lower --per-minute; run again to go on")

    def _finish(self, key: str, outcome: Outcome) -> None:
        """Write down what came; of an address, fetch the image first."""
        if outcome.state == STOP:
            self.note(key, state=UNSENT, says=outcome.says, tell=False)
            return self.stop(key, outcome.says)
        if outcome.state == ANSWERED:
            self.note(key, state=ANSWERED, **outcome.more, tell=False)
            outcome = self.exchange.fetch(outcome)
        if outcome.state == DONE:
            outcome = self._stored(key, outcome)
        losses = self.ledger.entries[key].get("losses", 0) + (outcome.state == LOST)
        return self.note(key, state=outcome.state, says=outcome.says, losses=losses, **outcome.more)

    def _stored(self, key: str, outcome: Outcome) -> Outcome:
        """The image on the disk, if it is one; a full disk is waited for, because the image is paid for."""
        try:
            if CUT in image.read(outcome.content).problems:
                return Outcome(LOST, "the image was cut off", outcome.more)
        except ImageError as error:
            return Outcome(LOST, f"the image is damaged ({error})", outcome.more)
        path = self.folder / IMAGES / f"{key}{suffix_of(outcome.content)}"
        end = time.monotonic() + self.settings.patience
        while True:
            try:
                write_atomically(path, outcome.content)
                break
            except OSError as error:
                if time.monotonic() > end:
                    return Outcome(LOST, f"it could not be written ({error})", outcome.more)
                logger.warning("%s; an image that is paid for waits: make room", error)
                time.sleep(1)
        return Outcome(
            DONE, more={**outcome.more, "file": f"{IMAGES}/{path.name}", "sha256": sha256_of(outcome.content)}
        )


def main() -> None:
    """Standard input: folder and settings, then one request a line, to its end. Output: "ready", then the events."""
    logging.basicConfig(format="%(message)s")
    logging.raiseExceptions = False
    lock = threading.Lock()

    def say(event: Mapping[str, Any]) -> None:
        # Who started this may be gone; what comes is written down all the same.
        with lock, contextlib.suppress(OSError):
            os.write(1, json.dumps(event).encode() + b"\n")

    try:
        if not (order := sys.stdin.readline()):
            return
        folder, settings = json.loads(order)
        with Courier(Path(folder), ServiceSettings(**settings), say) as courier:
            say({"key": "", "state": "ready"})
            for line in sys.stdin:
                asked = json.loads(line)
                courier.take(asked.pop("key"), asked)
    except (GenerationError, LedgerError) as error:
        say({"key": "", "state": STOP, "says": str(error)})


if __name__ == "__main__":
    main()
