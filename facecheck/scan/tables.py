"""Answers as tables: CSV, SQLite, and Parquet with the columns of the JSON rows under the same names."""

import csv
import os
from collections.abc import Callable, Iterable, Iterator
from contextlib import closing, contextmanager
from dataclasses import fields
from itertools import islice
from pathlib import Path
from typing import Any

from facecheck.errors import ScanError
from facecheck.explain import wording
from facecheck.files import partial_of, printable, spreadsheet_cell
from facecheck.result import Face, Prediction
from facecheck.scan.rows import Row, prediction_of

ROWS_AT_ONCE = 2000
PICTURE, FACE = PER = ("picture", "face")
"""What has a line of a table of its own."""
COLUMNS = {
    PICTURE: ("source", "verdict", "p_fake", "faces", "reasons", "error", "file_says"),
    FACE: (
        "source", "face", "verdict", "p_fake", "reasons", "x0", "y0", "x1", "y1", "size_px", "confidence",
        "picture_verdict", "error",
    ),
}  # fmt: skip
"""Their order is promised: what comes later is added at the end."""


def lines(prediction: Prediction, per: str = PICTURE) -> list[list[object]]:
    """An answer as lines of a table with `COLUMNS`, numbers as they are.

    Args:
        per: PICTURE: one line. FACE: one for each face, the largest first; without faces one that says so.
    """
    says = prediction.verdict, prediction.error
    if per == PICTURE:
        told = " ".join(prediction.reasons), says[1], "; ".join(wording.file_says(prediction))
        return [[prediction.source, says[0], prediction.p_fake, len(prediction.faces), *told]]
    if not prediction.faces:
        return [[prediction.source, *[None] * (len(COLUMNS[FACE]) - 3), *says]]
    return [[prediction.source, number, *_of_face(face), *says] for number, face in enumerate(prediction.faces, 1)]


def _of_face(face: Face) -> list[object]:
    return [face.verdict, face.p_fake, " ".join(face.reasons), *face.box, face.size_px, face.confidence]


def csv_cells(line: Iterable[object]) -> list[object]:
    """A line for `csv.writer`: p_fake and the like with four places, and nothing that a spreadsheet would run."""
    shown = (f"{cell:.4f}" if isinstance(cell, float) else cell for cell in line)
    return [spreadsheet_cell(cell) if isinstance(cell, str) else cell for cell in shown]


def write_csv(ledger: Any, target: Path, per: str = PICTURE) -> int:
    """As `write_parquet`, with the columns of `COLUMNS`."""
    count = 0
    with _replacing(target) as partial, partial.open("w", encoding="utf-8", newline="") as stream:
        table = csv.writer(stream)
        table.writerow(COLUMNS[per])
        for row in ledger.rows():
            table.writerows(map(csv_cells, lines(prediction_of(row), per)))
            count += 1
    return count


def write_sqlite(ledger: Any, target: Path) -> int:
    """As `write_parquet`: a database with the tables `pictures` and `faces`, with the columns of `COLUMNS`."""
    import sqlite3

    count = 0
    with _replacing(target, sqlite3.Error) as partial, closing(sqlite3.connect(partial)) as database, database:
        for per, columns in COLUMNS.items():
            database.execute(f"CREATE TABLE {per}s ({', '.join(columns)})")
        for row in ledger.rows():
            prediction, count = prediction_of(row), count + 1
            for per, columns in COLUMNS.items():
                values = [[printable(c) if isinstance(c, str) else c for c in line] for line in lines(prediction, per)]
                database.executemany(f"INSERT INTO {per}s VALUES ({', '.join('?' * len(columns))})", values)
    return count


@contextmanager
def _replacing(target: Path, failure: type[Exception] = OSError) -> Iterator[Path]:
    """A file to write to, which takes the target's place in the end."""
    try:
        with partial_of(target) as partial:
            yield partial
            partial.replace(target)
    except (OSError, failure) as error:
        number = error.errno if isinstance(error, OSError) else None  # Arrow's own text is of its code.
        why = os.strerror(number) if number else error
        raise ScanError(f"{target} cannot be written ({why}); the rows are safe in the JSONL file") from error


def write_parquet(ledger: Any, target: Path) -> int:
    """Write the last row of each path, atomically, a part at a time.

    Args:
        ledger: a `ScanLedger`, or anything with its `rows()`; they are read twice.

    Returns:
        Number of rows.

    Raises:
        ScanError: pyarrow is missing, or the file cannot be written.
    """
    pa = arrow()
    from pyarrow import parquet

    kinds = pa.unify_schemas(
        [_stable_columns(pa), *(pa.schema(list(pa.array(part).type)) for part in _parts(ledger.rows()))],
        promote_options="permissive",
    )
    count = 0
    with _replacing(target) as partial, parquet.ParquetWriter(partial, kinds, compression="zstd") as writer:
        for part in _parts(ledger.rows()):
            writer.write_batch(pa.RecordBatch.from_struct_array(pa.array(part, type=pa.struct(list(kinds)))))
            count += len(part)
    return count


WRITERS: dict[str, Callable[[Any, Path], int]] = {"parquet": write_parquet, "csv": write_csv, "sqlite": write_sqlite}
"""By the ending of the file."""


def table(rows: Iterable[Row]) -> Any:
    """Rows as a `pyarrow.Table` with the columns of `schema`, whatever is in them."""
    pa, kinds = arrow(), schema()
    whole = pa.array([_with_maps(_storable(row)) for row in rows], type=pa.struct(list(kinds)))
    return pa.Table.from_batches([pa.RecordBatch.from_struct_array(whole)], kinds)


def schema() -> Any:
    """The `pyarrow.Schema` of every column that rows of this version have: for files that are written apart.

    `write_parquet` learns the types from the rows themselves. Where nobody sees all rows they are fixed, and the
    details of a finding, whose names come from files, are a map.
    """
    from facecheck.error_rates import Quality

    pa = arrow()
    text, real, whole = pa.string(), pa.float64(), pa.int64()
    texts = pa.list_(text)
    finding = dict.fromkeys(("source", "strength", "says", "claim"), text) | {"details": pa.map_(text, text)}
    provenance = {"format": text, "findings": pa.list_(pa.struct(finding)), "problems": texts, "conflict": text}
    stability = {"p_fake": pa.list_(real), "deliveries": texts, "low": real, "high": real, "flips": pa.bool_()}
    measured = dict.fromkeys((field.name for field in fields(Quality)), real)
    chance = dict.fromkeys(("chance", "low", "high", "prevalence"), real) | {"faces": whole, "sources": whole}
    parts = {"stability": stability, "quality": measured, "expected_error": chance}
    face = pa.struct({name: pa.struct(inside) for name, inside in parts.items()})
    more = pa.schema({"contradiction": text, "provenance": pa.struct(provenance), "faces": pa.list_(face)})
    return pa.unify_schemas([_stable_columns(pa), more], promote_options="permissive")


def arrow() -> Any:
    """Pyarrow.

    Raises:
        ScanError: it is not installed.
    """
    try:
        import pyarrow
    except ImportError:
        raise ScanError('Parquet needs pyarrow: pip install "facecheck[scan]"') from None
    return pyarrow


def _parts(rows: Iterable[Row]) -> Iterator[list[Row]]:
    rows = iter(rows)
    while part := [_storable(row) for row in islice(rows, ROWS_AT_ONCE)]:
        yield part


def _with_maps(row: Row) -> Row:
    if row["provenance"] is None:
        return row
    findings = [
        finding | {"details": list((finding["details"] or {}).items())} for finding in row["provenance"]["findings"]
    ]
    return row | {"provenance": row["provenance"] | {"findings": findings}}


def _storable(value: Any) -> Any:
    """Parquet knows only UTF-8, and no struct without fields."""
    if isinstance(value, str):
        return value if value.isascii() else value.encode("utf-8", "backslashreplace").decode("utf-8")
    if isinstance(value, dict):
        return {key: _storable(one) for key, one in value.items()} or None
    return [_storable(one) for one in value] if isinstance(value, list | tuple) else value


def _stable_columns(pa: Any) -> Any:
    """Those of every scan, so that files of several scans fit together also where a column is empty throughout."""
    from facecheck.error_rates import Budget

    text, whole, real = pa.string(), pa.int64(), pa.float64()
    face = {"box": pa.list_(real), "landmarks": pa.list_(pa.list_(real)), "confidence": real, "p_fake": real}
    face |= {"verdict": text, "reasons": pa.list_(text)}
    track = {"from_s": real, "to_s": real, "at_s": real, "samples": whole, "judged": whole}
    track |= {"p_fake_low": real, "p_fake_high": real}
    clip = {"every_s": real, "duration_s": real, "fps": real, "frames": whole, "complete": pa.bool_()}
    clip |= {"unseen_s": real, "stopped": text, "samples": whole, "people": whole, "tracks": pa.list_(pa.struct(track))}
    columns = {"path": text, "kind": text, "size": whole, "mtime_ns": whole, "sha256": text, "fingerprint": text}
    columns |= {"verdict": text, "p_fake": real, "reasons": pa.list_(text), "faces": pa.list_(pa.struct(face))}
    columns |= {"model": pa.struct({"name": text, "version": text, "sha256": text}), "error": text}
    columns |= {"problems": pa.list_(text), "turned": whole, "frame": whole, "not_seen": pa.list_(text)}
    columns |= {"timing_ms": pa.struct({"decode": real, "detect": real, "classify": real})}
    columns |= {"budget": pa.struct(dict.fromkeys((field.name for field in fields(Budget)), real))}
    return pa.schema(columns | {"width": whole, "height": whole, "clip": pa.struct(clip)})
