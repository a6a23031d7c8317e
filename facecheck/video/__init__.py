"""Clips: which files are some, their frames, the faces followed through them, and one verdict for each person.

Here: which files FFmpeg gets to see; it is never shown another one, for it would open what that names. Then frames
(sampled, upright, within limits) -> tracks (one face through many frames, and the rule that makes one answer of them)
-> judging (a `Prediction`, one face for each person).

FFmpeg decides by itself what a file is. Its text formats (play lists, DASH, SDP, concat scripts) make it open other
files and addresses, and it finds their marks behind the magic bytes of many a container. It reads those texts as C
strings, though, which end at the first NUL. So a head counts only where a NUL comes before any mark could, or where
FFmpeg is sure of the container (a score of 100; no text gets more).
"""

from collections.abc import Callable

from facecheck.sanitising import open_file

HEAD_BYTES = 1024
MARK_BYTES = 5
"""The shortest mark of a text format, "<MPD", behind one byte."""
MP4_BOXES = (b"ftyp", b"moov", b"mdat", b"wide", b"free", b"skip")
STILL_BRANDS = (
    b"avif", b"avis", b"heic", b"heix", b"heim", b"heis", b"hevc", b"hevx", b"mif1", b"msf1", b"jpeg",
    b"jp2 ", b"jpx ", b"jxl ",
)  # fmt: skip
EBML, DOCUMENT_TYPES = b"\x1aE\xdf\xa3", (b"matroska", b"webm")
ASF_HEADER = bytes.fromhex("3026b2758e66cf11a6d900aa0062ce6c")
TRANSPORT_PACKET, TRANSPORT_MARK = 188, b"G"


def is_clip_file(path: str) -> bool:
    """As `is_clip`, of a file; False where there is none."""
    try:
        with open_file(path) as stream:
            return is_clip(stream.read(HEAD_BYTES))
    except (OSError, ValueError):
        return False


def is_clip(head: bytes | memoryview) -> bool:
    """Whether a file begins like a clip: MP4, MOV, MKV, WebM, AVI, FLV, MPEG or WMV; its name is no proof.

    Args:
        head: the first 1024 bytes of the file, or more of it.
    """
    head = bytes(head[:HEAD_BYTES])
    return any(begins(head) for begins in CONTAINERS)


def _is_mp4(head: bytes) -> bool:
    """MP4, MOV, 3GP: a box of less than 16 MiB, or of 64 bits, so that its size begins with a NUL."""
    return head[:1] == b"\0" and head[4:8] in MP4_BOXES and head[8:12] not in STILL_BRANDS


def _is_matroska(head: bytes) -> bool:
    """Matroska, WebM: an EBML header that names its type; without it FFmpeg is not sure."""
    if not head.startswith(EBML) or not head[4:5].strip(b"\0"):
        return False
    width = 9 - head[4].bit_length()
    begin = len(EBML) + width
    size = int.from_bytes(head[len(EBML) : begin], "big") & ~(1 << (7 * width))
    return begin + size <= len(head) and any(name in head[begin : begin + size] for name in DOCUMENT_TYPES)


def _is_avi(head: bytes) -> bool:
    """AVI: FFmpeg is sure."""
    return (head[:4], head[8:12]) == (b"RIFF", b"AVI ")


def _is_flash(head: bytes) -> bool:
    return head.startswith(b"FLV\x01") and head[5:9] == b"\0\0\0\x09"


def _is_mpeg(head: bytes) -> bool:
    """A program stream or a raw video stream of MPEG-1 and 2."""
    return head.startswith((b"\0\0\x01\xba", b"\0\0\x01\xb3"))


def _is_asf(head: bytes) -> bool:
    """WMV: FFmpeg compares the whole identifier, and is sure."""
    return head.startswith(ASF_HEADER)


def _is_transport(head: bytes) -> bool:
    """MPEG transport stream: three packets, and a NUL early in the first."""
    marks = [head[place : place + 1] for place in range(0, 2 * TRANSPORT_PACKET + 1, TRANSPORT_PACKET)]
    return marks == [TRANSPORT_MARK] * 3 and b"\0" in head[:MARK_BYTES]


CONTAINERS: tuple[Callable[[bytes], bool], ...] = (
    _is_mp4, _is_matroska, _is_avi, _is_flash, _is_mpeg, _is_asf, _is_transport,
)  # fmt: skip
