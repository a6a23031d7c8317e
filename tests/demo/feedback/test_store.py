"""Objections: kept whole or not at all, within a size, deletable by receipt."""

import io
import os
import sqlite3
import struct
import subprocess
import sys
import threading
import time
from dataclasses import replace

import numpy as np
import pytest
from PIL import Image, ImageOps
from PIL.PngImagePlugin import PngInfo

from demo.feedback import store as rooms
from demo.feedback.store import Store, StoreFullError, fingerprint, new_receipt, without_metadata
from facecheck.errors import ImageError
from facecheck.provenance.reader import provenance
from facecheck.result import ModelInfo, Prediction
from tests.demo.conftest import ROOT, as_file


@pytest.fixture
def answer() -> Prediction:
    return Prediction("picture", (10, 10), model=ModelInfo("tiny", "1", "ab"))


def files(store: Store) -> list[str]:
    return sorted(path.name for path in store.folder.rglob("*.jpg"))


def test_nothing_exists_before_the_first_objection(store):
    assert store.all() == [] and not store.delete("ABCD") and not store.decide(1, "real")
    assert store.sweep() == 0
    assert not store.folder.exists()


def test_an_objection_is_kept_with_all_that_belongs_to_it(store, answer, portrait):
    store.add(portrait, "real", "I took it", answer)
    (kept,) = store.all()
    assert (kept.label, kept.comment, kept.model, kept.decision) == ("real", "I took it", "tiny 1", "open")
    assert kept.prediction["model"]["sha256"] == "ab"
    assert kept.path.is_file()
    assert oct(store.folder.stat().st_mode & 0o777) == "0o700" and oct(kept.path.stat().st_mode & 0o777) == "0o600"


def test_a_receipt_deletes_its_objection_and_no_other(store, answer, portrait):
    first, second = (store.add(portrait, "fake", "", answer) for _ in range(2))
    typed = first.lower().replace("-", " ").replace("0", "o").replace("1", "l")
    assert store.delete(typed) and not store.delete(first)
    assert len(store.all()) == len(files(store)) == 1
    assert store.delete(second)
    assert store.all() == [] and files(store) == []


def test_receipts_are_not_stored_and_not_alike(store, answer, portrait):
    receipt = store.add(portrait, "fake", "", answer)
    database = (store.folder / "objections.sqlite").read_bytes()
    assert receipt.encode() not in database and fingerprint(receipt).encode() in database
    assert len({new_receipt() for _ in range(200)}) == 200


def secretive(kind: str) -> bytes:
    """A picture whose metadata name a camera, a program, a moment, a comment or a prompt."""
    picture, exif, texts = Image.new("RGB", (64, 64)), Image.Exif(), PngInfo()
    exif[0x010F], exif[0x0131], exif[0x0132] = "SecretCamera", "SecretProgram", "2001:02:03 04:05:06"
    texts.add_text("parameters", "SecretPrompt\nSteps: 20, Sampler: Euler, Seed: 42, Model: SecretModel")
    options = {"pnginfo": texts} if kind == "PNG" else {"exif": exif, "comment": b"SecretComment"}
    return as_file(picture, kind, **options)


@pytest.mark.parametrize("kind", ["JPEG", "PNG"])
def test_what_the_file_said_of_itself_is_not_kept(store, answer, kind):
    data = secretive(kind)
    told = replace(answer, provenance=provenance(data))
    assert "Secret" in str(told.to_dict())
    store.add(data, "real", "", told)
    for path in store.folder.rglob("*.*"):
        assert b"Secret" not in path.read_bytes() and b"2001:02:03" not in path.read_bytes()
    assert store.all()[0].prediction["provenance"] is None


def test_comments_are_data_however_they_look(store, answer, portrait):
    comment = "'); DROP TABLE objections; --<script>alert(1)</script>"
    store.add(portrait, "real", comment + "x" * 2000, answer)
    assert store.all()[0].comment == (comment + "x" * 2000)[: rooms.MAX_COMMENT]


def test_a_full_store_and_bad_input_keep_nothing(tmp_path, answer, portrait):
    store = Store(tmp_path, len(portrait) + 100)
    store.add(portrait, "real", "", answer)
    with pytest.raises(StoreFullError):
        store.add(portrait, "real", "", answer)
    with pytest.raises(ValueError, match="not one of"):
        store.add(portrait, "maybe", "", answer)
    with pytest.raises(ImageError):
        store.add(b"<html>", "real", "", answer)
    assert len(store.all()) == len(files(store)) == 1


def test_of_what_cannot_be_kept_nothing_stays(store, answer, portrait, monkeypatch):
    store.add(portrait, "real", "", answer)
    with monkeypatch.context() as patched:
        patched.setattr(rooms.json, "dumps", lambda _: None)  # NOT NULL refuses the row after the picture is written.
        with pytest.raises(sqlite3.IntegrityError):
            store.add(portrait, "real", "", answer)
    assert len(store.all()) == len(files(store)) == 1


CAPPED = """
import io, resource, signal, sys
from pathlib import Path
from PIL import Image
from demo.feedback.store import Store
from facecheck.result import Prediction

def add():
    return store.add(picture.getvalue(), "real", "", Prediction("picture", (10, 10)))

signal.signal(signal.SIGXFSZ, signal.SIG_IGN)
store, picture = Store(Path(sys.argv[1]), 50 << 20), io.BytesIO()
Image.new("RGB", (16, 16)).save(picture, "JPEG")
receipt = add()
for limit in (100, 2000, resource.RLIM_INFINITY):
    resource.setrlimit(resource.RLIMIT_FSIZE, (limit, resource.RLIM_INFINITY))
    for work in (lambda: store.delete(receipt), add):
        try:
            print(bool(work()), end=" ")
        except OSError as error:
            print(Path(error.filename).suffix, end=" ")
    print(len(store.all()), len(list((store.folder / "pictures").iterdir())))
"""


def test_on_a_full_disk_nothing_is_half_kept_or_half_deleted(store):
    """No room for the picture, or none for the journal of the database; then there is room again."""
    ran = subprocess.run(
        [sys.executable, "-c", CAPPED, str(store.folder)], capture_output=True, text=True, check=True, cwd=ROOT
    )
    assert ran.stdout.splitlines() == [".sqlite .jpg 1 1", ".sqlite .sqlite 1 1", "True True 1 1"]


def test_a_crash_between_picture_and_row_leaves_nothing_in_the_end(store, answer, portrait):
    store.add(portrait, "real", "", answer)
    orphan = store.folder / "pictures" / "0123456789abcdef.jpg"
    orphan.write_bytes(portrait)
    assert store.sweep() == 0
    os.utime(orphan, (time.time() - 120,) * 2)
    assert store.sweep() == 1 and len(files(store)) == 1


def test_many_threads_at_once_lose_nothing(store, answer, portrait):
    receipts: list[str] = []
    threads = [
        threading.Thread(target=lambda: receipts.append(store.add(portrait, "real", "", answer))) for _ in range(8)
    ]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert len(set(receipts)) == len(store.all()) == len(files(store)) == 8


def phone_photo(picture: np.ndarray, orientation: int) -> bytes:
    exif = Image.Exif()
    exif[0x0112], exif[0x010F] = orientation, "SecretCamera"
    exif.get_ifd(0x8825)[2] = (47.0, 22.0, 11.0)
    buffer = io.BytesIO()
    Image.fromarray(picture).save(buffer, "JPEG", quality=80, exif=exif, comment=b"SecretComment", icc_profile=b"icc")
    return buffer.getvalue() + b"SecretFilm"


@pytest.mark.parametrize("orientation", [1, 3, 6, 8])
def test_a_jpeg_keeps_its_compressed_pixels_and_orientation_only(grace, orientation):
    before = phone_photo(grace, orientation)
    after, suffix = without_metadata(before)
    assert suffix == ".jpg"
    assert b"Secret" in before and b"Secret" not in after
    opened = Image.open(io.BytesIO(after))
    assert set(opened.getexif()) <= {0x0112}
    assert opened.info["icc_profile"] == b"icc"
    expected = ImageOps.exif_transpose(Image.open(io.BytesIO(before)))
    assert np.array_equal(np.asarray(ImageOps.exif_transpose(opened)), np.asarray(expected))


def segment(app: int, body: bytes) -> bytes:
    return struct.pack(">BBH", 0xFF, app, len(body) + 2) + body


def jpeg(picture: np.ndarray, mode: str = "RGB", **options) -> bytes:
    buffer = io.BytesIO()
    Image.fromarray(picture).convert(mode).save(buffer, "JPEG", quality=80, **options)
    return buffer.getvalue()


def pixels(data: bytes) -> np.ndarray:
    return np.asarray(Image.open(io.BytesIO(data)))


def test_what_is_appended_goes_also_where_it_ends_like_a_picture(grace):
    plain = jpeg(grace)
    for appended in (phone_photo(grace, 1), b"SecretFilm\xff\xd9SecretFilm\xff\xd9"):
        assert without_metadata(plain + appended) == without_metadata(plain) == (plain, ".jpg")


@pytest.mark.parametrize(
    "body",
    [
        (0xE0, b"JFXX\0\x10Secret"),
        (0xE0, b"JFIF\0\1\2\0\0\1\0\1\1\2Secret"),
        (0xE2, b"Secret"),
        (0xEE, b"Secret"),
        (0xEE, b"Adobe\0\x64\0\0\0\0\1Secret"),
        (0xEB, b"Secret"),
        (0xFE, b"Secret"),
    ],
)
def test_previews_indices_and_what_nobody_knows_go(grace, body):
    plain = jpeg(grace)
    for filling in (b"", b"\xff\xff"):
        data = plain[:2] + filling + segment(*body) + plain[2:]
        after, suffix = without_metadata(data)
        assert suffix == ".jpg" and b"Secret" in data and b"Secret" not in after
        assert np.array_equal(pixels(after), pixels(plain))


def test_of_several_pictures_in_one_file_the_first_is_kept_without_their_index(grace, cat):
    buffer = io.BytesIO()
    Image.fromarray(grace).save(buffer, "MPO", save_all=True, append_images=[Image.fromarray(cat)])
    after, suffix = without_metadata(buffer.getvalue())
    assert suffix == ".jpg" and b"MPF" in buffer.getvalue() and b"MPF" not in after
    assert after.count(b"\xff\xd8\xff") == 1 and np.array_equal(pixels(after), pixels(buffer.getvalue()))


def test_a_progressive_jpeg_keeps_every_scan_and_nothing_between_them(grace):
    plain = jpeg(grace, progressive=True)
    first, *scans = plain.split(b"\xff\xda")
    secrets = segment(0xFE, b"SecretComment") + segment(0xE1, b"Exif\0\0SecretPlace")
    data = first + b"".join(secrets + b"\xff\xda" + scan for scan in scans)
    assert len(scans) > 5 and np.array_equal(pixels(data), pixels(plain))
    assert without_metadata(data + phone_photo(grace, 6)) == (plain, ".jpg")


@pytest.mark.parametrize("options", [{"restart_marker_rows": 1}, {"mode": "CMYK"}, {"mode": "L"}])
def test_restarts_and_other_colours_survive_bit_for_bit(grace, options):
    plain = jpeg(grace, **options)
    assert without_metadata(plain) == (plain, ".jpg")


def test_a_jpeg_whose_end_cannot_be_found_becomes_its_pixels(grace):
    plain = jpeg(grace)
    after, suffix = without_metadata(plain[:-2] + b"SecretFilm")
    assert suffix == ".png" and b"Secret" not in after and np.array_equal(pixels(after), pixels(plain))


@pytest.mark.parametrize(("kind", "value"), [(2, b"Secret text"), (3, b"\0\0"), (3, b"\0\x09"), (4, b"\0\1\0\6")])
def test_an_orientation_that_is_none_goes(grace, kind, value):
    plain = jpeg(grace)
    count = len(value) if kind == 2 else 1
    place = struct.pack(">I", 26) if len(value) > 4 else value.ljust(4, b"\0")
    tags = b"MM\0*" + struct.pack(">IHHHI", 8, 1, 0x0112, kind, count) + place + bytes(4) + value
    assert without_metadata(plain[:2] + segment(0xE1, b"Exif\0\0" + tags) + plain[2:]) == (plain, ".jpg")


def test_other_formats_become_the_same_pixels_as_png(grace):
    buffer = io.BytesIO()
    Image.fromarray(grace).save(buffer, "WEBP", lossless=True, exif=b"Exif\0\0SecretPlace")
    after, suffix = without_metadata(buffer.getvalue())
    assert suffix == ".png" and b"Secret" not in after
    assert np.array_equal(np.asarray(Image.open(io.BytesIO(after))), grace)


def test_what_is_no_picture_is_refused():
    with pytest.raises(ImageError):
        without_metadata(b"<html>")
