"""Train facecheck/tiny-faces: a 64-pixel DDPM (Ho et al. 2020) that samples with DDIM (Song et al. 2020).

It learns faces that all look the same way, the eyes of every one at the same pixels: a small network learns sooner
where none is turned, shifted or scaled (the alignment of Karras et al. 2018, "Progressive Growing of GANs", appendix C,
with five landmarks in place of 68). The network predicts velocity (Salimans and Ho 2022) on a cosine schedule (Nichol
and Dhariwal 2021); noise levels weigh as Min-SNR says (Hang et al. 2023), which learns several times faster than equal
weights. The moving average ships.
"""

from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path

import cv2
import numpy as np
import torch
from diffusers import DDIMPipeline, DDIMScheduler, UNet2DModel
from torch import Tensor
from tqdm import tqdm

from data_generation import GenerationError
from data_generation.synthesis.conditioning import listed
from data_generation.tiny.run import PIPELINE, Faces, Run, RunConfig, Smooth, as_tensor, cached
from facecheck import image
from facecheck.decoding import Pixels
from facecheck.detection.detector import Detections, FaceDetector
from facecheck.errors import ImageError
from training.faces.names import slug
from training.fitting.trainer import mixed_precision

SIDE = 64
TEMPLATE = np.array([(22.3, 25.7), (41.7, 25.7), (32.0, 37.7), (24.0, 48.0), (40.0, 48.0)], dtype=np.float32)
"""Eyes, nose, corners of the mouth in a face of `SIDE` pixels; MTCNN's box is then about 43 x 56 pixels."""
ENLARGED = 1.3
"""A face smaller than the template by more than this factor would be learned as a blurred one."""
EMPTY_SHARE = 0.04
BATCH = 16
LARGEST_SNR = 5.0


def photographs(folder: Path, sources: Sequence[str] = (), split: str = "train") -> list[Path]:
    """The photographs of `folder`; where it is split, only those of one split (of these sources).

    Raises:
        GenerationError: there is none.
    """
    names = {slug(source) for source in sources}
    found = [
        photo.path
        for photo in listed(folder).photographs
        if photo.split in ("", split) and (not names or photo.source in names)
    ]
    if not found:
        raise GenerationError(f"{folder} holds no photograph of the sources {list(sources)}, or none to learn from")
    return found


def aligned_faces(paths: Sequence[Path], detector: FaceDetector, side: int = SIDE) -> Iterator[Faces | None]:
    """The largest face of each picture as (side, side, 3) uint8 RGB; None where there is no good one."""
    for start in range(0, len(paths), BATCH):
        pictures = [_opened(path) for path in paths[start : start + BATCH]]
        seen = iter(detector.detect([picture for picture in pictures if picture is not None]))
        for picture in pictures:
            yield None if picture is None else _aligned(picture, next(seen), side)


def _opened(path: Path) -> Pixels | None:
    try:
        return image.load(path)
    except ImageError:
        return None


def _aligned(picture: Pixels, faces: Detections, side: int) -> Faces | None:
    if not len(faces):
        return None
    matrix, _ = cv2.estimateAffinePartial2D(faces.landmarks[0], TEMPLATE * (side / SIDE), method=cv2.LMEDS)
    if matrix is None or np.hypot(*matrix[:, 0]) > ENLARGED:
        return None
    height, width = picture.shape[:2]
    inside = cv2.warpAffine(np.ones((height, width), np.float32), matrix, (side, side))
    # Averaging before the reduction: warpAffine does not antialias.
    blur = max(1 / float(np.hypot(*matrix[:, 0])) / 2, 0.01)
    smooth = cv2.GaussianBlur(picture, (0, 0), blur) if blur > 0.4 else picture
    face = cv2.warpAffine(smooth, matrix, (side, side), flags=cv2.INTER_LINEAR, borderMode=cv2.BORDER_REPLICATE)
    black = (face.max(axis=2) < 6).mean()
    return None if 1 - inside.mean() > EMPTY_SHARE or black > EMPTY_SHARE else np.asarray(face, dtype=np.uint8)


def cached_faces(paths: Sequence[Path], cache: Path, side: int = SIDE) -> Faces:
    """(N, side, side, 3) uint8: the good faces of all pictures, found once and kept in `cache`.

    Raises:
        ValueError: there is none, or those of the cache have another side.
    """
    return cached(cache, lambda: all_faces(paths, side), side)


def all_faces(paths: Sequence[Path], side: int = SIDE) -> Faces:
    """(N, side, side, 3) uint8: the good faces of all pictures.

    Raises:
        ValueError: there is none.
    """
    found = aligned_faces(paths, FaceDetector(), side)
    faces = [face for face in tqdm(found, total=len(paths), unit="photo", disable=None) if face is not None]
    if not faces:
        raise ValueError(f"no face found in {len(paths)} photographs")
    return np.stack(faces)


@dataclass(frozen=True)
class TinyConfig(RunConfig):
    """One run.

    Attributes:
        cooldown: the last share of the steps, over which the learning rate falls to zero.
    """

    steps: int = 3300
    batch: int = 32
    lr: float = 5e-4
    warmup: int = 200
    cooldown: float = 0.4

    def rate(self, step: int) -> float:
        """Factor on the learning rate."""
        left = (self.steps - step) / max(self.cooldown * self.steps, 1)
        return min((step + 1) / self.warmup, left, 1.0)


def build() -> UNet2DModel:
    """12 million parameters, most of them where the picture is 16 pixels and smaller: fast on a processor."""
    down, attend, up = "DownBlock2D", "AttnDownBlock2D", "UpBlock2D"
    return UNet2DModel(
        sample_size=SIDE, in_channels=3, out_channels=3, layers_per_block=1, block_out_channels=(16, 48, 96, 192, 240),
        down_block_types=(down, down, attend, down, down), up_block_types=(up, up, "AttnUpBlock2D", up, up),
        norm_num_groups=8, attention_head_dim=32,
    )  # fmt: skip


def noise_schedule() -> DDIMScheduler:
    """Cosine, velocity; samples start at the very end of it."""
    return DDIMScheduler(
        beta_schedule="squaredcos_cap_v2", prediction_type="v_prediction", timestep_spacing="trailing",
        clip_sample=True, set_alpha_to_one=True,
    )  # fmt: skip


class TinyRun(Run[TinyConfig]):
    """Network, moving average and optimizer of one run.

    Attributes:
        faces: (N, SIDE, SIDE, 3) uint8.
    """

    learned = ("network", "optimizer")

    def __init__(self, faces: Faces, config: TinyConfig, folder: Path) -> None:
        super().__init__(config, folder)
        self.faces = faces
        self.device = torch.device("cuda" if torch.cuda.is_available() else "cpu")
        self.network = build().to(self.device, memory_format=torch.channels_last)
        self.optimizer = torch.optim.AdamW(self.network.parameters(), config.lr, weight_decay=0.01)
        self.begin_average()
        self.schedule = noise_schedule()
        self.signal = self.schedule.alphas_cumprod.to(self.device)

    def train_step(self) -> float:
        """One update; batch k is a pure function of (seed, k)."""
        rng = np.random.default_rng((self.config.seed, self.step))
        clean = self._batch(rng)
        noise = torch.from_numpy(rng.standard_normal(clean.shape, dtype=np.float32)).to(self.device)
        times = torch.from_numpy(rng.integers(0, self.schedule.config.num_train_timesteps, len(clean))).to(self.device)
        loss = self._loss(clean, noise, times)
        for group in self.optimizer.param_groups:
            group["lr"] = self.config.lr * self.config.rate(self.step)
        self.optimizer.zero_grad(set_to_none=True)
        loss.backward()  # type: ignore[no-untyped-call]
        torch.nn.utils.clip_grad_norm_(self.network.parameters(), 1.0)
        self.optimizer.step()
        self.follow()
        return float(loss.item())

    def _batch(self, rng: np.random.Generator) -> Tensor:
        faces = self.faces[rng.integers(0, len(self.faces), self.config.batch)]
        mirrored = np.where(rng.random(len(faces))[:, None, None, None] < 0.5, faces[:, :, ::-1], faces)
        return as_tensor(mirrored).to(self.device).contiguous(memory_format=torch.channels_last)

    def _loss(self, clean: Tensor, noise: Tensor, times: Tensor) -> Tensor:
        noisy = self.schedule.add_noise(clean, noise, times)
        with mixed_precision(self.device):
            velocity = self.network(noisy, times).sample
        error = (velocity.float() - self.schedule.get_velocity(clean, noise, times)).square().mean(dim=(1, 2, 3))
        snr = self.signal[times] / (1 - self.signal[times])
        loss: Tensor = (error * snr.clamp(max=LARGEST_SNR) / (snr + 1)).mean()
        return loss

    def export(self, folder: Path) -> None:
        """Write the moving average as a diffusers pipeline, float16."""
        network = build()
        network.load_state_dict(self.average)
        DDIMPipeline(network.half(), self.schedule).save_pretrained(folder)


def train_tiny(faces: Faces, config: TinyConfig, folder: Path, log: Callable[[str], object] = print) -> Path:
    """Train, resuming a run found in `folder`.

    Returns:
        The folder of the pipeline, for `DiffusionPipeline.from_pretrained`.
    """
    run, loss = TinyRun(faces, config, folder), Smooth()
    run.resume()
    for _ in run.steps(log, lambda: f"loss {loss}", lambda: run.export(folder / PIPELINE)):
        loss.add(run.train_step())
    return folder / PIPELINE
