"""Which files are clips, whatever their names; and nothing but those files is opened, whatever they hold."""

import json
import os
import re
import shutil
import subprocess
import sys
from pathlib import Path

import pytest
from PIL import Image

from facecheck.video import is_clip, is_clip_file
from tests.clips import frame, write_clip

SDP = (
    b"v=0\no=- 0 0 IN IP4 127.0.0.1\ns=x\nc=IN IP4 127.0.0.1\nt=0 0\nm=video 5004 RTP/AVP 96\na=rtpmap:96 H264/90000\n"
)
PLAY_LIST = b"#EXTM3U\n#EXT-X-TARGETDURATION:1\n#EXT-X-MEDIA-SEQUENCE:0\n#EXTINF:1,\nSECRET\n#EXT-X-ENDLIST\n"
DASH = (
    b'<?xml version="1.0"?>\n<MPD xmlns="urn:mpeg:dash:schema:mpd:2011" '
    b'profiles="urn:mpeg:dash:profile:isoff-on-demand:2011" type="static" mediaPresentationDuration="PT1S"><Period>'
    b'<AdaptationSet contentType="video"><Representation id="1" bandwidth="1" mimeType="video/mp4">'
    b"<BaseURL>SECRET</BaseURL></Representation></AdaptationSet></Period></MPD>"
)
CONCAT = b"ffconcat version 1.0\nfile SECRET\n"
TEXTS = {"sdp": SDP, "hls": PLAY_LIST, "dash": DASH, "concat": CONCAT}
HEADS = {
    "mp4": b"AAAAftypisom\n",
    "jp2": b"AAAAftypjp2 \n",
    "wide": b"AAAAwide\n",
    "moov": b"AAAAmoov\n",
    "webm": b"\x1aE\xdf\xa3\n",
    "webm typed": b"\x1aE\xdf\xa3\x01AAAAAAA\x42\x82\x84webm\n",
    "flv": b"FLV\x01\n",
    "wmv": b"\x30\x26\xb2\x75\x8e\x66\xcf\x11\n",
    "ts": b"G\n",
}


def disguised() -> dict[str, bytes]:
    """Every text format of FFmpeg behind the magic bytes of every container, and alone."""
    files = dict(TEXTS)
    for kind, head in HEADS.items():
        for name, text in TEXTS.items():
            content = head + text
            if kind == "ts":
                content = content[:188].ljust(188, b"\n") + b"G".ljust(188, b"\n") * 20
            files[f"{kind} {name}"] = content
    return files


@pytest.mark.parametrize(
    "codec", ["mp4v .mp4", "mp4v .mov", "VP80 .webm", "MJPG .mkv", "MJPG .avi", "FLV1 .flv", "mpg1 .mpg"]
)
def test_what_cameras_and_programs_write_is_a_clip(tmp_path, woman, codec):
    codec, suffix = codec.split()
    path = write_clip(tmp_path / f"clip{suffix}", [frame((woman, 90))] * 3, fps=25, codec=codec)
    renamed = path.rename(tmp_path / "photo.jpg")
    assert is_clip_file(str(renamed)) and is_clip(renamed.read_bytes())


def test_packets_of_a_transport_stream_are_a_clip():
    packets = (b"G@\0\x10" + b"\0" * 184) * 3
    assert is_clip(packets) and not is_clip(packets[:300])


def test_pictures_lists_and_nothing_are_no_clips(grace_path, tmp_path):
    file = tmp_path / "photo.mp4"
    for content in (grace_path.read_bytes(), b"#EXTM3U\nhttp://localhost/x.ts", b"", b"\0" * 2000, b"\x1aE\xdf\xa3"):
        file.write_bytes(content)
        assert not is_clip_file(str(file))
    Image.new("RGB", (16, 16)).save(tmp_path / "picture.avif")
    assert not is_clip_file(str(tmp_path / "picture.avif"))
    assert not is_clip_file(str(tmp_path)) and not is_clip_file("/no/such/file") and not is_clip_file("a\0b")


@pytest.mark.parametrize("name", disguised())
def test_no_text_that_names_other_files_passes_for_a_container(name):
    assert not is_clip(disguised()[name])


OPEN_ALL = """
import json, sys
from facecheck.errors import ImageError
from facecheck.video.frames import Clip
answers = {}
for path in sys.argv[1:]:
    try:
        answers[path] = len(list(Clip(path).samples()))
    except ImageError:
        answers[path] = None
print(json.dumps(answers))
"""


@pytest.mark.skipif(shutil.which("strace") is None, reason="strace shows what is opened")
def test_nothing_is_opened_but_the_file_itself(tmp_path, woman):
    secret = write_clip(tmp_path / "secret.mp4", [frame((woman, 90))] * 3)
    pattern = shutil.copy(secret, tmp_path / "q%d.jpg")
    for number in range(3):
        shutil.copy(secret, tmp_path / f"q{number}.jpg")
    named = [str(pattern)]
    for name, content in disguised().items():
        file = tmp_path / f"{name}.mp4"
        file.write_bytes(content.replace(b"SECRET", str(secret).encode()))
        named.append(str(file))
    command = ["strace", "-f", "-qq", "-e", "trace=open,openat,socket", "-o", str(tmp_path / "trace")]
    ran = subprocess.run(
        [*command, sys.executable, "-c", OPEN_ALL, *named], capture_output=True, text=True, check=False, cwd=tmp_path,
        env=os.environ | {"PYTHONPATH": str(Path(__file__).parents[3])},
    )  # fmt: skip
    if "ptrace" in ran.stderr.lower():
        pytest.skip("no process may be traced here")
    assert {path: read for path, read in json.loads(ran.stdout).items() if read} == {str(pattern): 3}
    trace = (tmp_path / "trace").read_text()
    opened = set(re.findall(rf'"({re.escape(str(tmp_path))}/[^"]*)"', trace))
    assert opened == set(named) and "socket(" not in trace
