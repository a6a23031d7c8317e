"""Formats, hashes and qualities of files, against what Pillow was told to write."""

import hashlib

import pytest
from PIL import Image, ImageCms

from facecheck.ledger import KeyedLedger
from training.faces.originals import FALLBACK_QUALITIES, Original, quality_for, real_qualities, survey

PROFILE = ImageCms.ImageCmsProfile(ImageCms.createProfile("sRGB")).tobytes()


@pytest.mark.parametrize("quality", [30, 75, 90, 95])
@pytest.mark.parametrize("subsampling", [0, 2])
def test_the_quality_of_a_jpeg_is_read_off_its_tables(tmp_path, astronaut, quality, subsampling):
    path = tmp_path / "a.jpg"
    Image.fromarray(astronaut[:64, :80]).save(path, quality=quality, subsampling=subsampling)
    sha256 = hashlib.sha256(path.read_bytes()).hexdigest()
    assert survey(path) == Original(sha256, "JPEG", 80, 64, quality, is_lossless=False)


@pytest.mark.parametrize(
    ("name", "options", "is_lossless"),
    [
        ("a.png", {}, True),
        ("a.webp", {"lossless": True}, True),
        ("a.webp", {"quality": 80}, False),
        ("a.bmp", {}, True),
        # The profile comes before the pixels and may say anything.
        ("a.webp", {"lossless": True, "icc_profile": PROFILE}, True),
        ("a.webp", {"quality": 80, "icc_profile": b"VP8L" * 201}, False),
        ("a.webp", {"lossless": True, "save_all": True, "append_images": [Image.new("RGB", (64, 64))]}, True),
        ("a.webp", {"quality": 80, "save_all": True, "append_images": [Image.new("RGB", (64, 64))]}, False),
    ],
)
def test_lossless_files_are_told_from_lossy_ones(tmp_path, astronaut, name, options, is_lossless):
    Image.fromarray(astronaut[:64, :64]).save(tmp_path / name, **options)
    original = survey(tmp_path / name)
    assert (original.is_lossless, original.quality) == (is_lossless, None)


def test_junk_and_absent_files_are_no_error(tmp_path):
    (tmp_path / "junk.jpg").write_bytes(b"junk")
    assert survey(tmp_path / "junk.jpg").format == ""
    assert survey(tmp_path / "absent.jpg") == Original("")


def test_lossless_pictures_get_qualities_of_the_real_photographs_only():
    seen = [("real", Original("a", quality=60)), ("real", Original("b")), ("fake", Original("c", quality=99))]
    assert real_qualities(seen) == [60]
    assert real_qualities(seen[1:]) == list(FALLBACK_QUALITIES)
    drawn = [quality_for(hashlib.sha256(bytes([i])).hexdigest(), [60, 70, 80, 90]) for i in range(200)]
    assert all(30 < drawn.count(quality) < 70 for quality in (60, 70, 80, 90))


def test_a_ledger_survives_a_torn_line(tmp_path):
    path = tmp_path / "j.jsonl"
    with KeyedLedger(path) as ledger:
        ledger.add("a", {"n": 1})
        ledger.add("b", {"n": 2})
    path.write_bytes(path.read_bytes()[:-4])
    with KeyedLedger(path) as ledger:
        assert ledger.missing(["a", "b", "c", "c"]) == ["b", "c"]
        ledger.add("b", {"n": 3})
    with KeyedLedger(path) as ledger:
        assert {key: entry["n"] for key, entry in ledger.entries.items()} == {"a": 1, "b": 3}
