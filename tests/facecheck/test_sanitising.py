"""Small files that would cost minutes or gigabytes: all are decoded, or refused, in time that grows with their size."""

import base64
import io
import struct
import threading
import zlib
from functools import partial

import numpy as np
import pytest
from PIL import Image, ImageFile

from facecheck import image
from facecheck.errors import ImageError
from facecheck.sanitising import orientation, sanitised
from tests.speed import reference_seconds

SECONDS_A_MB = 1.0
"""Of CPU time, generous; what is not bounded takes 5 s or more of a file of 1 MB and 60 s of one of 4 MB."""
SIZES = 1 << 19, 1 << 21
NOISE = np.random.default_rng(0).integers(0, 256, (48, 64, 3), np.uint8)


def saved(kind: str, mode: str = "RGB", **options) -> bytes:
    buffer = io.BytesIO()
    Image.fromarray(NOISE).convert(mode).save(buffer, kind, **options)
    return buffer.getvalue()


def chunk(kind: bytes, data: bytes = b"", checksum: int | None = None) -> bytes:
    checksum = zlib.crc32(kind + data) if checksum is None else checksum
    return struct.pack(">I", len(data)) + kind + data + struct.pack(">I", checksum)


JPEG, PNG, GIF, PROGRESSIVE = saved("JPEG"), saved("PNG"), saved("GIF", "P"), saved("JPEG", progressive=True)
GIF_HEAD = 13 + 3 * (2 << (GIF[10] & 7))
ZEROS = zlib.compress(bytes(900_000))


def tiff(size: int) -> bytes:
    """Each entry names the same bytes."""
    pixels = [(256, 3, 1, 64), (257, 3, 1, 48), (258, 3, 1, 8), (259, 3, 1, 1), (262, 3, 1, 1), (273, 4, 1, 8)]
    entries = pixels + [(40000 + n, 7, size // 2, 8) for n in range(min(size // 24, 20_000))]
    head = b"II*\0\x08\0\0\0" + struct.pack("<H", len(entries))
    return (head + b"".join(struct.pack("<HHII", *entry) for entry in entries)).ljust(size, b"\0")


def padded(whole: bytes, at: int, part: bytes, size: int) -> bytes:
    return whole[:at] + part * (size // len(part)) + whole[at:]


BUILDERS = {
    "jpeg fill bytes": lambda size: padded(JPEG, 2, b"\xff", size),
    "jpeg junk": lambda size: padded(JPEG, 2, b"\xff\0", size),
    "jpeg segments": lambda size: padded(JPEG, 2, b"\xff\xe5\0\2", size),
    "jpeg exif": lambda size: padded(JPEG, 2, b"\xff\xe1\xff\xf0Exif\0\0" + tiff(0xFFF0 - 8), size),
    "jpeg scans": lambda size: padded(PROGRESSIVE, PROGRESSIVE.rindex(b"\xff\xda"), b"\xff\xda\0\6\1\1\0\0", size),
    "png chunks": lambda size: padded(PNG, 33, chunk(b"tEXt", b"a\0b"), size),
    "png profiles": lambda size: padded(PNG, 33, chunk(b"iCCP", b"a\0\0" + ZEROS), size),
    "png exif": lambda size: padded(PNG, 33, chunk(b"eXIf", tiff(size)), size),
    "gif comment": lambda size: GIF[:GIF_HEAD] + b"!\xfe" + b"\1c" * (size // 2) + b"\0" + GIF[GIF_HEAD:],
    "gif comments": lambda size: padded(GIF, GIF_HEAD, b"!\xfe\1c\0", size),
    "tiff entries": tiff,
    "webp exif": lambda size: saved("WEBP", exif=tiff(size)),
    "pnm comments": lambda size: b"P3\n64 48\n255\n" + b"#\n" * (size // 2) + b"1 " * (64 * 48 * 3),
}  # fmt: skip


def load(data: bytes) -> None:
    try:
        image.load(data)
    except ImageError as error:
        assert len(str(error)) < 400


@pytest.mark.parametrize("name", BUILDERS)
def test_the_time_to_decode_grows_with_the_file_and_no_faster(name):
    for size in SIZES:
        data = BUILDERS[name](size)
        assert reference_seconds(partial(load, data)) < 0.3 + SECONDS_A_MB * len(data) / (1 << 20)


@pytest.mark.parametrize(
    ("plain", "dressed"),
    [
        (JPEG, padded(JPEG, 2, b"\xff", 5000)),
        (JPEG, padded(JPEG, JPEG.index(b"\xff\xdb"), b"\xff\0\xff", 5000)),
        (PNG, padded(PNG, 33, chunk(b"iCCP", b"a\0\0" + ZEROS), 5000)),
        (PNG, padded(PNG, 33, chunk(b"tEXt", b"a\0b", checksum=7), 5000)),
        (GIF, padded(GIF, GIF_HEAD, b"!\xfe\1c\0", 5000)),
    ],
    ids=["fill bytes", "junk", "profiles", "wrong checksums", "comments"],
)  # fmt: skip
def test_what_is_left_out_changes_no_pixel(plain, dressed):
    assert np.array_equal(image.load(dressed), image.load(plain))


def test_a_critical_chunk_with_a_wrong_checksum_is_damage():
    with pytest.raises(ImageError, match=r"damaged|not a picture"):
        image.load(PNG[:29] + b"zzzz" + PNG[33:])


def test_an_animation_keeps_its_frames():
    buffer = io.BytesIO()
    frames = [Image.fromarray(np.roll(NOISE, n, 1)).convert("P") for n in range(3)]
    frames[0].save(buffer, "GIF", save_all=True, append_images=frames[1:], comment=b"said " * 100)
    clean = sanitised(buffer.getvalue())
    before, after = Image.open(buffer), Image.open(io.BytesIO(clean))
    assert len(clean) < len(buffer.getvalue()) and after.n_frames == before.n_frames == 3
    for number in range(3):
        before.seek(number)
        after.seek(number)
        assert np.array_equal(np.asarray(before.convert("RGB")), np.asarray(after.convert("RGB")))


def test_one_file_that_takes_long_holds_no_other_up(monkeypatch):
    slow, opened = saved("BMP"), Image.open
    begun, go_on = threading.Event(), threading.Event()

    def waiting(file, **options):
        if file.getvalue() == slow:
            begun.set()
            assert go_on.wait(30)
        return opened(file, **options)

    monkeypatch.setattr(Image, "open", waiting)
    thread = threading.Thread(target=image.load, args=(slow,))
    thread.start()
    assert begun.wait(10)
    other = threading.Thread(target=image.load, args=(JPEG,))
    other.start()
    other.join(10)
    was_held_up = other.is_alive()
    go_on.set()
    thread.join()
    other.join()
    assert not was_held_up


ARITHMETIC = base64.b85decode(
    "|JeWF01!$>Nk#wx0RR9200961|JwjV04N+DBOVzjBOxO#D=08LWI;SPH#~b-T}fn-fSHz$fQ*WuwC2O0s@koJjL84X+V1uL|Noo8"
    "|NsB`|K|Pw`2WcO3kU!x04M<g5di<p00saM5C#9*00;pA002J#?$-z0oj>S&O0`sN{{Z$u{{UC@d|7}yOqifmr6a~w#wXJY<gD?_"
    "nDCob?;J0F83&D}Sr&o@XRi$}Oo(q!gsr;UvDpS`gChCz(1Z`GL}7n79M3M>%qcd)@{Nj;vQY$^)Z8@tXrT+`P#4U~g?z`?BL4s!"
    "08t?xtY{4v{{S(OEWBX7823_qL36RZUMrwe;;XR<3CGg>0I0D_kr(O4@AvGaj0rE;d!*21j;p>noK3>}DU{`aH9f_Cp=%b`Gk#)~"
    "p-Cko{yrw26YogDmZ0_mL;CoUS&jq!ojAX&GDM}H?yhCEf6z!AB-mNfox-NLy#h^N{ko1sBGH)y%{_*j8qYJ(&l@d5`gJfFfGj}t"
    "tFcaYH0vUQrji2?jId$Cp4p*B>8db=XhGWY{qMOi1!z&g14yNB-K~MHi$)Q9S`8_%aC*=$3VL<cDwiWO{w6`I#K?*w8EM9R*kU|m"
    "Q!#^cnyzSCM~~Pp1S#=YoArrcQAPbU{Qub"
)
"""40x40 greys, from jpegtran -arithmetic of libjpeg-turbo 2.1.5."""


def test_an_arithmetic_coded_jpeg_is_read_however_long_it_is(monkeypatch):
    expected = image.load(ARITHMETIC)
    monkeypatch.setattr(ImageFile, "MAXBLOCK", len(ARITHMETIC) // 2)
    assert np.array_equal(image.load(ARITHMETIC), expected) and expected.shape == (40, 40, 3)


@pytest.mark.parametrize("prefix", [b"", b"Exif\0\0"])
@pytest.mark.parametrize("order", ["little", "big"])
def test_the_orientation_is_the_one_that_pillow_reads(order, prefix):
    for turned in range(1, 9):
        pack = "<" if order == "little" else ">"
        head = b"II*\0" if order == "little" else b"MM\0*"
        entries = struct.pack(pack + "HHHII", 2, 0x010F, 2, 2, 0) + struct.pack(pack + "HHIHH", 0x0112, 3, 1, turned, 0)
        exif = prefix + head + struct.pack(pack + "I", 8) + entries + bytes(4)
        known = Image.Exif()
        known.load(exif)
        picture = Image.new("RGB", (1, 1))
        picture.info["exif"] = exif
        assert orientation(picture) == known[0x0112] == turned


def test_a_tiff_of_countless_strips_is_refused_before_an_object_is_made_of_each():
    def strips(rows: int) -> bytes:
        """One pixel a row, one row a strip."""
        tags = {256: 1, 257: rows, 258: 8, 259: 1, 262: 1, 277: 1, 278: 1, 273: 122, 279: 122 + 4 * rows}
        entries = [(tag, 4, rows if tag in (273, 279) else 1, value) for tag, value in sorted(tags.items())]
        head = b"II*\0\x08\0\0\0" + struct.pack("<H", 9) + b"".join(struct.pack("<HHII", *one) for one in entries)
        return head + bytes(4) + struct.pack("<I", 8) * rows + struct.pack("<I", 1) * rows

    assert image.load(strips(3000)).shape == (3000, 1, 3)
    with pytest.raises(ImageError, match="more than 70000 strips"):
        image.load(strips(70_001))
