"""The pictures that a visitor may try with one click.

Photographs in the public domain are taken from the packages that carry them, as far as these are installed; generated
faces, and whatever else the operator puts there, from the folder `examples`.
"""

from dataclasses import dataclass
from functools import cache
from importlib.util import find_spec
from pathlib import Path

from fastapi import FastAPI, HTTPException
from fastapi.responses import FileResponse

FOLDER = Path(__file__).parent / "examples"
TYPES = {".jpg": "image/jpeg", ".jpeg": "image/jpeg", ".png": "image/png", ".webp": "image/webp"}
CARRIED = (
    ("matplotlib", "mpl-data/sample_data/grace_hopper.jpg"),  # James S. Davis, US Navy, 1984
    ("skimage", "data/astronaut.png"),  # NASA, 1995
)
TITLES = {
    "grace_hopper": "Grace Hopper",
    "astronaut": "Eileen Collins",
    "caught": "Nobody, caught",
    "missed": "Nobody, missed",
}


@dataclass(frozen=True)
class Example:
    """One example; files whose names begin with `generated` came out of a generator, all others are photographs."""

    path: Path

    @property
    def name(self) -> str:
        """Of the file."""
        return self.path.name

    @property
    def is_generated(self) -> bool:
        """Whether a generator made it."""
        return self.path.stem.startswith("generated")

    @property
    def title(self) -> str:
        """What the visitor reads."""
        stem = self.path.stem.removeprefix("generated-").removeprefix("real-")
        return TITLES.get(stem, stem.replace("-", " ").replace("_", " ").capitalize())

    @property
    def kind(self) -> str:
        """Photograph or generated."""
        return "generated" if self.is_generated else "photograph"


@cache
def examples() -> tuple[Example, ...]:
    """All examples, photographs first."""
    own = [path for path in sorted(FOLDER.iterdir()) if path.suffix.lower() in TYPES]
    return tuple(sorted(map(Example, [*_carried(), *own]), key=lambda example: example.is_generated))


def _carried() -> list[Path]:
    """Found without importing the packages."""
    specs = [(find_spec(package), name) for package, name in CARRIED]
    places = [Path(spec.origin).parent / name for spec, name in specs if spec is not None and spec.origin]
    return [place for place in places if place.is_file()]


def add_examples(app: FastAPI) -> None:
    """Serve the examples, and no other file beside them."""

    @app.get("/examples/{name}", include_in_schema=False)
    def example(name: str) -> FileResponse:
        for known in examples():
            if known.name == name:
                return FileResponse(known.path, media_type=TYPES[known.path.suffix.lower()])
        raise HTTPException(404, "There is no such example.")
