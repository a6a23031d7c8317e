"""The rows of a scan as a table that answers in milliseconds: filtered, sorted, paged, near-duplicates as one row."""

import json
import os
import sqlite3
import threading
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt

from facecheck.errors import ScanError
from facecheck.files import printable
from facecheck.ledger import whole_lines
from facecheck.result import Reason
from facecheck.review.decisions import Decision
from facecheck.review.filters import AS_SCANNED, UNREADABLE, Filters, Rule, deciding_face, verdict_under
from facecheck.scan.rows import Row

BINS = 40
NEAR_BITS, PIECES = 3, 4
"""Fingerprints that differ in at most 3 of 64 bits are near-duplicates, and equal in one of four pieces of 16 bits."""
MOST_RULES = 8
SHOWN_FOLDERS = 40
_TABLE = f"""CREATE TABLE files (
    id INTEGER PRIMARY KEY, path BLOB UNIQUE, byte_offset INTEGER, shown TEXT, folder TEXT, kind TEXT, p_fake REAL,
    faces INTEGER, face_px REAL, reasons TEXT, size INTEGER, mtime_ns INTEGER, fingerprint TEXT, sha256 TEXT,
    family INTEGER, copies INTEGER, decision TEXT, {", ".join(f"verdict{n} TEXT" for n in range(MOST_RULES))})"""
_COLUMNS = "id, shown, kind, p_fake, faces, face_px, reasons, family, copies, decision"
SORTS = {
    "chance": "p_fake DESC NULLS LAST, id",
    "least": "p_fake NULLS LAST, id",
    "doubt": "abs(p_fake - :threshold) NULLS LAST, id",
    "large": "face_px DESC NULLS LAST, id",
    "small": "face_px NULLS LAST, id",
    "copies": "copies DESC, p_fake DESC NULLS LAST, id",
    "newest": "mtime_ns DESC NULLS LAST, id",
    "path": "shown, id",
}


class ReviewTable:
    """The last row of each path of a scan's ledger, and the decisions. Safe to use from several threads.

    Args:
        ledger: the JSONL file of a scan; it may grow meanwhile, what comes later is not seen.
        rules_for: gives the rules for the sha256 of the model that made the first row; rows of other models keep their
            verdicts under each. The first rule stands for the verdicts of the scan.

    Raises:
        ScanError: it is no output of a scan.
    """

    def __init__(self, ledger: Path, rules_for: Callable[[str], Sequence[Rule]]) -> None:
        self.ledger, self._model = ledger, ""
        self.rules: tuple[Rule, ...] = (AS_SCANNED,)
        self._lock = threading.Lock()
        # As in `facecheck.scan.ledger`: a temporary file that SQLite removes.
        self._database = sqlite3.connect("", isolation_level=None, check_same_thread=False)
        self._database.row_factory = sqlite3.Row
        for setting in ("journal_mode = OFF", "synchronous = OFF", "cache_size = -65536"):
            self._database.execute(f"PRAGMA {setting}")
        self._database.execute(_TABLE)
        self._database.execute("BEGIN")
        marks = ", ".join("?" * (11 + MOST_RULES + 2))
        columns = "path, byte_offset, shown, folder, kind, p_fake, faces, face_px, reasons, size, mtime_ns, fingerprint"
        columns += ", sha256, " + ", ".join(f"verdict{n}" for n in range(MOST_RULES))
        self._database.executemany(
            f"INSERT OR REPLACE INTO files ({columns}) VALUES ({marks})", self._values(rules_for)
        )
        self._join_copies()
        for column in ("family", "p_fake", "folder"):
            self._database.execute(f"CREATE INDEX by_{column} ON files ({column})")

    @property
    def count(self) -> int:
        """Files."""
        return self._count(Filters())

    def note(self, decisions: Iterable[Decision]) -> list[int]:
        """Take decisions over; returns the ids of their files, 0 for files that are not here or have changed."""
        changed = []
        with self._lock:
            for decision in decisions:
                found = self._database.execute(
                    "SELECT id FROM files WHERE path = ? AND size IS ? AND mtime_ns IS ?",
                    (os.fsencode(decision.reviewed), decision.size, decision.mtime_ns),
                ).fetchone()
                number = found[0] if found else 0
                self._database.execute("UPDATE files SET decision = ? WHERE id = ?", (decision.judgement, number))
                changed.append(number)
        return changed

    def page(self, filters: Filters, sort: str, offset: int, limit: int) -> tuple[int, list[dict[str, Any]]]:
        """How many rows there are, and some of them.

        Args:
            sort: one of `SORTS`.
        """
        sql, values = filters.where()
        verdicts = f", verdict{filters.rule} AS verdict, verdict0 AS scanned"
        threshold = self.rules[filters.rule].threshold
        values |= {"threshold": threshold.threshold if threshold else 0.5, "limit": limit, "offset": offset}
        # Of a family SQLite takes the row that has the highest p_fake.
        chosen = f"SELECT {_COLUMNS}{verdicts}, max(ifnull(p_fake, -1)) FROM files WHERE {sql} GROUP BY "
        chosen += "family" if filters.folded else "id"
        rows = self._all(f"{chosen} ORDER BY {SORTS[sort]} LIMIT :limit OFFSET :offset", values)
        counted = "count(DISTINCT family)" if filters.folded else "count(*)"
        total = self._all(f"SELECT {counted} FROM files WHERE {sql}", values)[0][0]
        return total, [{name: row[name] for name in (*_COLUMNS.split(", "), "verdict", "scanned")} for row in rows]

    def counts(self, filters: Filters) -> dict[str, Any]:
        """How many files have each verdict, decision, reason and folder, each without its own filter; a histogram."""
        verdict = f"verdict{filters.rule}"
        columns = {"verdicts": (verdict, UNREADABLE), "decisions": ("decision", "open")}
        counts: dict[str, Any] = {
            name: dict(self._grouped(filters, name, f"ifnull({column}, '{empty}')"))
            for name, (column, empty) in columns.items()
        }
        counts["reasons"] = {reason.value: self._count(replace(filters, reason=reason.value)) for reason in Reason}
        counts["folders"] = _below(filters.folder, self._grouped(filters, "folder", "folder"))
        bins = f"min(CAST(p_fake * {BINS} AS INTEGER), {BINS - 1})"
        sql, values = replace(filters, from_p=None, to_p=None).where()
        counts["histogram"] = [
            list(row)
            for row in self._all(
                f"SELECT {bins}, {verdict}, count(*) FROM files WHERE p_fake IS NOT NULL AND {sql} GROUP BY 1, 2",
                values,
            )
        ]
        counts["changed"] = self._count(replace(filters, changed=True))
        counts["files"], counts["decided"] = tuple(self._all("SELECT count(*), count(decision) FROM files", {})[0])
        return counts

    def row(self, number: int) -> Row:
        """The whole row of a file.

        Raises:
            KeyError: no such file.
        """
        found = self._all("SELECT byte_offset FROM files WHERE id = :id", {"id": number})
        if not found:
            raise KeyError(number)
        with self.ledger.open("rb") as stream:
            stream.seek(found[0][0])
            row: Row = json.loads(stream.readline())
        return row

    def family(self, number: int) -> list[Row]:
        """A file and its near-duplicates: what is needed to decide about all of them."""
        found = self._all(
            "SELECT path, size, mtime_ns FROM files WHERE family = (SELECT family FROM files WHERE id = :id)",
            {"id": number},
        )
        return [{"path": os.fsdecode(path), "size": size, "mtime_ns": at} for path, size, at in found]

    def rows(self) -> Iterator[Row]:
        """All of them, in the order of the ledger."""
        with self.ledger.open("rb") as stream:
            for (offset,) in self._all("SELECT byte_offset FROM files ORDER BY byte_offset", {}):
                stream.seek(offset)
                yield json.loads(stream.readline())

    def folder(self) -> Path:
        """The one that all files are in, or below."""
        folders = {str(Path(os.fsdecode(path)).parent) for (path,) in self._all("SELECT path FROM files", {})}
        return Path(os.path.commonpath(folders)) if folders else Path.cwd()

    def close(self) -> None:
        """Remove the table."""
        with self._lock:
            self._database.close()

    def _all(self, sql: str, values: Mapping[str, Any]) -> list[Any]:
        with self._lock:
            return self._database.execute(sql, values).fetchall()

    def _count(self, filters: Filters) -> int:
        sql, values = filters.where()
        return int(self._all(f"SELECT count(*) FROM files WHERE {sql}", values)[0][0])

    def _grouped(self, filters: Filters, name: str, column: str) -> list[tuple[str, int]]:
        sql, values = filters.where(without=name)
        found = self._all(f"SELECT {column}, count(*) FROM files WHERE {sql} GROUP BY 1 ORDER BY 2 DESC", values)
        return [(row[0], row[1]) for row in found]

    def _values(self, rules_for: Callable[[str], Sequence[Rule]]) -> Iterator[tuple[Any, ...]]:
        for line in whole_lines(self.ledger):
            try:
                row = line.parsed()
                if not self._model:
                    self._model = row["model"]["sha256"]
                    self.rules = tuple(rules_for(self._model))[:MOST_RULES]
                values = self._columns(row, line.offset)
            except (ValueError, KeyError, TypeError, AttributeError) as error:
                raise ScanError(f"line {line.number} of {self.ledger} is not a row of a scan ({error!r})") from error
            yield values

    def _columns(self, row: Row, offset: int) -> tuple[Any, ...]:
        shown, face = printable(row["path"]), deciding_face(row)
        size = None if face is None else max(face["box"][2] - face["box"][0], face["box"][3] - face["box"][1])
        facts = row["kind"], row["p_fake"], len(row["faces"]), size, f" {' '.join(row['reasons'])} "
        file = row["size"], row["mtime_ns"], row.get("fingerprint"), row["sha256"]
        is_same = row["model"]["sha256"] == self._model
        verdicts = [
            verdict_under(row, rule.threshold) if rule.threshold and is_same else row["verdict"] for rule in self.rules
        ]
        verdicts += [None] * (MOST_RULES - len(verdicts))
        return os.fsencode(row["path"]), offset, shown, str(Path(shown).parent), *facts, *file, *verdicts

    def _join_copies(self) -> None:
        """Files with one hash, or with fingerprints that are nearly the same, become a family."""
        found = self._database.execute("SELECT id, fingerprint, sha256 FROM files ORDER BY id").fetchall()
        families = joined([row["fingerprint"] for row in found], [row["sha256"] for row in found])
        numbers, copies = np.unique(families, return_counts=True)
        many = dict(zip(numbers.tolist(), copies.tolist(), strict=True))
        self._database.executemany(
            "UPDATE files SET family = ?, copies = ? WHERE id = ?",
            ((family, many[family], row["id"]) for row, family in zip(found, families.tolist(), strict=True)),
        )


def joined(fingerprints: Sequence[str | None], hashes: Sequence[str | None]) -> npt.NDArray[np.int64]:
    """(N,) number of the family of each file: the lowest index in it.

    Args:
        fingerprints: 16 hexadecimal digits, as `facecheck.scan.rows.fingerprint` gives them, or None.
        hashes: sha256, or None.
    """
    family = list(range(len(fingerprints)))

    def root(index: int) -> int:
        while family[index] != index:
            family[index] = index = family[family[index]]
        return index

    def join(one: int, other: int) -> None:
        low, high = sorted((root(one), root(other)))
        family[high] = low

    first: dict[str, int] = {}
    for index, names in enumerate(zip(hashes, fingerprints, strict=True)):
        for name in filter(None, names):
            join(index, first.setdefault(name, index))
    distinct = sorted({name: first[name] for name in fingerprints if name}.items())
    for one, other in _near(np.array([int(name, 16) for name, _ in distinct], np.uint64)):
        join(distinct[one][1], distinct[other][1])
    return np.array([root(index) for index in range(len(family))], np.int64)


def _near(bits: npt.NDArray[np.uint64]) -> Iterator[tuple[int, int]]:
    """Pairs of fingerprints within `NEAR_BITS`, by the pigeonhole principle (Manku et al. 2007)."""
    for piece in range(PIECES):
        part = (bits >> np.uint64(16 * piece)) & np.uint64(0xFFFF)
        order = np.argsort(part, kind="stable")
        edges = np.flatnonzero(np.diff(part[order])) + 1
        for members in np.split(order, edges):
            for place, one in enumerate(members[:-1]):
                others = members[place + 1 :]
                differing = np.unpackbits((bits[others] ^ bits[one]).view(np.uint8).reshape(-1, 8), axis=1)
                yield from ((int(one), int(other)) for other in others[differing.sum(axis=1) <= NEAR_BITS])


def _below(folder: str, counts: Iterable[tuple[str, int]]) -> list[list[Any]]:
    """Folders in a folder (or in the one that all files share) with the number of files in and below each."""
    counts = list(counts)
    top = folder or os.path.commonpath([name for name, _ in counts] or [""])
    found: dict[str, int] = {}
    for name, count in counts:
        inside = os.path.relpath(name, top or ".") if name else ""
        if name == top or inside.startswith(os.pardir):
            continue
        child = os.path.join(top, inside.split("/")[0])
        found[child] = found.get(child, 0) + count
    return [list(item) for item in sorted(found.items(), key=lambda item: -item[1])[:SHOWN_FOLDERS]]
