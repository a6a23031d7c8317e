"""Accepted images become training data, and half of them teach the detector.

The other half, and the world, tell what it learned and forgot. An export is the folder that `python -m training
prepare` reads, with as many photographs. Images of one plan cell stand in one split, so that no prompt of a cell is
both learned and tested; what was made from one photograph stands beside that photograph. Halves are made of such whole
groups too (of one plan cell, one photograph, one grid), so that nothing of what is asked about was seen in learning.
"""

import json
import os
import shlex
from collections import Counter
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from data_generation import GenerationError, gate
from data_generation.challenge import CLEAN, Rate, World, by_tier, headline, judge_world, score
from data_generation.gate import Gate, Limits
from data_generation.record import Row
from facecheck import image
from facecheck.errors import ImageError
from facecheck.files import sha256_of, write_atomically
from facecheck.model import DEFAULT_MODEL, find_weights
from training.data import read_manifest
from training.faces.layouts import recognise
from training.faces.names import slug
from training.faces.prepare import PrepareConfig, prepare
from training.fitting.trainer import TrainConfig
from training.fitting.update import Dataset, Outcome, update

SPLITS = (("train", 0.70), ("val", 0.85), ("test", 1.0))
MANIFEST = "manifest.jsonl"
SMALL_PX = 160
"""Side of an image below which its face may be shorter than `training prepare` takes by itself."""
FEWEST = 12
"""Accepted images, below which a half cannot be split further."""
Entry = dict[str, Any]


@dataclass(frozen=True)
class Exported:
    """Files by label and split, and photographs that the gate refused."""

    counts: Counter[tuple[str, str]]
    refused: int

    def lines(self) -> Iterator[str]:
        """For the screen."""
        for (label, split), count in sorted(self.counts.items()):
            yield f"{label} {split}: {count}"
        if self.refused:
            yield f"{self.refused} photographs refused by the gate"


def export(
    folder: Path, rows: Sequence[Row], judged: Mapping[str, tuple[str, ...]], out: Path,
    photographs: Sequence[Path] = (), source: str = "", splits: Callable[[str], str] | None = None,
) -> Exported:  # fmt: skip
    """Fill `out`, which must be new or an earlier export.

    Args:
        folder: where `rows` were recorded. judged: `data_generation.gate.judge` of them.
        photographs: real ones to balance the images with, drawn in an order that depends on their bytes only; those
            that the gate would refuse as images are refused as photographs. Not needed where images were made from
            photographs: each brings its own.
        source: name of the photographs' collection. splits: group -> split; `split_of` without one.

    Raises:
        GenerationError: nothing was accepted, or `out` holds something else.
    """
    accepted = [row for row in gate.rows_by_id(rows) if not judged[row.id]]
    if not accepted:
        raise GenerationError(f"{folder}: the gate accepted none of {len(rows)} images; see {gate.JUDGEMENT}")
    if out.is_dir() and any(out.iterdir()) and not (out / MANIFEST).is_file():
        raise GenerationError(f"{out} holds something that is no export; name a new folder")
    entries = [_fake(folder, row, out) for row in accepted]
    pairs = {row.pair: row for row in accepted if row.pair}
    entries += [_placed(folder / pair, out, _real_entry(row.recipe.photo, source)) for pair, row in pairs.items()]
    refused, split = 0, splits or split_of
    for entry in _balancing(photographs, len(accepted) - len(pairs), out, source):
        if entry is None:
            refused += 1
        else:
            entries.append(entry)
    entries = [entry | {"split": split(entry["group"])} for entry in entries]
    write_atomically(out / MANIFEST, "".join(json.dumps(e, ensure_ascii=False) + "\n" for e in entries).encode())
    return Exported(Counter((entry["label"], entry["split"]) for entry in entries), refused)


def group_of(row: Row) -> str:
    """What may not stand on two sides of a split."""
    recipe = row.recipe
    return recipe.photo or recipe.cell or recipe.prompt_id or row.id


def split_of(group: str) -> str:
    """Depends on the group alone, so that a later export with more images moves none."""
    place = int(sha256_of(group.encode())[:8], 16) / 0xFFFFFFFF
    return next(name for name, end in SPLITS if place <= end)


def _fake(folder: Path, row: Row, out: Path) -> Entry:
    recipe = row.recipe
    values = {
        "label": "fake", "source": slug(recipe.model), "model": recipe.model, "licence": row.licence, "accepted": True,
        "group": group_of(row), "prompt_id": recipe.prompt_id, "prompt": recipe.prompt,
        "cell": recipe.cell, "id": row.id, "mode": recipe.mode, "sha256": row.sha256,
        "known_by": row.known_by,
    }  # fmt: skip
    return _placed(folder / row.file, out, values)


def _real_entry(digest: str, source: str) -> Entry:
    name = slug(source or "photographs")
    return {"label": "real", "source": name, "accepted": True, "group": digest}


def _placed(path: Path, out: Path, entry: Entry, name: str = "") -> Entry:
    """Link (or copy) a file into the export, under its own name or another one."""
    place = out / entry["label"] / entry["source"] / (name or path.name)
    place.parent.mkdir(parents=True, exist_ok=True)
    if not place.exists():
        partial = place.with_name(f".{place.name}.partial")
        partial.unlink(missing_ok=True)
        try:
            os.link(path.resolve(), partial)
        except OSError:
            write_atomically(place, path.read_bytes())
        else:
            partial.replace(place)
    return {"file": place.relative_to(out).as_posix(), **entry}


def _balancing(photographs: Sequence[Path], wanted: int, out: Path, source: str) -> Iterator[Entry | None]:
    """Entries of accepted photographs until there are `wanted`; None for each that the gate refuses."""
    if not photographs or wanted <= 0:
        return
    judge, found, seen = Gate(), 0, set()
    for digest, path in sorted((sha256_of(path), path) for path in photographs):
        if found == wanted:
            return
        if digest in seen:
            continue
        seen.add(digest)
        if not _acceptable(path, judge):
            yield None
            continue
        found += 1
        entry = _real_entry(digest, source or path.parent.name)
        yield _placed(path, out, entry, f"{digest[:20]}{path.suffix.lower()}")


def _acceptable(path: Path, judge: Gate) -> bool:
    try:
        picture = image.load(path)
    except ImageError:
        return False
    height, width = picture.shape[:2]
    return not gate.reasons(judge.measure([picture])[0], (width, height), None, Limits())


def smallest_face(rows: Sequence[Row]) -> int:
    """What `training prepare` must let through so that images as small as these are not lost, pixels."""
    side = min((row.size[0] for row in rows), default=SMALL_PX)
    return side // 2 if side < SMALL_PX else PrepareConfig.min_face_px


def next_command(rows: Sequence[Row], out: Path, data: Path) -> str:
    """What makes training data of an export; faces as small as the images were made are let through."""
    side = smallest_face(rows)
    small = "" if side == PrepareConfig.min_face_px else f" --min-face {side}"
    return f"python -m training prepare {shlex.quote(str(out))} {shlex.quote(str(data))} --keep-split{small}"


@dataclass(frozen=True)
class Lesson:
    """What came of it.

    Attributes:
        before, after: verdicts on the half that was not learned, by tier. world_before, world_after: on the data set.
        outcome: of `training.fitting.update`: whether the candidate may replace the present model.
    """

    generator: str
    before: dict[str, Rate]
    after: dict[str, Rate]
    world_before: World
    world_after: World
    outcome: Outcome

    @property
    def line(self) -> str:
        """For the screen."""
        return f"before: {headline(self.before[CLEAN])}; retrained: {headline(self.after[CLEAN])}, none of them learned"


class Dealer:
    """Deals groups out to the splits in turn: where a split is drawn, fifteen groups may leave one empty."""

    ROUND = ("train", "train", "test", "train", "val", "train", "train")

    def __init__(self) -> None:
        self.dealt: dict[str, str] = {}

    def __call__(self, group: str) -> str:
        """The split of a group, the same whenever it is asked for."""
        return self.dealt.setdefault(group, self.ROUND[len(self.dealt) % len(self.ROUND)])


def halves(rows: Sequence[Row]) -> tuple[list[Row], list[Row]]:
    """(to be learned, to be asked about): groups in an order that depends on their names only, dealt out in turn."""
    groups = sorted({group_of(row) for row in rows}, key=lambda group: sha256_of(f"half/{group}".encode()))
    learned = set(groups[::2])
    ordered = gate.rows_by_id(rows)
    return [r for r in ordered if group_of(r) in learned], [r for r in ordered if group_of(r) not in learned]


def teach(
    folder: Path, rows: Sequence[Row], out: Path, data: Path, photographs: Sequence[Path], config: TrainConfig,
    min_face_px: int, source: str = "", model: str = "", workers: int = PrepareConfig.workers,
) -> Lesson:  # fmt: skip
    """Learn from half of the accepted `rows` of `folder` into `out`.

    Args:
        data: what the present model learned from, a folder of `training prepare`. photographs: real ones for balance.
        config: of the update. model: name or path of the present model; empty = the one that ships.

    Raises:
        GenerationError: there are too few images. ValueError: see `training.fitting.update.update`.
    """
    if len({group_of(row) for row in rows}) < FEWEST:
        raise GenerationError(
            f"{folder} has too few images to learn from one half and ask about the other: {len(rows)}"
        )
    learned, asked = halves(rows)
    export(folder, learned, {row.id: () for row in learned}, out / "export", photographs, source, Dealer())
    places = [recognise(out / "export")]
    prepare(places, out / "data", PrepareConfig(min_face_px, keep_split=True, workers=workers))
    old, new = (Dataset(place, tuple(read_manifest(place))) for place in (data, out / "data"))
    outcome = update(find_weights(model or DEFAULT_MODEL), old, new, config, out / "update")
    before, after = (by_tier(score(asked, folder, each)[1]) for each in (model, str(outcome.model)))
    world_before, world_after = (judge_world(data, each) for each in (model, str(outcome.model)))
    generator = ", ".join(dict.fromkeys(row.recipe.model for row in rows))
    return Lesson(generator, before, after, world_before, world_after, outcome)
