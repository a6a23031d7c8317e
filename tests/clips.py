"""Clips that the tests make, and a model that calls reddish faces fake, so that a test decides what each frame says."""

import struct
from collections.abc import Sequence
from pathlib import Path

import cv2
import numpy as np
import torch
from torch import nn

from facecheck.decoding import Pixels

WIDTH, HEIGHT, FPS = 320, 160, 10


class Redness(nn.Module):
    """Red minus blue, averaged over the face: fake a little above what a portrait has."""

    def __init__(self) -> None:
        super().__init__()
        self.fc = nn.Linear(3, 1)
        with torch.no_grad():
            self.fc.weight.copy_(torch.tensor([[25.0, 0.0, -25.0]]))
            self.fc.bias.fill_(-16.5)

    def forward(self, faces: torch.Tensor) -> torch.Tensor:
        return self.fc(faces.mean(dim=(2, 3)))


def red(picture: Pixels) -> Pixels:
    """What `Redness` calls fake."""
    return np.clip(picture.astype(int) + np.array([14, 0, -14]), 0, 255).astype(np.uint8)


def head(portrait: Pixels, side: int = 128) -> Pixels:
    """The upper square of a portrait."""
    least = min(portrait.shape[:2])
    left = (portrait.shape[1] - least) // 2
    return np.asarray(cv2.resize(portrait[:least, left : left + least], (side, side), interpolation=cv2.INTER_AREA))


def frame(*placed: tuple[Pixels, int]) -> Pixels:
    """Grey, with pictures from some x on, the last in front."""
    made = np.full((HEIGHT, WIDTH, 3), 128, np.uint8)
    for picture, x in placed:
        end = min(x + picture.shape[1], WIDTH)
        made[16 : 16 + picture.shape[0], max(x, 0) : end] = picture[:, max(-x, 0) : end - x]
    return made


def write_clip(path: Path, frames: Sequence[Pixels], fps: float = FPS, codec: str = "mp4v") -> Path:
    """A file of RGB frames; its kind is that of the suffix."""
    height, width = frames[0].shape[:2]
    writer = cv2.VideoWriter(str(path), cv2.CAP_FFMPEG, cv2.VideoWriter_fourcc(*codec), fps, (width, height))
    assert writer.isOpened(), path
    for pixels in frames:
        writer.write(np.ascontiguousarray(pixels[:, :, ::-1]))
    writer.release()
    return path


def turned_by_metadata(data: bytes, quarters: int) -> bytes:
    """An MP4 whose header says that players should turn it clockwise by so many quarters (ISO 14496-12, `tkhd`)."""
    cos, sin = ((1, 0), (0, 1), (-1, 0), (0, -1))[quarters % 4]
    at = data.index(b"tkhd") + 4 + 40
    matrix = struct.pack(">9i", cos << 16, sin << 16, 0, -sin << 16, cos << 16, 0, 0, 0, 1 << 30)
    return data[:at] + matrix + data[at + 36 :]


def steady(face: Pixels) -> list[Pixels]:
    """One face in all of ten frames."""
    return [frame((face, 90))] * 10


def fake_in_two_of_ten(face: Pixels) -> list[Pixels]:
    """One face in ten frames, in two of which it looks generated."""
    return [frame((red(face) if number in (3, 7) else face, 90)) for number in range(10)]


def turns_away(face: Pixels) -> list[Pixels]:
    """A face that moves to the right all the time, and is turned away in five of sixteen frames."""
    back = np.full_like(face, 60)
    return [frame((back if 5 <= number < 10 else face, 11 * number)) for number in range(16)]


def two_cross(first: Pixels, second: Pixels) -> list[Pixels]:
    """Two faces that pass each other; where they meet the first hides the second."""
    return [frame((second, 190 - 10 * number), (first, 10 * number)) for number in range(20)]
