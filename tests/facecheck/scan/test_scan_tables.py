"""Parquet says what JSONL says; the summary counts what is there."""

import html.parser
import json
import re
import sqlite3
from collections import Counter
from contextlib import closing

import numpy as np
import pandas as pd
import pytest
from PIL import Image

from facecheck.errors import ScanError
from facecheck.review.summary import BINS, SHOWN_ERRORS, SUSPECTS, summarise, write_review
from facecheck.scan.tables import COLUMNS, write_parquet
from tests.facecheck.scan.conftest import read_rows, row
from tests.full_disk import SAYS, no_room

parquet = pytest.importorskip("pyarrow.parquet", reason="needs pyarrow")


class Rows:
    """A ledger as far as an export needs one."""

    def __init__(self, rows):
        self._rows = rows

    def rows(self):
        return iter(self._rows)


def test_parquet_equals_jsonl(scan, folder, tmp_path):
    scan(folder, "--out", tmp_path / "rows.parquet")
    Image.new("RGB", (50, 50)).save(folder / "a.jpg")
    assert "3 known" in scan(folder, "--out", tmp_path / "rows.parquet").stderr
    last = {row["path"]: row for row in read_rows(tmp_path / "rows.parquet.jsonl")}
    table = parquet.read_table(tmp_path / "rows.parquet").to_pylist()
    assert {row["path"]: row for row in table} == last
    assert len(table) == len(last) == 4
    frame = pd.read_parquet(tmp_path / "rows.parquet")
    assert frame["verdict"].isna().sum() == 1
    assert frame.groupby("kind").size().to_dict() == {"picture": 4}


def test_columns_that_come_later_are_not_lost(tmp_path, monkeypatch):
    monkeypatch.setattr("facecheck.scan.tables.ROWS_AT_ONCE", 2)
    rows = [row(f"/{number}", number / 9) for number in range(9)]
    rows[7] |= {"provenance": {"claim": "ai", "sources": ["c2pa"]}, "path": "/odd\udcff"}
    rows[8]["faces"][0]["quality"] = {"sharpness": 3}
    assert write_parquet(Rows(rows), tmp_path / "t.parquet") == 9
    table = parquet.read_table(tmp_path / "t.parquet").to_pylist()
    assert [line["p_fake"] for line in table] == [line["p_fake"] for line in rows]
    assert table[7]["provenance"] == rows[7]["provenance"]
    assert table[7]["path"] == "/odd\\udcff"
    assert table[8]["faces"][0]["quality"] == {"sharpness": 3}
    assert table[0]["provenance"] is None


def test_tables_of_several_scans_fit_together(tmp_path):
    write_parquet(Rows([]), tmp_path / "empty.parquet")
    write_parquet(Rows([row("/a", error="gone")]), tmp_path / "one.parquet")
    empty, one = (parquet.read_schema(tmp_path / f"{name}.parquet") for name in ("empty", "one"))
    assert empty.equals(one)


def test_a_target_that_cannot_be_written(tmp_path):
    (tmp_path / "is_folder.parquet").mkdir()
    (tmp_path / "is_folder.parquet" / "x").touch()
    with pytest.raises(ScanError, match="cannot be written"):
        write_parquet(Rows([row("/a")]), tmp_path / "is_folder.parquet")
    assert [path.name for path in tmp_path.iterdir()] == ["is_folder.parquet"]


def test_the_summary_counts(tmp_path):
    rng = np.random.default_rng(0)
    scores = [*rng.uniform(0, 1, 200).tolist(), 0.0, 1.0]
    rows = [row(f"/{number}", score) for number, score in enumerate(scores)]
    rows += [row(f"/n{number}") for number in range(7)] + [row(f"/e{number}", error="bad") for number in range(150)]
    summary = summarise(rows)
    assert (summary.files, summary.faces) == (359, 202)
    wanted = Counter(line["verdict"] or "unreadable" for line in rows)
    assert summary.verdicts == wanted
    assert summary.histogram == np.histogram(scores, bins=BINS, range=(0, 1))[0].tolist()
    assert [s.p_fake for s in summary.most_suspicious()] == sorted(scores, reverse=True)[:SUSPECTS]
    assert len(summary.errors) == SHOWN_ERRORS


class Page(html.parser.HTMLParser):
    def __init__(self, text: str) -> None:
        super().__init__()
        self.tags: Counter[str] = Counter()
        self.links: list[str] = []
        self.text = ""
        self.feed(text)

    def handle_starttag(self, tag, attrs):
        self.tags[tag] += 1
        self.links += [value for name, value in attrs if name in ("src", "href") or name.startswith("on")]

    def handle_data(self, data):
        self.text += data


def test_the_page_is_complete_and_nothing_in_it_runs(tmp_path, portrait):
    evil = tmp_path / "<img src=x onerror=alert(1)>&\n\x1b.png"
    portrait.save(tmp_path / "x.png")
    (tmp_path / "x.png").rename(evil)
    found = {"size": evil.stat().st_size, "mtime_ns": evil.stat().st_mtime_ns}
    rows = [row(str(evil), 0.9, **found), row("/gone.png", 0.8), row("/bad", error="<script>alert(2)</script> \udcff")]
    write_review(summarise(rows), tmp_path / "report")
    text = (tmp_path / "report" / "summary.html").read_text()
    page = Page(text)
    assert page.tags["script"] == 0
    assert page.tags["img"] == 1
    assert all(link.startswith(("data:image/jpeg;base64,", "file:///")) for link in page.links)
    assert "<img src=x onerror=alert(1)>&\\n\\x1b.png" in page.text
    assert "<script>alert(2)</script> \\udcff" in page.text
    assert "no sign of generation was found" in page.text
    assert re.search(r"default-src &#x27;none&#x27;", text)
    numbers = json.loads((tmp_path / "report" / "summary.json").read_text())
    assert numbers["verdicts"] == {"fake": 2, "unreadable": 1}
    with Image.open(tmp_path / "report" / "contact-sheet.jpg") as sheet:
        assert sheet.size == (8 * 160, 180)


def test_clips_that_were_not_seen_to_their_end_are_counted(tmp_path):
    clips = [row(f"/{number}.mp4", kind="clip", clip={"complete": number > 1}) for number in range(5)]
    write_review(summarise([*clips, row("/a.jpg", 0.1)]), tmp_path)
    assert "5 clips, 2 of them not looked at to the end" in (tmp_path / "summary.html").read_text()
    assert json.loads((tmp_path / "summary.json").read_text())["cut_clips"] == 2


def test_an_empty_summary(tmp_path):
    write_review(summarise([]), tmp_path)
    assert "0 files" in (tmp_path / "summary.html").read_text()


def test_the_command_writes_it(scan, folder, tmp_path):
    scan(folder, "--out", tmp_path / "rows.jsonl", "--summary", tmp_path / "report")
    numbers = json.loads((tmp_path / "report" / "summary.json").read_text())
    rows = read_rows(tmp_path / "rows.jsonl")
    assert numbers["files"] == len(rows) == 4
    assert numbers["verdicts"] == Counter(line["verdict"] or "unreadable" for line in rows)
    assert len(numbers["most_suspicious"]) == sum(line["p_fake"] is not None for line in rows) == 2


@pytest.mark.parametrize("ending", ["csv", "sqlite"])
def test_other_tables_say_the_same(scan, folder, tmp_path, ending):
    out = tmp_path / f"rows.{ending}"
    assert scan(folder, "--out", out).exit_code == 1
    rows = read_rows(tmp_path / f"rows.{ending}.jsonl")
    if ending == "csv":
        table = pd.read_csv(out)
    else:
        with closing(sqlite3.connect(out)) as database:
            table = pd.read_sql("SELECT * FROM pictures", database)
            faces = pd.read_sql("SELECT * FROM faces", database)
        assert faces["face"].dropna().tolist() == [1, 1]
        assert faces["source"].tolist() == [row["path"] for row in rows]
    assert table.columns.tolist() == list(COLUMNS["picture"])
    assert table["source"].tolist() == [row["path"] for row in rows]
    assert table["p_fake"].dropna().tolist() == pytest.approx([row["p_fake"] for row in rows if row["faces"]], abs=1e-4)
    assert table["error"].notna().tolist() == [row["error"] is not None for row in rows]


@pytest.mark.parametrize("ending", ["csv", "parquet", "sqlite"])
def test_on_a_full_disk_the_rows_stay_and_the_table_is_made_when_there_is_room(scan, folder, tmp_path, ending):
    out = tmp_path / f"rows.{ending}"
    assert scan(folder, "--out", f"{out}.jsonl").exit_code == 1
    with no_room():
        ran = scan(folder, "--out", out)
    assert ran.exit_code == 1
    assert f"Error: {out} cannot be written (" in ran.stderr and "rows are safe in the JSONL file" in ran.stderr
    assert "rrno" not in ran.stderr and "partial" not in ran.stderr
    assert not out.exists() and not list(tmp_path.glob(".*"))
    assert "4 known" in scan(folder, "--out", out).stderr
    assert out.exists()


def test_on_a_full_disk_the_summary_is_named_and_not_the_rows(scan, folder, tmp_path):
    with no_room(20_000):
        ran = scan(folder, "--out", tmp_path / "rows.jsonl", "--summary", tmp_path / "report")
    sheet = tmp_path / "report" / "contact-sheet.jpg"
    assert (ran.exit_code, ran.stderr.splitlines()[-1]) == (1, f"Error: {sheet}: {SAYS}")
    assert "4 known" in scan(folder, "--out", tmp_path / "rows.jsonl", "--summary", tmp_path / "report").stderr
    assert sheet.stat().st_size > 20_000


def test_a_line_for_each_face(scan, folder, tmp_path):
    scan(folder, "--out", tmp_path / "rows.csv", "--per", "face")
    table = pd.read_csv(tmp_path / "rows.csv")
    assert table.columns.tolist() == list(COLUMNS["face"])
    row = read_rows(tmp_path / "rows.csv.jsonl")[0]
    face = table.iloc[0]
    assert face[["x0", "y0", "x1", "y1"]].tolist() == pytest.approx(row["faces"][0]["box"], abs=1e-4)
    assert (face["face"], face["picture_verdict"]) == (1, row["verdict"])
    assert table["error"].notna().sum() == 1


def test_an_ending_that_says_nothing_is_refused(scan, folder, tmp_path):
    refused = scan(folder, "--out", tmp_path / "rows.xlsx")
    assert refused.exit_code == 1
    assert "end it in .jsonl, .csv, .parquet, .sqlite" in refused.stderr
    assert not (tmp_path / "rows.xlsx").exists()
    assert scan(folder / "wall.png", "--out", tmp_path / "rows.xlsx", "--format", "jsonl").exit_code == 0
