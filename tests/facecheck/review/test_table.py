"""The table gives the rows that plain Python gives, and its families are those of all pairs."""

import io
from dataclasses import replace
from functools import partial

import numpy as np
import pytest
from PIL import Image

from facecheck.error_rates import Budget
from facecheck.errors import ScanError
from facecheck.model import DEFAULT_MODEL
from facecheck.model.config import Decision
from facecheck.result import Face, Prediction, Reason
from facecheck.review.decisions import Decisions
from facecheck.review.filters import AS_SCANNED, Filters, Rule, rules_of, verdict_under
from facecheck.review.table import BINS, ReviewTable, joined
from facecheck.scan.rows import fingerprint
from tests.facecheck.review.conftest import no_rules, write_rows
from tests.facecheck.scan.conftest import row
from tests.speed import reference_seconds

EVERYTHING = Filters(folded=False)


def random_rows(count: int, seed: int = 0) -> list[dict]:
    rng = np.random.default_rng(seed)
    rows = []
    for number in range(count):
        kind = rng.integers(8)
        path = f"/photos/{'abc'[rng.integers(3)]}/{rng.integers(3)}/{number:05}.jpg"
        if kind == 0:
            rows.append(row(path, error="not a picture"))
        elif kind == 1:
            rows.append(row(path))
        else:
            one = row(path, float(rng.uniform()), mtime_ns=int(rng.integers(1, 10**9)))
            one["faces"][0] |= {"box": [0.0, 0.0, float(rng.integers(20, 400)), 10.0]}
            if kind == 2:
                one |= {"verdict": "uncertain", "reasons": [str(rng.choice(list(Reason)[:5]))]}
                one["faces"][0] |= {"verdict": "uncertain", "reasons": one["reasons"]}
            rows.append(one)
    return rows


@pytest.fixture(scope="module")
def rows() -> list[dict]:
    return random_rows(300)


@pytest.fixture(scope="module")
def table(rows, tmp_path_factory) -> ReviewTable:
    # An earlier row of a path counts no more.
    older = row(rows[5]["path"], 0.5)
    return ReviewTable(write_rows(tmp_path_factory.mktemp("t") / "s.jsonl", [older, *rows]), no_rules)


def paths(table: ReviewTable, filters: Filters, sort: str = "path") -> list[str]:
    total, found = table.page(filters, sort, 0, 1000)
    assert total == len(found)
    return [one["shown"] for one in found]


def face_px(one: dict) -> float:
    return one["faces"][0]["box"][2] if one["p_fake"] is not None else -1


@pytest.mark.parametrize(
    ("filters", "fits"),
    [
        (EVERYTHING, lambda _: True),
        (replace(EVERYTHING, verdicts=("fake", "unreadable")), lambda one: one["verdict"] in ("fake", None)),
        (replace(EVERYTHING, reason="face_too_small"), lambda one: "face_too_small" in one["reasons"]),
        (replace(EVERYTHING, folder="/photos/a"), lambda one: one["path"].startswith("/photos/a/")),
        (replace(EVERYTHING, folder="/photos/a/1"), lambda one: one["path"].startswith("/photos/a/1/")),
        (replace(EVERYTHING, text="A/2/0000"), lambda one: "a/2/0000" in one["path"]),
        (replace(EVERYTHING, text="%"), lambda _: False),
        (
            replace(EVERYTHING, from_p=0.2, to_p=0.6),
            lambda one: one["p_fake"] is not None and 0.2 <= one["p_fake"] <= 0.6,
        ),
        (replace(EVERYTHING, from_px=50, to_px=200), lambda one: 50 <= face_px(one) <= 200),
        (replace(EVERYTHING, decisions=("generated",)), lambda _: False),
        (replace(EVERYTHING, decisions=("open",), verdicts=("no_face",)), lambda one: one["verdict"] == "no_face"),
    ],
)
def test_filters_choose_what_python_chooses(table, rows, filters, fits):
    assert paths(table, filters) == sorted(one["path"] for one in rows if fits(one))


def test_sorting_and_paging(table, rows):
    scored = sorted((one for one in rows if one["p_fake"] is not None), key=lambda one: -one["p_fake"])
    assert paths(table, EVERYTHING, "chance")[: len(scored)] == [one["path"] for one in scored]
    assert paths(table, EVERYTHING, "least")[: len(scored)] == [one["path"] for one in reversed(scored)]
    nearest = min(scored, key=lambda one: abs(one["p_fake"] - 0.5))
    assert paths(table, EVERYTHING, "doubt")[0] == nearest["path"]
    sizes = [face_px(next(one for one in rows if one["path"] == path)) for path in paths(table, EVERYTHING, "large")]
    assert sizes == sorted(sizes, reverse=True)
    pages = [table.page(EVERYTHING, "chance", offset, 70)[1] for offset in range(0, 300, 70)]
    assert [one["shown"] for page in pages for one in page] == paths(table, EVERYTHING, "chance")


def test_counts_are_without_their_own_filter(table, rows):
    counts = table.counts(replace(EVERYTHING, verdicts=("fake",), folder="/photos/b"))
    inside = [one for one in rows if one["path"].startswith("/photos/b/")]
    for verdict in ("fake", "real", "uncertain", "no_face"):
        assert counts["verdicts"].get(verdict, 0) == sum(one["verdict"] == verdict for one in inside)
    fakes = [one["p_fake"] for one in inside if one["verdict"] == "fake"]
    assert sum(count for _, _, count in counts["histogram"]) == len(fakes)
    whole = table.counts(EVERYTHING)
    wanted = np.histogram([one["p_fake"] for one in rows if one["p_fake"] is not None], BINS, (0, 1))[0]
    found = np.zeros(BINS, int)
    for number, _, count in whole["histogram"]:
        found[number] += count
    assert found.tolist() == wanted.tolist()
    assert {name for name, _ in whole["folders"]} == {"/photos/a", "/photos/b", "/photos/c"}
    assert dict(map(tuple, counts["folders"])) == {
        f"/photos/b/{n}": sum(one["path"].startswith(f"/photos/b/{n}/") for one in inside if one["verdict"] == "fake")
        for n in range(3)
    }


def test_the_whole_row_is_kept(table, rows):
    number = table.page(EVERYTHING, "path", 0, 1)[1][0]["id"]
    assert table.row(number) == min(rows, key=lambda one: one["path"])
    assert sum(1 for _ in table.rows()) == 300
    with pytest.raises(KeyError):
        table.row(10**6)


def test_names_of_all_kinds(tmp_path):
    names = ["/a/odd\udcff.png", "/a/two\nlines.png", "/a/<b>.png"]
    table = ReviewTable(write_rows(tmp_path / "s.jsonl", [row(name, 0.5) for name in names]), no_rules)
    assert paths(table, EVERYTHING) == sorted(["/a/odd\\udcff.png", "/a/two\\nlines.png", "/a/<b>.png"])
    assert sorted(one["path"] for one in table.rows()) == sorted(names)


def test_another_file_is_refused(tmp_path):
    (tmp_path / "s.jsonl").write_text('{"path": "/a"}\n')
    with pytest.raises(ScanError, match="not a row of a scan"):
        ReviewTable(tmp_path / "s.jsonl", no_rules)


def test_families_are_those_of_all_pairs():
    rng = np.random.default_rng(1)
    bits = rng.integers(0, 2**63, 40, dtype=np.uint64)
    copies = [int(bits[n]) ^ (1 << int(rng.integers(64))) ^ (1 << int(rng.integers(64))) for n in range(20)]
    prints = [f"{value:016x}" for value in [*bits.tolist(), *copies]] + [None, None]
    hashes = [None] * len(prints)
    hashes[3] = hashes[9] = hashes[61] = "same"
    graph = {n: {n} for n in range(len(prints))}
    for one in range(len(prints)):
        for other in range(one):
            both = prints[one] and prints[other] and (int(prints[one], 16) ^ int(prints[other], 16)).bit_count() <= 3
            if both or (hashes[one] and hashes[one] == hashes[other]):
                merged = graph[one] | graph[other]
                for member in merged:
                    graph[member] = merged
    assert joined(prints, hashes).tolist() == [min(graph[n]) for n in range(len(prints))]


def test_a_fingerprint_survives_what_websites_do(grace, astronaut, cat):
    pictures = {"grace": grace, "astronaut": astronaut, "cat": cat}
    marks = {name: int(fingerprint(pixels), 16) for name, pixels in pictures.items()}
    for name, pixels in pictures.items():
        stream = io.BytesIO()
        Image.fromarray(pixels).resize((200, 230)).save(stream, "JPEG", quality=60)
        again = int(fingerprint(np.asarray(Image.open(stream))), 16)
        assert (again ^ marks[name]).bit_count() <= 3
        assert all((again ^ marks[other]).bit_count() > 12 for other in marks if other != name)
    assert fingerprint(np.full((50, 50, 3), 90, np.uint8)) is None
    assert fingerprint(None) is None


def test_near_duplicates_are_one_row_and_decided_together(tmp_path):
    rows = [row(f"/{n}.png", n / 10, fingerprint="0123456789abcdef" if n < 4 else None) for n in range(6)]
    table = ReviewTable(write_rows(tmp_path / "s.jsonl", rows), no_rules)
    total, shown = table.page(Filters(), "copies", 0, 10)
    assert (total, shown[0]["shown"], shown[0]["copies"]) == (3, "/3.png", 4)
    assert len(table.family(shown[0]["id"])) == 4
    assert table.page(Filters(copies=True), "copies", 0, 10)[0] == 1
    assert table.page(replace(EVERYTHING, copies=True), "copies", 0, 10)[0] == 4
    assert table.page(replace(EVERYTHING, family=shown[0]["family"]), "path", 0, 10)[0] == 4
    decisions = Decisions(tmp_path / "d.jsonl")
    table.note(decisions.decide(table.family(shown[0]["id"]), "generated", "Ana", 0))
    assert table.counts(Filters())["decisions"] == {"generated": 4, "open": 2}


def test_rules_are_those_of_the_model_and_of_no_other():
    named = [rule.name for rule in rules_of()]
    assert named[:2] == ["as scanned", "the model's own threshold"]
    assert all("fake" in rule.meaning for rule in rules_of()[2:])
    assert rules_of(DEFAULT_MODEL, "another") == [AS_SCANNED]
    assert rules_of("nonsense") == [AS_SCANNED]


def test_another_rule_changes_what_the_checker_would_change(tmp_path):
    own = Decision(threshold=0.5, uncertain_from=0.4, uncertain_to=0.6, budgets=(Budget(0.01, 0.9, 0.8, 0.7, 0.85),))
    rules = [AS_SCANNED, Rule("own", "", own), Rule("budget", "", own.within(own.budgets[0]))]
    blurred = row("/blurred", 0.95)
    blurred["faces"][0] |= {"verdict": "uncertain", "reasons": ["blurred"]}
    many = row("/many", 0.95)
    many["faces"] += [many["faces"][0] | {"p_fake": 0.2, "verdict": "real"}]
    rows = [row("/low", 0.2), row("/doubt", 0.5), row("/fake", 0.7), row("/sure", 0.95), many, row("/none")]
    wanted = {
        "/low": ("real", "real"), "/doubt": ("uncertain", "uncertain"), "/fake": ("fake", "uncertain"),
        "/sure": ("fake", "fake"), "/many": ("fake", "fake"), "/none": ("no_face", "no_face"),
    }  # fmt: skip
    for one in rows:
        assert tuple(verdict_under(one, rule.threshold) for rule in rules[1:]) == wanted[one["path"]]
    assert verdict_under(blurred, own) == "uncertain"
    assert verdict_under(row("/bad", error="x"), own) is None
    assert Prediction("", faces=tuple(map(Face.from_dict, many["faces"]))).verdict == "fake"
    table = ReviewTable(write_rows(tmp_path / "s.jsonl", rows), lambda _: rules)
    assert paths(table, replace(EVERYTHING, rule=2, changed=True)) == ["/doubt", "/fake"]
    assert table.counts(replace(EVERYTHING, rule=2))["changed"] == 2


@pytest.mark.slow  # Fifty thousand rows are written, read and turned over.
def test_fifty_thousand_rows_are_turned_over_quickly(tmp_path):
    rows = random_rows(50_000)
    table = ReviewTable(write_rows(tmp_path / "s.jsonl", rows), rules_of)
    for filters in (Filters(), EVERYTHING, replace(EVERYTHING, text="a/1", from_p=0.3)):
        for offset in (0, 20_000, 49_900):
            turned = partial(table.page, filters, "chance", offset, 60)
            assert reference_seconds(turned, rounds=1) < 1
            total, found = turned()
            assert len(found) == max(min(60, total - offset), 0)
        assert reference_seconds(partial(table.counts, filters), rounds=1) < 2
    assert table.count == 50_000
