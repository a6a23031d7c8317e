"""Which files a scan looks at."""

import hashlib
import io
import os
from pathlib import Path

import pytest

from facecheck.errors import ScanError
from facecheck.scan.inputs import CHUNK_BYTES, Inputs, listed
from facecheck.scan.rows import hash_of


@pytest.fixture
def tree(tmp_path, monkeypatch):
    for name in ("b.jpg", "a.PNG", "x/c.jpg", "x/y/d.txt", ".hidden/e.jpg", ".f.jpg"):
        (tmp_path / name).parent.mkdir(parents=True, exist_ok=True)
        (tmp_path / name).touch()
    monkeypatch.chdir(tmp_path)
    return tmp_path


def found(*arguments, **options) -> list[str]:
    return [os.path.relpath(path) for path in Inputs(*arguments, **options)]


def test_folders_give_all_but_hidden_files_sorted(tree):
    assert found(["."]) == ["a.PNG", "b.jpg", "x/c.jpg", "x/y/d.txt"]
    assert found(["."], recursive=False) == ["a.PNG", "b.jpg"]
    assert found(["."], ["*.png", "*.txt"]) == ["a.PNG", "x/y/d.txt"]
    assert found(["."], ["x/*.jpg"]) == ["x/c.jpg"]


def test_files_and_patterns(tree):
    assert found(["b.jpg", "missing.jpg"]) == ["b.jpg", "missing.jpg"]
    assert found(["**/*.jpg"]) == ["b.jpg", "x/c.jpg"]
    assert found(["nothing*.jpg"]) == ["nothing*.jpg"]
    (tree / "[1].jpg").touch()
    assert found(["[1].jpg"]) == ["[1].jpg"]


def test_paths_are_absolute_and_can_be_read_twice(tree):
    inputs = Inputs(["x"])
    assert list(inputs) == list(inputs) == [str(tree / "x/c.jpg"), str(tree / "x/y/d.txt")]


def test_what_the_scan_writes_is_left_out(tree):
    assert found(["."], leave_out=[str(tree / "b.jpg"), str(tree / "x/c.jpg")]) == ["a.PNG", "x/y/d.txt"]
    assert found(["**/*.jpg", "b.jpg"], leave_out=[str(tree / "b.jpg")]) == ["x/c.jpg"]


def test_links_in_a_circle_end(tree):
    (tree / "x" / "circle").symlink_to(tree)
    (tree / "x" / "self").symlink_to("self")
    (tree / "x" / "link.jpg").symlink_to(tree / "b.jpg")
    assert found(["x"]) == ["x/c.jpg", "x/link.jpg", "x/self", "x/y/d.txt"]


def test_patterns_go_round_in_no_circle_and_find_nothing_hidden(tree):
    for name in ("one", "two"):
        (tree / "x" / name).symlink_to(tree)
    assert found(["**/*.jpg", "x/**/*.txt"]) == ["b.jpg", "x/c.jpg", "x/y/d.txt"]
    assert found([str(tree / "**.jpg"), ".hidden/*"]) == ["b.jpg", ".hidden/e.jpg"]
    assert found(["**/"], recursive=False) == ["a.PNG", "b.jpg", "x/c.jpg", "x/y/d.txt"]
    assert found(["x*/", "nothing/*/"], recursive=False)[:1] == ["x/c.jpg"]


def test_a_pattern_below_a_closed_folder_is_given_itself(tree, monkeypatch):
    def refuse(*_):
        raise PermissionError(13, "Permission denied")

    monkeypatch.setattr(Path, "glob", refuse)
    assert found(["x/*.jpg", "b.jpg"]) == ["x/*.jpg", "b.jpg"]


def test_a_pipe_has_no_hash_and_holds_nobody_up(tree):
    os.mkfifo(tree / "pipe")
    assert hash_of(str(tree / "pipe")) is None
    assert hash_of(str(tree / "b.jpg")) == hashlib.sha256(b"").hexdigest()


def test_only_a_list_that_stays_can_be_read_twice(tree):
    os.mkfifo(tree / "pipe")
    (tree / "list").write_text("b.jpg\n")
    (tree / "-").touch()
    lists = {"list": True, "pipe": False, "-": False, "/dev/stdin": False, None: True}
    assert {name: Inputs(list_file=name).can_repeat for name in lists} == lists


@pytest.mark.skipif(os.geteuid() == 0, reason="root may list every folder")
def test_a_closed_folder_is_given_itself(tree):
    (tree / "x" / "y").chmod(0)
    assert found(["x"]) == ["x/c.jpg", "x/y"]


def test_a_folder_that_vanishes_while_it_is_read_is_given_itself(tree, monkeypatch):
    real = os.scandir
    monkeypatch.setattr(os, "scandir", lambda at: real(at if not str(at).endswith("y") else f"{at}-gone"))
    assert found(["x"]) == ["x/c.jpg", "x/y-gone"]


def test_lists(tree):
    Path("list").write_bytes(b"b.jpg\r\n\nx/c.jpg\nodd\xff.jpg")
    assert found(list_file="list") == ["b.jpg", "x/c.jpg", "odd\udcff.jpg"]
    Path("list").write_bytes(b"two\nlines.jpg\0b.jpg\0")
    assert found(list_file="list") == ["two\nlines.jpg", "b.jpg"]
    assert not Inputs(list_file="-").can_repeat


@pytest.mark.parametrize("encoding", ["utf-8-sig", "utf-16", "utf-32"])
@pytest.mark.parametrize("end", ["\r\n", "\n", "\0"])
def test_a_byte_order_mark_decides_what_a_list_says(tree, encoding, end):
    Path("list").write_bytes(end.join(["b.jpg", "x/c.jpg", "größe.jpg", ""]).encode(encoding))
    assert found(list_file="list") == ["b.jpg", "x/c.jpg", "größe.jpg"]


def test_a_long_list_in_utf_16_is_read_a_part_at_a_time():
    names = [f"ö{number:06d}.jpg" for number in range(20_000)]
    stream = io.BytesIO("\n".join(names).encode("utf-16"))
    reading = listed(stream)
    assert next(reading) == names[0] and stream.tell() == CHUNK_BYTES and [names[0], *reading] == names


@pytest.mark.parametrize("encoding", ["utf-16-le", "utf-16-be"])
def test_a_list_whose_letters_would_be_names_is_refused(tree, encoding):
    Path("list").write_bytes("x/c.jpg\nb.jpg\n".encode(encoding))
    with pytest.raises(ScanError, match="UTF-16"):
        found(list_file="list")
    Path("list").write_bytes(b"\xff\xfeb\0.")
    with pytest.raises(ScanError, match="utf-16"):
        found(list_file="list")


def test_a_folder_in_a_list_is_named_and_not_entered(tree):
    Path("list").write_bytes(b"x\nb.jpg\n.\n")
    assert found(list_file="list") == ["x", "b.jpg", "."]


def test_what_the_scan_writes_is_known_under_every_name(tree):
    (tree / "rows.jsonl").touch()
    (tree / "out").mkdir()
    (tree / "out" / "hard.jsonl").hardlink_to(tree / "rows.jsonl")
    (tree / "soft.jsonl").symlink_to(tree / "rows.jsonl")
    (tree / "linked").symlink_to(tree)
    own = [str(tree / "rows.jsonl")]
    assert found(["."], leave_out=own) == ["a.PNG", "b.jpg", "x/c.jpg", "x/y/d.txt"]
    assert found(["linked/"], leave_out=own) == ["linked/a.PNG", "linked/b.jpg", "linked/x/c.jpg", "linked/x/y/d.txt"]


def test_a_file_that_vanishes_from_its_folder_is_counted(tree, monkeypatch):
    inputs = Inputs(["."])
    reading = iter(inputs)
    next(reading)
    (tree / "b.jpg").unlink()
    assert [Path(path).name for path in reading] == ["c.jpg", "d.txt"] and inputs.vanished == 1


def test_a_list_is_read_a_part_at_a_time():
    names = [f"{number:06d}.jpg" for number in range(20_000)]
    stream = io.BytesIO("\n".join(names).encode())
    reading = listed(stream)
    assert next(reading) == names[0]
    assert stream.tell() == CHUNK_BYTES
    assert [names[0], *reading] == names
