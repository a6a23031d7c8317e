"""From the start of a process to its first verdict."""

from dataclasses import dataclass

from benchmarks.bench import Bench
from benchmarks.inputs import PORTRAITS
from benchmarks.processes import first_line_s
from benchmarks.report import Bar, Table
from benchmarks.timing import alternating, median, ratio
from facecheck.files import CACHE_VARIABLE


@dataclass(frozen=True)
class Starts:
    """Seconds to the first verdict in each round; files are in memory already. See `benchmarks.report.Part`.

    Attributes:
        first_s: of the very first start, which converts the networks for OpenVINO.
    """

    first_s: float
    naive_s: list[float]
    facecheck_s: list[float]

    def tables(self) -> list[Table]:
        """See `benchmarks.report.Part`."""
        rows: list[tuple[object, ...]] = [
            ("naive script", median(self.naive_s)),
            ("facecheck predict", median(self.facecheck_s)),
            ("facecheck predict, the very first time", self.first_s),
        ]
        return [Table("Cold start, to the first verdict", ("who", "seconds"), rows)]

    def bars(self) -> list[Bar]:
        """See `benchmarks.report.Part`."""
        return [Bar("cold start, naive over facecheck", 1, ratio(self.naive_s, self.facecheck_s))]


def run(bench: Bench) -> Starts:
    """Start both, in rounds, with a cache of converted networks that only the very first start has to fill."""
    photo = str(bench.inputs.named(PORTRAITS).paths[0])
    environment = {CACHE_VARIABLE: str(bench.folder / "cache")}
    naive = ["-m", "benchmarks.naive", photo, "--device", bench.device]
    ours = ["-m", "facecheck", "predict", photo, *bench.options]
    first_s = first_line_s(ours, environment)
    times = alternating(
        {"naive": lambda: first_line_s(naive, environment), "facecheck": lambda: first_line_s(ours, environment)},
        bench.settings.rounds,
    )
    return Starts(first_s, times["naive"], times["facecheck"])
