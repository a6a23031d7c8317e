"""What people decided about the files of a scan: a ledger beside its output that several desks may write to.

A decision is on the disk before anybody is told so, and it is refused where somebody else decided first: nobody's work
is lost, or overwritten unseen.
"""

import csv
import io
import os
import time
from collections.abc import Iterable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import asdict, dataclass
from datetime import UTC, datetime
from enum import StrEnum
from pathlib import Path
from typing import Any

from facecheck.errors import LedgerBusyError, LedgerError, ReviewConflictError, ScanError
from facecheck.files import printable, spreadsheet_cell
from facecheck.ledger import Ledger, whole_lines
from facecheck.scan.rows import PICTURE, Row

SUFFIX = ".decisions.jsonl"
BEGINNING = b'{"reviewed": '
PATIENCE_S, PAUSE_S = 10.0, 0.02
"""How long to wait for another desk that writes: it takes milliseconds."""
CSV_COLUMNS = ("path", "decision", "by", "at", "verdict", "p_fake", "faces", "reasons", "error")


class Judgement(StrEnum):
    """What a person says of a file. Compares equal to its word."""

    GENERATED = "generated"
    GENUINE = "genuine"
    UNSURE = "unsure"


LABELS = {Judgement.GENERATED: "fake", Judgement.GENUINE: "real"}
"""As `python -m training prepare` calls them; of what nobody is sure, nothing is learned."""


@dataclass(frozen=True)
class Decision:
    """One decision; the last one about a file counts.

    Attributes:
        reviewed: path of the file, as in its row.
        judgement: None takes an earlier one back.
        by: who decided. at: when, ISO 8601, UTC.
        number: from 1, of all decisions in the ledger.
        size, mtime_ns: of the file that was looked at; of another one the decision says nothing.
    """

    reviewed: str
    judgement: Judgement | None
    by: str
    at: str
    number: int
    size: int | None
    mtime_ns: int | None

    def holds_for(self, row: Mapping[str, Any]) -> bool:
        """Whether the file of a row is the one that was decided on."""
        return self.judgement is not None and (self.size, self.mtime_ns) == (row["size"], row["mtime_ns"])


class Decisions:
    """Not safe to use from several threads at once; several processes may.

    Attributes:
        latest: by path.
        count: of lines read.
    """

    def __init__(self, path: Path) -> None:
        self.path = path
        self.latest: dict[str, Decision] = {}
        self.count = 0
        self._offset = 0

    def refresh(self) -> list[Decision]:
        """Read what was added, by whomever, since the last time.

        Raises:
            ScanError: the file is damaged, or another one.
        """
        if not self.path.exists():
            return []
        added = []
        for line in whole_lines(self.path, self._offset):
            try:
                values = line.parsed()
                values["judgement"] = Judgement(values["judgement"]) if values["judgement"] else None
                added.append(Decision(**values))
            except (ValueError, KeyError, TypeError) as error:
                raise ScanError(f"{self.path} holds a line that is no decision ({error!r}); repair it") from error
            self._offset = line.offset + len(line.text)
        self.latest |= {decision.reviewed: decision for decision in added}
        self.count += len(added)
        return added

    def decide(
        self, rows: Sequence[Mapping[str, Any]], judgement: Judgement | None, by: str, seen: int
    ) -> list[Decision]:
        """Write one decision about each file, all or none of them, and wait until the disk has them.

        Args:
            rows: with `path`, `size` and `mtime_ns`.
            judgement: None takes earlier ones back.
            seen: number of the last decision that whoever decides knew of.

        Returns:
            What was written, and before it what others had written meanwhile.

        Raises:
            ReviewConflictError: somebody else decided about one of them meanwhile; nothing is written.
            ScanError: the file cannot be written, or is another one.
        """
        with self._locked() as ledger:
            added = self.refresh()
            for row in rows:
                latest = self.latest.get(row["path"])
                if latest is not None and latest.number > seen:
                    raise ReviewConflictError(
                        f"{latest.by} has just marked it {latest.judgement or 'undecided'}; look again, then decide"
                    )
            at = datetime.now(UTC).isoformat(timespec="seconds")
            decisions = (
                Decision(row["path"], judgement, by, at, number, row["size"], row["mtime_ns"])
                for number, row in enumerate(rows, self.count + 1)
            )
            try:
                ledger.append(*map(asdict, decisions))
            except LedgerError as error:
                raise ScanError(str(error)) from error
        return [*added, *self.refresh()]

    @contextmanager
    def _locked(self) -> Iterator[Ledger]:
        until = time.monotonic() + PATIENCE_S
        ledger = Ledger(self.path, BEGINNING, "a list of decisions")
        while True:
            try:
                ledger.open()
                break
            except LedgerBusyError as error:
                if time.monotonic() > until:
                    raise ScanError(str(error)) from error
                time.sleep(PAUSE_S)
            except LedgerError as error:
                raise ScanError(str(error)) from error
        try:
            yield ledger
        finally:
            ledger.close()


def decisions_path(output: Path) -> Path:
    """Where the decisions on a scan's output are."""
    return output.with_name(output.name + SUFFIX)


def csv_of(rows: Iterable[Row], decisions: Mapping[str, Decision]) -> bytes:
    """Every decided file with its decision, who made it and when, and what the model said, as a CSV file."""
    stream = io.StringIO()
    table = csv.writer(stream)
    table.writerow(CSV_COLUMNS)
    for row, decision in _decided(rows, decisions):
        score = "" if row["p_fake"] is None else f"{row['p_fake']:.4f}"
        error = spreadsheet_cell(row["error"] or "")
        said = [row["verdict"] or "", score, len(row["faces"]), " ".join(row["reasons"]), error]
        by = spreadsheet_cell(decision.by)
        table.writerow([spreadsheet_cell(row["path"]), decision.judgement, by, decision.at, *said])
    return stream.getvalue().encode()


def labels_of(rows: Iterable[Row], decisions: Mapping[str, Decision], folder: Path) -> tuple[bytes, int]:
    """The pictures that were called generated or genuine, as a table that `python -m training prepare` reads.

    Args:
        folder: that the table will stand in: its paths are relative to it.

    Returns:
        The CSV file, and the number of pictures in it.

    Raises:
        ScanError: a picture lies outside the folder, which `prepare` refuses.
    """
    stream, count = io.StringIO(), 0
    table = csv.writer(stream)
    table.writerow(["file", "label"])
    for row, decision in _decided(rows, decisions):
        if decision.judgement in LABELS and row["kind"] == PICTURE:
            inside = os.path.relpath(row["path"], folder)
            if inside.startswith(os.pardir):
                raise ScanError(
                    f"{printable(row['path'])} is not below {folder}: write the labels to a folder above it"
                )
            table.writerow([inside, LABELS[decision.judgement]])
            count += 1
    return stream.getvalue().encode("utf-8", "surrogateescape"), count


def _decided(rows: Iterable[Row], decisions: Mapping[str, Decision]) -> Iterator[tuple[Row, Decision]]:
    for row in rows:
        decision = decisions.get(row["path"])
        if decision is not None and decision.holds_for(row):
            yield row, decision
