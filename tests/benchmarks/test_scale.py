"""The table of docs/scale.md is right where the numbers are simple."""

from benchmarks.scale import Given, LedgerSpeed, measure_ledger, table

GIVEN = Given(
    pictures_per_s=100,
    price=0.36,
    megabytes=2,
    get_price=0.4,
    page_ms=100,
    fpr=0.01,
    recall=0.9,
    prevalence=0.001,
    review_s=36,
)


def cells(text: str) -> dict[str, list[str]]:
    lines = [[cell.strip() for cell in line.strip("|").split("|")] for line in text.splitlines()]
    return {name: values for name, *values in lines}


def test_the_arithmetic():
    found = cells(table(GIVEN, LedgerSpeed(10_000, 1_000, 20_000, 1500, 50)))
    assert found["pictures"] == ["1,000,000", "1,000,000,000"]
    assert found["machine-hours"] == ["2.8", "2,800"]  # 10^4 and 10^7 seconds
    assert found["machines, to be done in a day"] == ["1", "120"]  # 115.7 days, all done in one
    assert found["cost of the machines"] == ["$1", "$1,000"]
    assert found["files to read"] == ["2 TB", "2 PB"]
    assert found["network, with these machines"] == ["1.6 Gbit/s", "190 Gbit/s"]  # 116 machines, 200 MB/s each
    assert found["listing the names, one page after another"] == ["100 s", "28 hours"]
    assert found["rows, JSONL"] == ["1.5 GB", "1.5 TB"]
    assert found["machines that one writer keeps up with"] == ["100", "100"]
    assert found["one writer: reading the ledger at the next start"] == ["50 s", "14 hours"]
    assert found["one writer: its index on disk"] == ["50 MB", "50 GB"]
    assert found["photographs called fake, at FPR 1.0%"] == ["10,000", "10,000,000"]  # 9,990
    assert found["generated faces called fake, if 0.1% are generated"] == ["900", "900,000"]
    assert found["share of the accusations that are right"] == ["8%", "8%"]  # 900 of 10,890
    assert found["review of them, 36 s each"] == ["110 hours", "110,000 hours"]


def test_the_ledger_is_measured():
    speed = measure_ledger(640)
    assert 1000 < speed.row_bytes < 2000
    assert 20 < speed.index_bytes < 500
    assert min(speed.appended, speed.synced, speed.started) > 0
