"""The pictures that a visitor may try with one click: every picture in the folder `examples`."""

from dataclasses import dataclass
from functools import cache
from pathlib import Path

FOLDER = Path(__file__).parent / "examples"
TYPES = {".jpg": "image/jpeg", ".jpeg": "image/jpeg", ".png": "image/png", ".webp": "image/webp"}
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
        title = TITLES.get(stem, stem.replace("-", " ").replace("_", " ").capitalize())
        return f"Nobody {title}" if self.is_generated and title.isdecimal() else title

    @property
    def kind(self) -> str:
        """Photograph or generated."""
        return "generated" if self.is_generated else "photograph"


@cache
def examples() -> tuple[Example, ...]:
    """All examples, photographs first."""
    found = [Example(path) for path in sorted(FOLDER.iterdir()) if path.suffix.lower() in TYPES]
    return tuple(sorted(found, key=lambda example: example.is_generated))
