"""Images from a service that speaks OpenAI's images format: what is asked for, what it costs, what is recorded."""

import json
import os
import subprocess
import sys
from collections import Counter, deque
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import asdict, dataclass, field
from pathlib import Path
from types import TracebackType
from typing import Any, Self

from tqdm import tqdm

from data_generation import GenerationError
from data_generation.api_client import Prices
from data_generation.record import Prompt, Recipe
from data_generation.store import Manifest, Master, Recorder, remove_partials
from data_generation.synthesis import ServiceSettings
from data_generation.synthesis.courier import REQUESTS
from data_generation.synthesis.exchange import ANSWERED, DONE, LOST, REFUSED, SENT, STOP, UNSENT
from facecheck import image
from facecheck.ledger import whole_lines
from facecheck.provenance import Claim
from facecheck.provenance.reader import provenance

TERMS = "by the terms of the service"
Entry = Mapping[str, Any]


@dataclass
class ServiceRun:
    """What became of the images of one run, and what all requests of its folder cost.

    Attributes:
        counts: by state; "there" were recorded before.
        spent: of the whole folder, by the table of prices. unpriced: images that it has no price for.
        dearest: the most that one image took so far: where tokens are counted, more than the table says.
    """

    counts: Counter[str] = field(default_factory=Counter)
    spent: float = 0.0
    unpriced: int = 0
    dearest: float = 0.0


def read_requests(folder: Path) -> dict[str, Entry]:
    """The last row of each request of a folder."""
    path = folder / REQUESTS
    rows = (line.parsed() for line in whole_lines(path)) if path.is_file() else iter(())
    return {row["key"]: row for row in rows}


def costs(entry: Entry, prices: Prices) -> tuple[float, int]:
    """What the requests for one image cost, lost ones at the full price; and how many of them have no known price."""
    asked, answer = entry["request"], entry.get("answer") or {}
    most = prices.estimate(asked["model"], asked.get("quality", ""), asked.get("size", ""))
    exact = prices.cost(asked["model"], answer.get("usage") or {})
    paid = [most] * (entry.get("losses", 0) + (entry["state"] == SENT))
    paid += [exact if exact is not None else most] * (entry["state"] in (DONE, ANSWERED))
    return sum(cost for cost in paid if cost is not None), paid.count(None)


class Service:
    """One run: asks for every image that the folder lacks.

    Args:
        echo: shows a line to the person. courier: what receives the images.
    """

    def __init__(
        self, folder: Path, settings: ServiceSettings, echo: Callable[[str], object] = print, courier: Any = None
    ) -> None:
        self.folder, self.settings, self.echo = folder, settings, echo
        self.courier = courier or CourierProcess
        self.price = settings.prices.estimate(settings.model, settings.quality, settings.size)
        if settings.max_cost is not None and self.price is None:
            raise GenerationError(
                f"--max-cost needs the price of an image of {settings.model}, and the table has none for "
                f"quality {settings.quality or 'auto'} and size {settings.size or 'auto'}: "
                "add it to a copy of data_generation/prices.json and pass that with --prices"
            )
        self.recorder = Recorder(folder)
        self.run = ServiceRun()
        self.stopped = ""

    def make(self, prompts: Sequence[Prompt], each: int) -> ServiceRun:
        """`each` images of every prompt.

        Raises:
            GenerationError: no further request can succeed, or --max-cost is reached; what came is recorded.
        """
        recipes = {recipe.id: (recipe, prompt) for prompt in prompts for recipe in self._recipes(prompt, each)}
        remove_partials(self.recorder.images)
        with (
            Manifest(self.folder / "manifest.jsonl") as manifest,
            self.courier(self.folder.resolve(), self.settings) as courier,
        ):
            self.manifest, self.entries = manifest, read_requests(self.folder)
            self._count_costs()
            for entry in self.entries.values():
                self._record(entry)  # What an earlier run received and did not live to record.
            pending = self._missing(recipes)
            self._announce(len(pending), len(recipes))
            self._converse(courier, pending, recipes)
        self._conclude(recipes)
        return self.run

    def _recipes(self, prompt: Prompt, each: int) -> Iterator[Recipe]:
        return (self.settings.recipe(prompt, index) for index in range(each))

    def _missing(self, recipes: Mapping[str, Any]) -> list[str]:
        final = {DONE, REFUSED, ANSWERED} | (set() if self.settings.retry_lost else {LOST})
        states = {key: entry["state"] for key, entry in self.entries.items()}
        self.run.counts["there"] = sum(key in self.manifest.ids for key in recipes)
        return [key for key in recipes if key not in self.manifest.ids and states.get(key) not in final]

    def _announce(self, missing: int, total: int) -> None:
        known = f"{missing} images to ask for, {total - missing} were asked for before"
        if self.price is None:
            self.echo(f"{known}; what they cost is unknown: the table of prices has no such image")
            return
        currency, spent = self.settings.prices.currency, self.run.spent
        self.echo(
            f"{known}; at most {missing * self.price:.4f} {currency} ({self.price:.4f} each by the table of prices), "
            f"{spent:.4f} spent in this folder so far"
        )

    def _converse(self, courier: "CourierProcess", pending: list[str], recipes: Mapping[str, Any]) -> None:
        """Keep as many requests on their way as allowed, and record what comes."""
        waiting = {key for key, entry in self.entries.items() if entry["state"] == ANSWERED}
        queue = deque(pending)
        with tqdm(total=len(pending), unit="image", disable=None) as bar:
            while True:
                while queue and len(waiting) < self.settings.concurrency and self._may_ask(len(waiting)):
                    recipe, prompt = recipes[key := queue.popleft()]
                    values = {
                        "recipe": asdict(recipe),
                        "age": prompt.age,
                        "several": prompt.several,
                        "attributes": prompt.attributes,
                    }
                    courier.ask(key, {"request": self.settings.request(recipe), **values})
                    waiting.add(key)
                if not waiting:
                    return
                event = courier.event()
                waiting.discard(event["key"])
                self._hear(event)
                bar.update(event["state"] in (DONE, REFUSED, LOST))

    def _may_ask(self, waiting: int) -> bool:
        limit, price = self.settings.max_cost, max(self.price or 0.0, self.run.dearest)
        if limit is not None and self.run.spent + (waiting + 1) * price > limit + 1e-9:
            self.stopped = self.stopped or f"--max-cost {limit:g} is reached: raise it and run again to go on"
        return not self.stopped

    def _hear(self, event: Entry) -> None:
        if event["state"] == STOP:
            self.stopped = str(event["says"])
        elif event["state"] != UNSENT:
            self.entries[event["key"]] = event
            self._count_costs()
            self._record(event)

    def _count_costs(self) -> None:
        found = [costs(entry, self.settings.prices) for entry in self.entries.values()]
        self.run.spent, self.run.unpriced = sum(cost for cost, _ in found), sum(count for _, count in found)
        made = [entry for entry in self.entries.values() if entry["state"] == DONE]
        self.run.dearest = max((costs({**each, "losses": 0}, self.settings.prices)[0] for each in made), default=0.0)

    def _record(self, entry: Entry) -> None:
        if entry["state"] != DONE or entry["key"] in self.manifest.ids:
            return
        content = (self.folder / entry["file"]).read_bytes()
        recipe, asked = Recipe.from_row(entry["recipe"]), entry["request"]
        cost, _ = costs({**entry, "losses": 0}, self.settings.prices)
        answer = {**entry["answer"], "service": self.settings.address, "model": asked["model"], "cost": round(cost, 6)}
        (row,) = self.recorder.rows([
            Master(
                recipe, content, image.load(content), self.settings.licence or TERMS, Path(entry["file"]).suffix,
                flagged=False if self.settings.moderates else None, seconds=entry["answered"] - entry["sent"],
                age=entry["age"], several=entry["several"], attributes=entry["attributes"],
                known_by=known_by(self.settings.address, content),
                answer=answer,
            )
        ])  # fmt: skip
        self.manifest.append(row)
        self.run.counts["made"] += 1

    def _conclude(self, recipes: Mapping[str, Any]) -> None:
        """Sum up, and raise what stopped the run."""
        states = Counter(self.entries[key]["state"] for key in recipes if key in self.entries)
        counts = self.run.counts
        counts |= {REFUSED: states[REFUSED], LOST: states[LOST]}
        parts = [f"{counts['made']} images received, {counts['there']} were there"]
        parts += [f"{states[REFUSED]} refused by the service's moderation"] if states[REFUSED] else []
        if states[LOST]:
            parts.append(f"{states[LOST]} lost on their way and perhaps paid for (--retry-lost asks for them again)")
        unpriced = f", and {self.run.unpriced} images without a price" if self.run.unpriced else ""
        parts.append(f"{self.run.spent:.4f} {self.settings.prices.currency} spent in this folder{unpriced}")
        self.echo("; ".join(parts))
        if self.stopped:
            raise GenerationError(self.stopped)


def known_by(address: str, content: bytes) -> str:
    """How it is known that an image was generated: the service's answer, and the file where it says so too."""
    said = f"The service at {address} answered a request with it."
    found = [each for each in provenance(content).findings if each.claim == Claim.GENERATED]
    return f"{said} {found[0].says}" if found else said


class CourierProcess:
    """The courier's process, seen from the run that started it. Use as a context manager."""

    def __init__(self, folder: Path, settings: ServiceSettings) -> None:
        folder.mkdir(parents=True, exist_ok=True)
        paths = os.pathsep.join(path for path in sys.path if path)
        self._child = subprocess.Popen(
            [sys.executable, "-m", "data_generation.synthesis.courier"], stdin=subprocess.PIPE, stdout=subprocess.PIPE,
            text=True, start_new_session=True, env={**os.environ, "PYTHONPATH": paths},
        )  # fmt: skip
        needed = {name: value for name, value in asdict(settings).items() if name != "prices"}  # The key among them.
        self._tell([str(folder), needed])

    def __enter__(self) -> Self:
        if (first := self.event())["state"] == STOP:
            self.__exit__(None)
            raise GenerationError(str(first["says"]))
        return self

    def __exit__(self, kind: type[BaseException] | None, *_: BaseException | TracebackType | None) -> None:
        if self._child.stdin:
            self._child.stdin.close()
        if self._child.stdout:
            self._child.stdout.close()
        if kind is not KeyboardInterrupt:  # Else the person wants the prompt back; the courier ends by itself.
            self._child.wait()

    def ask(self, key: str, values: Entry) -> None:
        """Hand over a request."""
        self._tell({"key": key, **values})

    def event(self) -> Entry:
        """The next thing that the courier says.

        Raises:
            GenerationError: it is gone.
        """
        line = self._child.stdout.readline() if self._child.stdout else ""
        if not line:
            raise GenerationError(
                f"the process that receives images ended ({self._child.wait()}): run again to go on; what it had asked "
                "for and not received is written down as lost"
            )
        event: Entry = json.loads(line)
        return event

    def _tell(self, values: Entry | list[Any]) -> None:
        if self._child.stdin:
            self._child.stdin.write(json.dumps(values) + "\n")
            self._child.stdin.flush()
