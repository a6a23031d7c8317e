"""What `facecheck provenance` and `facecheck formats` print."""

import json

import pytest
from click.testing import CliRunner
from PIL import Image
from PIL.PngImagePlugin import PngInfo

from facecheck.cli import main


@pytest.fixture
def generated(tmp_path):
    info, path = PngInfo(), tmp_path / "made.png"
    info.add_text("Software", "Midjourney")
    Image.new("RGB", (8, 8)).save(path, pnginfo=info)
    return path


def test_provenance_prints_sentences_or_json(generated):
    told = CliRunner().invoke(main, ["provenance", str(generated)])
    assert told.exit_code == 0
    assert told.output.splitlines() == [f"{generated}: PNG", "  The file names Midjourney, a generator or its maker."]
    row = json.loads(CliRunner().invoke(main, ["provenance", "--json", str(generated)]).output)
    assert (row["source"], row["findings"][0]["claim"]) == (str(generated), "generated")


def test_a_file_that_is_not_there_costs_no_other(generated, tmp_path):
    told = CliRunner().invoke(main, ["provenance", str(tmp_path / "none.jpg"), str(generated)])
    assert told.exit_code == 1
    assert "no such file" in told.stderr and "Midjourney" in told.stdout


def test_a_trust_list_that_is_none_is_wrong_usage(generated, tmp_path):
    (tmp_path / "list.pem").write_bytes(b"\xff\xfe")
    for name in ("list.pem", "none"):
        told = CliRunner().invoke(main, ["provenance", "--trust", str(tmp_path / name), str(generated)])
        assert told.exit_code == 2


def test_formats_say_what_can_be_read(monkeypatch):
    told = CliRunner().invoke(main, ["formats"])
    assert told.exit_code == 0
    assert {line.split()[0] for line in told.output.splitlines()} >= {"JPEG", "AVIF", "HEIF", "JXL"}
    monkeypatch.setattr("facecheck.decoding.installed", lambda kind: False)
    assert 'HEIF      no: pip install "facecheck[formats]"' in CliRunner().invoke(main, ["formats"]).output
