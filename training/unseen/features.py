"""Frozen features: what a backbone that never saw a fake makes of a face, pooled to one vector.

A linear classifier on them takes seconds to fit where fine-tuning takes an hour, so that questions with many answers
(which generator is hard when unseen, which augmentation helps) can be asked on two processor cores.
"""

import hashlib
import io
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import numpy.typing as npt
import torch
from torch import Tensor, nn
from torch.utils.data import DataLoader, Dataset
from tqdm import tqdm

from facecheck.files import write_atomically
from facecheck.model.architectures import IMAGENET_MEAN, IMAGENET_STD, build
from training.augment import Delivery, training_face
from training.autoencoders import load_autoencoder
from training.data import FaceFile, quiet_worker, read_rgb
from training.fitting.monitoring import arrived
from training.fitting.trainer import load_backbone
from training.pseudo import SELF_BLEND, decoded_copy, self_blended

Features = npt.NDArray[np.float16]


@dataclass(frozen=True)
class Extractor:
    """A frozen backbone and the stages whose outputs are pooled.

    Attributes:
        stages: names of the modules; mean and standard deviation over the places of each channel are the features
            (the standard deviation is what texture leaves, as in the style statistics of Gatys et al. 2016).
        mean, std: of the input, for pixels in [0, 1].
    """

    network: nn.Module
    stages: tuple[str, ...]
    input_size: int
    mean: tuple[float, float, float]
    std: tuple[float, float, float]
    name: str

    @classmethod
    def resnet50(cls, backbone: Path) -> "Extractor":
        """ImageNet ResNet50, up to the end of layer3."""
        network = build("resnet50")
        load_backbone(network, backbone)
        network.layer4, network.fc = nn.Identity(), nn.Identity()
        return cls(network.eval(), ("layer1", "layer2", "layer3"), 224, IMAGENET_MEAN, IMAGENET_STD, backbone.stem)

    @classmethod
    def inception_resnet(cls, backbone: Path) -> "Extractor":
        """The middle of InceptionResnetV1, which was trained to tell people apart (VGGFace2)."""
        from facenet_pytorch import InceptionResnetV1
        from safetensors.torch import load_file

        network = InceptionResnetV1(classify=False)
        network.load_state_dict({name: tensor.float() if tensor.is_floating_point() else tensor
                                 for name, tensor in load_file(backbone).items()})  # fmt: skip
        half = (0.5, 0.5, 0.5)
        stages = ("conv2d_2b", "conv2d_4b", "repeat_1", "mixed_6a", "repeat_2")
        return cls(network.eval(), stages, 224, half, half, backbone.stem)

    @torch.inference_mode()
    def __call__(self, faces: Tensor) -> Features:
        """(N, 3, S, S) uint8 faces -> (N, D) float16 features."""
        mean, std = (torch.tensor(v).view(1, 3, 1, 1) * 255 for v in (self.mean, self.std))
        pooled: list[Tensor] = []

        def keep(_: nn.Module, __: tuple[Tensor, ...], output: Tensor) -> None:
            places = output.float().flatten(2)
            pooled.extend((places.mean(dim=2), places.std(dim=2)))

        hooks = [self.network.get_submodule(stage).register_forward_hook(keep) for stage in self.stages]
        try:
            with torch.autocast("cpu", dtype=torch.bfloat16):
                self.network(((faces.float() - mean) / std).contiguous(memory_format=torch.channels_last))
        finally:
            for hook in hooks:
                hook.remove()
        return torch.cat(pooled, dim=1).half().numpy()


@dataclass(frozen=True)
class View:
    """How the faces are shown: as training sees them, or (without `delivery`) as they arrive through a tier.

    Attributes:
        pseudo: turn every face into a pseudo-fake of this kind first, see `training.pseudo`.
        autoencoder: weights for that kind.
    """

    delivery: Delivery | None = None
    tier: str = "web"
    seed: int = 0
    pseudo: str = ""
    autoencoder: Path | None = None


class _Faces(Dataset[Tensor]):
    """Every row once, in a view."""

    def __init__(self, rows: Sequence[FaceFile], size: int, margin: float, view: View) -> None:
        self.rows, self.size, self.margin, self.view = rows, size, margin, view
        self.autoencoder = load_autoencoder(view.autoencoder) if view.autoencoder else None

    def __len__(self) -> int:
        return len(self.rows)

    def __getitem__(self, index: int) -> Tensor:
        row, view = self.rows[index], self.view
        if view.delivery is None:
            face = arrived(row, view.tier, self.size, self.margin)
        else:
            rng = np.random.default_rng((view.seed, index))
            picture = read_rgb(row.path)
            if view.pseudo == SELF_BLEND:
                picture = self_blended(picture, np.array(row.box), rng)
            elif self.autoencoder is not None:
                picture = decoded_copy(picture, np.array(row.box), self.autoencoder.round_trip, rng)
            face = training_face(picture, row.box, self.size, self.margin, view.delivery, rng)
        return torch.from_numpy(np.ascontiguousarray(face.transpose(2, 0, 1)))


def extract(
    extractor: Extractor, rows: Sequence[FaceFile], view: View, cache: Path, margin: float = 1.3, workers: int = 1
) -> Features:
    """(N, D) features of all rows in a view, kept in the folder `cache` for the next time."""
    how = (extractor.name, extractor.stages, extractor.input_size, margin, view)
    what = [(row.path.name, row.box, row.split) for row in rows]
    kept = cache / f"{hashlib.sha256(repr((how, what)).encode()).hexdigest()[:24]}.npy"
    if kept.exists():
        return np.asarray(np.load(kept, allow_pickle=False), dtype=np.float16)
    faces = _Faces(rows, extractor.input_size, margin, view)
    loader = DataLoader(faces, 32, num_workers=workers, worker_init_fn=quiet_worker)
    batches = tqdm(loader, desc=f"{extractor.name}, {'training' if view.delivery else view.tier}", disable=None)
    features = np.concatenate([extractor(batch) for batch in batches])
    cache.mkdir(parents=True, exist_ok=True)
    stream = io.BytesIO()
    np.save(stream, features)
    write_atomically(kept, stream.getvalue())
    return features
