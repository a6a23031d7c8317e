"""What people have -> one list of labelled photos.

Recognised as they come:

- facecheck's own `manifest.csv` (file, label, source, generator, split, group, box, ...);
- `data_generation` exports, see below;
- Kaggle "140k Real and Fake Faces": `real_vs_fake/real-vs-fake/{train,valid,test}/{real,fake}` with or without its
  `train.csv`, `valid.csv`, `test.csv`;
- Kaggle "Human Faces" and its relatives: `Real Images/`, `AI-Generated Images/`;
- CIFAKE: `{train,test}/{REAL,FAKE}`;
- aiornot: `train.csv` with id, label beside `train/`;
- Hugging Face imagefolder: `metadata.csv` or `metadata.jsonl` with file_name, label; or `{split}/{label}/`;
- any tree in which a folder's name says real or fake.

Numbers mean different things in different sets: 1 is fake in aiornot and real in 140k. So words come first
(`label_str`, a label in words, a folder's name); a number counts only in the aiornot layout, or with
`Defaults.fake_is`.

**The contract with data_generation.** `manifest.jsonl`, one JSON object a line, one line an image: `file` (inside the
folder), `label` ("fake"), `model` (the generator), `licence`, `prompt_id` or `prompt` (images of one prompt share a
group), `accepted` (the gate's answer; a line without `"accepted": true` is skipped and reported). `source` is optional.
"""

import csv
import json
import os
import stat
from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from training.faces.names import SPLITS, label_in, origin, slug, tree_label, tree_split

Row = Mapping[str, Any]
Box = tuple[float, float, float, float]

SUFFIXES = frozenset({
    ".jpg", ".jpeg", ".jfif", ".png", ".webp", ".avif", ".bmp", ".tif", ".tiff", ".gif", ".jp2", ".ppm",
})  # fmt: skip
FILE_COLUMNS = ("file", "file_name", "filename", "filepath", "image_path", "path", "image")
LABEL_COLUMNS = ("label_str", "label", "labels", "class", "target")
GROUP_COLUMNS = ("group", "prompt_id", "prompt")
TABLES = ("manifest.csv", "manifest.jsonl")
SPLIT_TABLES = ("train.csv", "valid.csv", "validation.csv", "val.csv", "test.csv")
KAGGLE_140K = Path("real_vs_fake/real-vs-fake")
EXAMPLES_SHOWN = 8


class LayoutError(ValueError):
    """A folder whose labels cannot be told; the message shows what was found and what to do."""


@dataclass(frozen=True)
class Photo:
    """One picture before anything was done to it.

    Attributes:
        label: "real" or "fake".
        split, group: as the data set gives them; empty if it does not.
        box: xyxy pixels, where the data set knows the face.
    """

    path: Path
    label: str
    source: str
    generator: str = ""
    licence: str = ""
    split: str = ""
    group: str = ""
    box: Box | None = None
    age: str = ""
    gender: str = ""
    ethnicity: str = ""


@dataclass(frozen=True)
class Defaults:
    """What the caller says about pictures wherever their layout is silent.

    Attributes:
        fake_is: the number that means fake in a table with numeric labels.
    """

    label: str = ""
    source: str = ""
    generator: str = ""
    licence: str = ""
    fake_is: str = ""


@dataclass(frozen=True)
class Found:
    """What one place holds.

    Attributes:
        layout: its name, for the report.
        skipped: files that the data set itself does not want used, with the reason.
    """

    layout: str
    photos: tuple[Photo, ...]
    skipped: tuple[tuple[Path, str], ...] = ()


@dataclass
class _Reading:
    root: Path
    defaults: Defaults
    photos: list[Photo] = field(default_factory=list)
    skipped: list[tuple[Path, str]] = field(default_factory=list)
    unlabelled: list[str] = field(default_factory=list)

    def found(self, layout: str) -> Found:
        if self.unlabelled:
            raise LayoutError(_unlabelled_message(self.root, self.unlabelled))
        return Found(layout, tuple(self.photos), tuple(self.skipped))


def recognise(place: Path, defaults: Defaults | None = None) -> Found:
    """Every picture of a folder, a table (.csv, .jsonl), or one picture file, with what is known about it.

    Raises:
        LayoutError: there is no picture, a label cannot be told, or a table points outside its folder.
    """
    place = place.resolve()
    reading = _Reading(place.parent if place.is_file() else place, defaults or Defaults())
    if place.is_file() and place.suffix.lower() not in (".csv", ".jsonl"):
        _add_tree(reading, [place])
        found = reading.found("one picture")
    elif tables := [place] if place.is_file() else _tables(place):
        for table in tables:
            _add_table(reading, table)
        found = reading.found(" + ".join(dict.fromkeys(table.name for table in tables)))
    else:
        _add_tree(reading, _pictures(place))
        found = reading.found("folders named after the classes" if not reading.defaults.label else "folder")
    if not found.photos and not found.skipped:
        raise LayoutError(f"{place}: no picture found; looked for {', '.join(sorted(SUFFIXES))} and for tables")
    return found


def _tables(root: Path) -> list[Path]:
    for name in TABLES:
        if (root / name).is_file():
            return [root / name]
    if metadata := sorted([*root.rglob("metadata.csv"), *root.rglob("metadata.jsonl")]):
        return [path for path in metadata if path.is_file()]
    return [root / name for name in SPLIT_TABLES if (root / name).is_file() and _speaks(root / name)]


def _speaks(table: Path) -> bool:
    """Whether a table of a split gives labels; test.csv often lists the files only."""
    first = next(_rows(table), {})
    return bool(_first(first, LABEL_COLUMNS)) and bool(_first(first, (*FILE_COLUMNS, "id")))


def _rows(table: Path) -> Iterator[Row]:
    with table.open(newline="", encoding="utf-8-sig") as stream:
        if table.suffix.lower() == ".csv":
            yield from csv.DictReader(stream)
            return
        for number, line in enumerate(stream, 1):
            if line.strip():
                try:
                    row = json.loads(line)
                except ValueError as error:
                    raise LayoutError(f"{table}, line {number}: not JSON ({error}); export it again") from error
                if not isinstance(row, dict):
                    raise LayoutError(f"{table}, line {number}: expected an object, found {line.strip()[:60]!r}")
                yield row


def _first(row: Row, columns: tuple[str, ...]) -> str:
    """The first of the columns that says something, as text."""
    values = (row.get(column) for column in columns)
    return next((str(value).strip() for value in values if value is not None and str(value).strip()), "")


def _add_table(reading: _Reading, table: Path) -> None:
    by_id = _by_id(table.parent / table.stem) if table.name in SPLIT_TABLES else {}
    for row in _rows(table):
        is_aiornot = bool(by_id) and not _first(row, FILE_COLUMNS)
        path = _path(table, row, by_id if is_aiornot else {})
        if _is_special(path):
            reading.skipped.append((path, "unreadable"))
            continue
        if "accepted" in row and str(row["accepted"]).lower() not in ("true", "1"):
            reading.skipped.append((path, "not_accepted"))
            continue
        label = _row_label(row, reading, path, "1" if is_aiornot else reading.defaults.fake_is)
        if not label:
            reading.unlabelled.append(f"{path} (label {_first(row, LABEL_COLUMNS)!r})")
            continue
        split = _first(row, ("split",)) or (table.stem if table.name in SPLIT_TABLES else "")
        reading.photos.append(_from_row(row, reading, path, label, split))


def _row_label(row: Row, reading: _Reading, path: Path, fake_is: str) -> str:
    """Words, then folders, then numbers whose meaning is known, then what the caller said."""
    said = [str(row[column]) for column in LABEL_COLUMNS if row.get(column) not in (None, "")]
    words = next(filter(None, map(label_in, said)), "")
    folder, is_sure = tree_label(path, reading.root)
    numbers = [value for value in said if value in ("0", "1", "0.0", "1.0")]
    by_number = ("fake" if numbers[0][0] == fake_is else "real") if numbers and fake_is else ""
    return words or (folder if is_sure else "") or by_number or reading.defaults.label


def _from_row(row: Row, reading: _Reading, path: Path, label: str, split: str) -> Photo:
    source, generator = _origin(path, reading, label)
    group, own_source = _first(row, GROUP_COLUMNS), _first(row, ("source",))
    return Photo(
        path, label, slug(own_source) if own_source else source,
        (_first(row, ("generator", "model")) or generator) if label == "fake" else "",
        _first(row, ("licence", "license")) or reading.defaults.licence,
        SPLITS.get(split.lower(), "") or tree_split(path, reading.root),
        f"{reading.root.name}:{group}" if group else "",
        _box(row), *(_first(row, (column,)) for column in ("age", "gender", "ethnicity")),
    )  # fmt: skip


def _origin(path: Path, reading: _Reading, label: str) -> tuple[str, str]:
    """(source, generator): what the caller says, else what the layout tells; photographs have no generator."""
    (source, generator), defaults = origin(path, reading.root), reading.defaults
    return slug(defaults.source) if defaults.source else source, (
        defaults.generator or generator
    ) if label == "fake" else ""


def _box(row: Row) -> Box | None:
    corners = [_first(row, (column,)) for column in ("x0", "y0", "x1", "y1")]
    return (float(corners[0]), float(corners[1]), float(corners[2]), float(corners[3])) if all(corners) else None


def _by_id(folder: Path) -> dict[str, Path]:
    """Pictures of one folder by file name and by name without suffix, as aiornot's ids are written."""
    if not folder.is_dir():
        return {}
    files = [path for path in folder.iterdir() if path.suffix.lower() in SUFFIXES]
    return {key: path for path in files for key in (path.name, path.stem)}


def _path(table: Path, row: Row, by_id: Mapping[str, Path]) -> Path:
    """The file that a row speaks of; it need not exist, but it must not lie outside the folder of its table."""
    folder, name = table.parent, _first(row, FILE_COLUMNS)
    if not name and not (name := _first(row, ("id",))):
        raise LayoutError(f"{table}: a row names no file; expected one of the columns {', '.join(FILE_COLUMNS)}")
    if name in by_id:
        return by_id[name]
    # Not resolved: downloads of hubs are links into a store elsewhere.
    candidates = [Path(os.path.normpath(base / name)) for base in (folder, folder / KAGGLE_140K)]
    path = next((candidate for candidate in candidates if candidate.is_file()), candidates[0])
    if not path.is_relative_to(folder):
        raise LayoutError(f"{table}: {name!r} lies outside its folder; only files below {folder} are used")
    return path


def _pictures(root: Path) -> list[Path]:
    return sorted(
        Path(folder, name)
        for folder, _, names in os.walk(root)
        for name in names
        if Path(name).suffix.lower() in SUFFIXES and not name.startswith(".") and not _is_special(Path(folder, name))
    )


def _is_special(path: Path) -> bool:
    """Whether it is there and no file: who opens a pipe waits for ever."""
    try:
        return not stat.S_ISREG(path.stat().st_mode)
    except OSError:
        return False


def _add_tree(reading: _Reading, paths: list[Path]) -> None:
    labels = [tree_label(path, reading.root) for path in paths]
    sure = any(is_strong for label, is_strong in labels if label)
    for path, (named, is_strong) in zip(paths, labels, strict=True):
        label = (named if is_strong or sure else "") or reading.defaults.label
        if not label:
            reading.unlabelled.append(str(path))
            continue
        split = tree_split(path, reading.root)
        reading.photos.append(Photo(path, label, *_origin(path, reading, label), reading.defaults.licence, split))


def _unlabelled_message(root: Path, names: list[str]) -> str:
    shown = "".join(f"\n  {name}" for name in names[:EXAMPLES_SHOWN])
    more = f"\n  ... and {len(names) - EXAMPLES_SHOWN} more" if len(names) > EXAMPLES_SHOWN else ""
    return (
        f"{root}: cannot tell whether {len(names)} pictures are real or fake:{shown}{more}\n"
        "Do one of these: pass --label real or --label fake if all of them are of one class; name their folders real "
        "and fake; give a manifest.csv with the columns file,label in words; or, for a table with numbers as labels, "
        "pass --fake-is 0 or --fake-is 1."
    )
