"""What a million and a billion pictures take: the table of docs/scale.md, from measured numbers.

The ledger is measured here; what a machine does comes from `python -m benchmarks.pipeline` and is given as options.
"""

import os
import tempfile
import time
from collections.abc import Iterator
from dataclasses import dataclass, fields
from math import ceil
from pathlib import Path

import click

from facecheck.error_rates import ChanceOfError, Quality
from facecheck.result import Face, ModelInfo, Prediction, Verdict
from facecheck.scan.ledger import ScanLedger
from facecheck.scan.rows import Candidate, Settings, row_of
from training.evaluation import metrics

DAY_H = 24
KEYS_A_PAGE = 1000
"""Of S3's ListObjectsV2; each page is asked for after the one before."""
BATCH_ROWS = 16
SETTINGS = Settings(ModelInfo("synthetic", "0.0.0", "0" * 64))
FACE = Face(
    box=(174.40220642089844, 119.55545806884766, 355.6482238769531, 340.45697021484375),
    landmarks=((221.66612243652344, 192.2059326171875),) * 5,
    confidence=0.9998244643211365,
    p_fake=0.0002825668534229337,
    verdict=Verdict.REAL,
    quality=Quality(**dict.fromkeys((field.name for field in fields(Quality)), 35.568111419677734)),
    expected_error=ChanceOfError(0.0364376130198915, 0.020649827963894148, 0.06351311681996527, 0.5, 333, 41),
)
"""As long as most are."""


@dataclass(frozen=True)
class LedgerSpeed:
    """What one process does with a JSONL file: rows a second, bytes of a row there and in the index on disk."""

    appended: float
    synced: float
    started: float
    row_bytes: float
    index_bytes: float


@dataclass(frozen=True)
class Given:
    """What was measured elsewhere, or is assumed.

    Attributes:
        pictures_per_s: of one machine. price: of it, for an hour. megabytes: of a picture's file.
        get_price: of a million requests to the object store. page_ms: until it answers with 1,000 names.
        fpr, recall: of the threshold. prevalence: share of the pictures with a face that is generated.
        review_s: that a person needs for one accusation.
    """

    pictures_per_s: float
    price: float
    megabytes: float
    get_price: float
    page_ms: float
    fpr: float
    recall: float
    prevalence: float
    review_s: float


def measure_ledger(rows: int) -> LedgerSpeed:
    """Append, sync and read back rows of one face each; 100,000 take half a minute and 200 MB of the disk."""
    few = max(rows // 20, BATCH_ROWS)
    with tempfile.TemporaryDirectory(prefix="facecheck-scale-") as folder:
        path = Path(folder, "rows.jsonl")
        with ScanLedger(path, SETTINGS) as ledger:
            began = time.perf_counter()
            _append(ledger, rows, "a")
            ended = time.perf_counter()
            _append(ledger, few, "b", sync=path)
            synced = few / (time.perf_counter() - ended)
        opened = time.perf_counter()
        with ScanLedger(path, SETTINGS) as ledger:
            started = (rows + few) / (time.perf_counter() - opened)
            index_bytes = _index_bytes(ledger) / (rows + few)
        row_bytes = path.stat().st_size / (rows + few)
    return LedgerSpeed(rows / (ended - began), synced, started, row_bytes, index_bytes)


def table(given: Given, ledger: LedgerSpeed, sizes: tuple[int, ...] = (10**6, 10**9)) -> str:
    """The table, in Markdown."""
    columns = [dict(_lines(size, given, ledger)) for size in sizes]
    rows = ([name, *(column[name] for column in columns)] for name in columns[0])
    return metrics.table(["pictures", *(f"{size:,}" for size in sizes)], rows)


def _lines(n: int, given: Given, ledger: LedgerSpeed) -> Iterator[tuple[str, str]]:
    hours = n / given.pictures_per_s / 3600
    machines = ceil(hours / DAY_H)
    a_second = machines * given.pictures_per_s
    yield "machine-hours", _number(hours)
    yield "machines, to be done in a day", _number(machines)
    yield "cost of the machines", f"${_number(hours * given.price)}"
    yield "cost of the requests", f"${_number(n / 1e6 * given.get_price)}"
    yield "files to read", _bytes(n * given.megabytes * 1e6)
    yield "network, with these machines", f"{_number(a_second * given.megabytes * 8 / 1000)} Gbit/s"
    yield "requests a second, with these machines", _number(a_second)
    yield "listing the names, one page after another", _duration(n / KEYS_A_PAGE * given.page_ms / 1000)
    yield "rows, JSONL", _bytes(n * ledger.row_bytes)
    yield "machines that one writer keeps up with", _number(ledger.appended / given.pictures_per_s)
    yield "one writer: appending", _duration(n / ledger.appended)
    yield "one writer: syncing after every batch", _duration(n / ledger.synced)
    yield "one writer: reading the ledger at the next start", _duration(n / ledger.started)
    yield "one writer: its index on disk", _bytes(n * ledger.index_bytes)
    yield from _people(n, given)


def _people(n: int, given: Given) -> Iterator[tuple[str, str]]:
    generated = n * given.prevalence
    wrong, right = (n - generated) * given.fpr, generated * given.recall
    yield f"photographs called fake, at FPR {given.fpr:.1%}", _number(wrong)
    yield f"generated faces called fake, if {given.prevalence:.1%} are generated", _number(right)
    yield "share of the accusations that are right", f"{right / (wrong + right):.0%}"
    yield f"review of them, {given.review_s:g} s each", f"{_number((wrong + right) * given.review_s / 3600)} hours"


def _append(ledger: ScanLedger, rows: int, name: str, sync: Path | None = None) -> None:
    like = row_of(Candidate("", 120_000, time.time_ns()), Prediction("", (768, 1024), (FACE,), SETTINGS.model), None)
    with Path(sync or os.devnull).open("rb") as stream:
        for start in range(0, rows, BATCH_ROWS):
            paths = [f"/shared/{name}/{number:012d}.jpg" for number in range(start, start + BATCH_ROWS)]
            ledger.append([like | {"path": path} for path in paths])
            if sync is not None:
                os.fsync(stream.fileno())


def _index_bytes(ledger: ScanLedger) -> int:
    pages, size = (
        ledger.index._database.execute(f"PRAGMA {name}").fetchone()[0] for name in ("page_count", "page_size")
    )
    return int(pages * size)


def _number(value: float) -> str:
    """Two digits of it."""
    shown = float(f"{value:.2g}")
    return f"{shown:,.{0 if shown >= 10 or shown == int(shown) else 1 if shown >= 1 else 2}f}"


def _bytes(value: float) -> str:
    unit, name = next(
        (unit, name) for unit, name in ((1e15, "PB"), (1e12, "TB"), (1e9, "GB"), (1e6, "MB"), (1, "B")) if value >= unit
    )
    return f"{_number(value / unit)} {name}"


def _duration(seconds: float) -> str:
    for unit, name in ((86400, "days"), (3600, "hours"), (60, "minutes")):
        if seconds >= 2 * unit:
            return f"{_number(seconds / unit)} {name}"
    return f"{_number(seconds)} s"


@click.command()
@click.option("--pictures-per-s", type=float, required=True, help="Of one machine, folder to rows.")
@click.option("--price-per-hour", "price", type=float, required=True, help="Of that machine.")
@click.option("--megabytes", type=float, required=True, help="Of a picture's file.")
@click.option("--get-price", type=float, default=0.4, show_default=True, help="Of a million requests for an object.")
@click.option("--page-ms", type=float, default=100.0, show_default=True, help="Until a store has listed 1,000 names.")
@click.option("--fpr", type=float, default=0.01, show_default=True)
@click.option("--recall", type=float, required=True, help="At that FPR, on pictures like those.")
@click.option("--prevalence", type=float, default=0.01, show_default=True, help="Share of generated faces.")
@click.option("--review-s", type=float, default=30.0, show_default=True, help="That a person needs for one accusation.")
@click.option("--ledger-rows", type=int, default=100_000, show_default=True, help="Synthetic rows to measure with.")
def main(ledger_rows: int, **given: float) -> None:
    """Measure the ledger on this machine and print the table."""
    known = Given(**given)
    speed = measure_ledger(ledger_rows)
    click.echo(table(known, speed))
    click.echo(
        f"\nLedger, measured here on {ledger_rows:,} rows: {speed.appended:,.0f} rows/s appended, {speed.synced:,.0f} "
        f"with a sync after every {BATCH_ROWS}, {speed.started:,.0f} read at the start."
    )


if __name__ == "__main__":
    main()
