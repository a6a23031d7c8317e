"""Whether both stacks say the same, on more pictures than are timed: of a hundred, one is too much or nothing."""

from dataclasses import dataclass

from benchmarks.agreement import AGREEMENT_COLUMNS, Agreement, agreement, agreement_bars, agreement_cells
from benchmarks.bench import Bench
from benchmarks.inputs import ALL
from benchmarks.report import Bar, Table


@dataclass(frozen=True)
class Verdicts:
    """All photos, and stored faces; see `benchmarks.report.Part`."""

    agreement: Agreement

    def tables(self) -> list[Table]:
        """See `benchmarks.report.Part`."""
        row = (f"{self.agreement.pictures} photos and stored faces", *agreement_cells(self.agreement))
        return [Table("Agreement on more pictures", ("pictures", *AGREEMENT_COLUMNS), [row])]

    def bars(self) -> list[Bar]:
        """See `benchmarks.report.Part`."""
        return agreement_bars(self.agreement, f"{self.agreement.pictures} photos and stored faces")


def run(bench: Bench) -> Verdicts:
    """Let both judge everything once; nothing is timed."""
    paths = (*bench.inputs.named(ALL).paths, *bench.inputs.stored_faces)
    pairs = zip(map(bench.naive.predict, paths), bench.checker.stream(paths), strict=True)
    return Verdicts(agreement(pairs, bench.checker.decision))
