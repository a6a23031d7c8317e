"""Photos -> one face a file and a manifest: surveyed, cut, grouped, split.

Every finished file is noted in OUT/.prepare at once; a run that was killed goes on from there. The survey (hash,
format, quality) comes first, because exact copies are then never cut, and because lossless pictures are compressed with
the qualities of the real JPEGs that were seen, so that "was once a PNG" gives no class away.
"""

import base64
import csv
import io
import json
from collections.abc import Iterator, Mapping, Sequence
from concurrent.futures import ProcessPoolExecutor
from dataclasses import asdict, dataclass
from multiprocessing import get_context
from pathlib import Path
from typing import Any

import numpy as np
from tqdm import tqdm

from facecheck.files import sha256_of, write_atomically
from facecheck.interrupts import not_for_children
from facecheck.ledger import KeyedLedger
from training.data import WORLD
from training.faces import facecut, grouping
from training.faces.facecut import CutJob
from training.faces.layouts import Found, Photo
from training.faces.originals import (
    Dropped,
    Original,
    Surveyed,
    dropped_csv,
    kept_qualities,
    prepare_markdown,
    quality_for,
    survey,
    without_copies,
)

COLUMNS = (
    "file", "label", "source", "generator", "split", "group", "face_px", "x0", "y0", "x1", "y1", "n_faces",
    "orig_width", "orig_height", "orig_format", "orig_quality", "recoded_quality", "age", "gender", "ethnicity",
    "sha256", "licence",
)  # fmt: skip
WORK = ".prepare"
Cut = tuple["Surveyed", Mapping[str, Any], Mapping[str, Any]]
"""A photo, its entry in the ledger, and one of its faces."""
# Goes up when the same photos come to another survey, cut or grouping: older folders are then looked through anew.
RULES = 2


@dataclass(frozen=True)
class PrepareConfig:
    """How photos become faces.

    Attributes:
        min_face_px: shorter faces are dropped. all_faces: not only the largest of a photo.
        split: shares of train, val and test. keep_split: keep what the data sets give.
        world: sources ("name", or "label/name") that stand in the split world, whole.
        near: perceptual hashes that differ in so many of 128 bits share a group.
        identity_weights: of the face network; faces whose embeddings have at least the cosine `identity_similarity`
            share a group. None: people are not recognised.
        workers: processes; 0 works in this one.
    """

    min_face_px: int = 48
    all_faces: bool = False
    split: tuple[float, float, float] = (0.8, 0.1, 0.1)
    keep_split: bool = False
    world: tuple[str, ...] = ()
    near: int = grouping.MAX_DISTANCE
    identity_weights: Path | None = None
    identity_similarity: float = 0.7
    seed: int = 0
    workers: int = 2

    def cutting(self) -> dict[str, Any]:
        """What changes the face files; a folder is continued only with the same."""
        return {"min_face_px": self.min_face_px, "all_faces": self.all_faces, "identity": bool(self.identity_weights)}


def prepare(found: Sequence[Found], out: Path, config: PrepareConfig) -> str:
    """Make OUT/manifest.csv, OUT/<label>/<source>/*.jpg, OUT/dropped.csv and OUT/report.md.

    Args:
        found: as `layouts.recognise` gives it, one for each place.

    Returns:
        The report, markdown; if nothing was left to do, a line that says so before it.

    Raises:
        ValueError: OUT was begun with settings that give other face files.
    """
    work = out / WORK
    work.mkdir(parents=True, exist_ok=True)
    _check_settings(work, config)
    photos = [photo for place in found for photo in place.photos]
    fingerprint, finished = _fingerprint(photos, config), work / "finished"
    if finished.is_file() and finished.read_text() == fingerprint and (out / "manifest.csv").is_file():
        return f"Nothing to do: {out} is finished.\n\n" + (out / "report.md").read_text(encoding="utf-8")
    finished.unlink(missing_ok=True)
    surveyed = _survey(photos, work)
    dropped = [Dropped(path, reason) for place in found for path, reason in place.skipped]
    unique = without_copies(surveyed, dropped)
    entries = _cut(unique, out, config)
    rows, moved = _rows(unique, entries, dropped, config)
    _remove_strays(out, {row["file"] for row in rows}, entries)
    report = prepare_markdown([place.layout for place in found], rows, dropped, moved)
    write_atomically(out / "dropped.csv", dropped_csv(dropped))
    write_atomically(out / "report.md", report.encode())
    write_atomically(out / "manifest.csv", _csv(rows))
    write_atomically(finished, fingerprint.encode())
    return report


def _check_settings(work: Path, config: PrepareConfig) -> None:
    file, mine = work / "settings.json", config.cutting()
    if not file.is_file():
        write_atomically(file, json.dumps(mine).encode())
    elif (theirs := json.loads(file.read_text())) != mine:
        raise ValueError(f"{work.parent} was begun with {theirs}, not {mine}; use the same options or another folder")


def _fingerprint(photos: Sequence[Photo], config: PrepareConfig) -> str:
    settings = {**asdict(config), "workers": None, "identity_weights": str(config.identity_weights)}
    told = [f"{RULES} {settings!r}", *(f"{photo!r} {_stamp(photo.path)}" for photo in photos)]
    return sha256_of("\n".join(told).encode(errors="backslashreplace"))


def _stamp(path: Path) -> str:
    try:
        status = path.stat()
    except OSError:
        return "missing"
    return f"{status.st_size} {status.st_mtime_ns}"


def _cut_each(jobs: Sequence[CutJob], config: PrepareConfig) -> Iterator[Mapping[str, Any]]:
    """Results in the order of the jobs, from one detector in every process."""
    settings = (config.min_face_px, config.all_faces, config.identity_weights)
    if not jobs:
        return
    if not config.workers:
        yield from map(facecut.FaceCutter(*settings).cut, jobs)
        return
    with ProcessPoolExecutor(config.workers, get_context("spawn"), facecut.start_worker, settings) as pool:
        with not_for_children():
            chunk = max(min(len(jobs) // (8 * config.workers), 16), 1)
            results = pool.map(facecut.cut_in_worker, jobs, chunksize=chunk)
        yield from results


def _survey(photos: Sequence[Photo], work: Path) -> list[Surveyed]:
    keys = {photo.path: f"{photo.path} {_stamp(photo.path)}" for photo in photos}
    paths = {key: path for path, key in keys.items()}
    with KeyedLedger(work / f"survey-{RULES}.jsonl") as ledger:
        for key in tqdm(ledger.missing(keys.values()), "survey", unit="file"):
            ledger.add(key, asdict(survey(paths[key])))
        return [Surveyed(photo, _original(ledger.entries[keys[photo.path]])) for photo in photos]


def _original(entry: Mapping[str, Any]) -> Original:
    return Original(**{name: value for name, value in entry.items() if name != "key"})


def _cut(unique: Sequence[Surveyed], out: Path, config: PrepareConfig) -> dict[str, Mapping[str, Any]]:
    described = [(item.photo.label, item.original) for item in unique]
    qualities = kept_qualities(described, out / WORK / "qualities.json")
    by_key = {item.key: item for item in unique}
    with KeyedLedger(out / WORK / "faces.jsonl") as ledger:
        lost = {key for key in by_key if not _files_exist(out, ledger.entries.get(key))}
        outdated = {
            key: ledger.entries[key]
            for key, item in by_key.items()
            if key in ledger.entries and ledger.entries[key]["recoded_quality"] != _recoded(item, qualities)
        }
        _remove_strays(out, set(), outdated)
        todo = [key for key in by_key if key in lost or key in outdated or key not in ledger.entries]
        jobs = [_job(by_key[key], out, qualities) for key in todo]
        results = tqdm(_cut_each(jobs, config), "faces", len(todo), unit="photo")
        for key, result in zip(todo, results, strict=True):
            recoded = _recoded(by_key[key], qualities)
            ledger.add(key, {**result, "folder": "/".join(key.split("/")[:2]), "recoded_quality": recoded})
        return ledger.entries


def _recoded(item: Surveyed, qualities: Sequence[int]) -> int | str:
    """The quality that an entry of the ledger and the manifest name; empty for what was lossy already."""
    return _recode_quality(item, qualities) or ""


def _recode_quality(item: Surveyed, qualities: Sequence[int]) -> int | None:
    return quality_for(item.original.sha256, qualities) if item.original.is_lossless else None


def _job(item: Surveyed, out: Path, qualities: Sequence[int]) -> CutJob:
    folder = out / item.photo.label / item.photo.source
    return CutJob(item.photo.path, item.original.sha256, folder, _recode_quality(item, qualities), item.photo.box)


def _files_exist(out: Path, entry: Mapping[str, Any] | None) -> bool:
    return entry is None or all((out / entry["folder"] / face["name"]).is_file() for face in entry["faces"])


def _rows(
    unique: Sequence[Surveyed], entries: dict[str, Mapping[str, Any]], dropped: list[Dropped], config: PrepareConfig
) -> tuple[list[dict[str, Any]], int]:
    """Rows of the manifest, and how many groups stood on two sides of a given split."""
    faces: list[Cut] = []
    for item in unique:
        entry = entries[item.key]
        if not entry["faces"]:
            dropped.append(Dropped(item.photo.path, entry["reason"], entry["detail"]))
        faces += [(item, entry, face) for face in entry["faces"]]
    shas = [item.original.sha256 for item, _, _ in faces]
    given = [(index, group) for index, (item, _, _) in enumerate(faces) for group in item.groups]
    pairs = [
        grouping.same_value(shas),
        grouping.same_value((group for _, group in given), (index for index, _ in given)),
        grouping.near_pairs([bytes.fromhex(face["hash"]) for _, _, face in faces], config.near),
        _identities([face["embedding"] for _, _, face in faces], config.identity_similarity),
    ]
    members = grouping.components(len(faces), pairs)
    names: dict[int, str] = {}
    for sha256, member in zip(shas, members, strict=True):
        names[int(member)] = min(names.get(int(member), sha256), sha256)
    groups = [names[int(member)][:16] for member in members]
    kept = [item.photo.split if config.keep_split else "" for item, _, _ in faces]
    world = grouping.world_sources([_source(item.photo) for item, _, _ in faces], kept, config.world)
    faces, groups = _without_world(faces, groups, world, dropped)
    sources = [_source(item.photo) for item, _, _ in faces]
    splits, moved = grouping.assign_splits(groups, sources, config.split, config.seed), 0
    if config.keep_split:
        splits, moved = grouping.keep_splits(groups, [item.photo.split for item, _, _ in faces], splits)
    splits |= {group: WORLD for group, source in zip(groups, sources, strict=True) if source in world}
    rows = [_row(*face, group, splits[group]) for face, group in zip(faces, groups, strict=True)]
    return sorted(rows, key=lambda row: str(row["file"])), moved


def _source(photo: Photo) -> str:
    return f"{photo.label}/{photo.source}"


def _without_world(
    faces: Sequence[Cut], groups: Sequence[str], world: set[str], dropped: list[Dropped]
) -> tuple[list[Cut], list[str]]:
    """The faces that may stay beside the sources that are set aside, see `grouping.set_aside`."""
    stay = grouping.set_aside(groups, [_source(item.photo) for item, _, _ in faces], world)
    for (item, _, _), keep in zip(faces, stay, strict=True):
        if not keep:
            dropped.append(Dropped(item.photo.path, "set_aside", "a copy, or of one group with one, stands in world"))
    kept = [index for index, keep in enumerate(stay) if keep]
    return [faces[index] for index in kept], [groups[index] for index in kept]


def _identities(embeddings: Sequence[str], similarity: float) -> grouping.Pairs:
    owners = [index for index, embedding in enumerate(embeddings) if embedding]
    if not owners:
        return np.empty((0, 2), np.int64)
    vectors = [np.frombuffer(base64.b64decode(embeddings[index]), np.float16) for index in owners]
    return grouping.similar_pairs(np.stack(vectors).astype(np.float32), owners, similarity)


def _row(item: Surveyed, entry: Mapping[str, Any], face: Mapping[str, Any], group: str, split: str) -> dict[str, Any]:
    photo, original = item.photo, item.original
    values = (
        f"{entry['folder']}/{face['name']}", photo.label, photo.source, photo.generator, split, group,
        face["face_px"], *face["box"], entry["n_faces"], original.width, original.height, original.format,
        original.quality, entry["recoded_quality"], photo.age, photo.gender, photo.ethnicity, original.sha256,
        photo.licence,
    )  # fmt: skip
    return dict(zip(COLUMNS, values, strict=True))


def _remove_strays(out: Path, kept: set[str], entries: dict[str, Mapping[str, Any]]) -> None:
    """Faces of an earlier run that are no longer wanted, for example because a copy with another label came up."""
    for entry in entries.values():
        for face in entry["faces"]:
            if (name := f"{entry['folder']}/{face['name']}") not in kept:
                (out / name).unlink(missing_ok=True)


def _csv(rows: Sequence[dict[str, Any]]) -> bytes:
    stream = io.StringIO(newline="")
    writer = csv.DictWriter(stream, COLUMNS, lineterminator="\n")
    writer.writeheader()
    writer.writerows(rows)
    return stream.getvalue().encode()
