"""Features are pooled outputs of layers, the same however often a run was killed, and columns have names."""

from pathlib import Path

import cv2
import numpy as np
import pytest
import torch
from safetensors.torch import save_file
from torch import nn

from facecheck.model.architectures import build
from training.augment import Delivery
from training.data import FaceFile
from training.pseudo import SELF_BLEND
from training.unseen import features
from training.unseen.extractor import CLASS, KINDS, MEAN, STD, Extractor, columns
from training.unseen.features import Faces, View, extract


class Tokens(nn.Module):
    """(N, 3, S, S) -> (N, 1 + S*S, 3), a class token of ones first."""

    def forward(self, pixels: torch.Tensor) -> torch.Tensor:
        patches = pixels.flatten(2).transpose(1, 2)
        return torch.cat([torch.ones_like(patches[:, :1]), patches], dim=1)


def tiny(digest="1") -> Extractor:
    torch.manual_seed(0)
    network = nn.Sequential(nn.Identity(), nn.Conv2d(3, 4, 3, bias=False))
    return Extractor("tiny", network, ("0", "1"), digest, 16, (0.5,) * 3, (0.5,) * 3)


@pytest.fixture
def rows(tmp_path, astronaut) -> list[FaceFile]:
    """Seventy small pictures: three batches."""
    made = []
    for i in range(70):
        path = tmp_path / f"{i}.png"
        cv2.imwrite(str(path), np.roll(astronaut[::8, ::8, ::-1], i, axis=1))
        made.append(FaceFile(path, "real", "s", "train", str(i), (20.0, 8.0, 42.0, 32.0)))
    return made


def test_maps_give_mean_and_deviation_of_every_channel():
    faces = torch.randint(0, 256, (2, 3, 16, 16), dtype=torch.uint8)
    found, pixels = torch.from_numpy(tiny()(faces)).float(), faces.float() / 127.5 - 1
    assert found.shape == (2, 6 + 8)
    torch.testing.assert_close(found[:, :3], pixels.mean(dim=(2, 3)), atol=1e-2, rtol=1e-2)
    torch.testing.assert_close(found[:, 3:6], pixels.std(dim=(2, 3)), atol=1e-2, rtol=1e-2)


def test_tokens_give_the_class_token_and_the_patches():
    extractor = Extractor("t", nn.Sequential(Tokens()), ("0",), "", 16, (0.5,) * 3, (0.5,) * 3)
    faces = torch.randint(0, 256, (2, 3, 16, 16), dtype=torch.uint8)
    found, pixels = torch.from_numpy(extractor(faces)).float(), faces.float() / 127.5 - 1
    assert [block.statistic for block in extractor.blocks] == [CLASS, MEAN, STD]
    assert (found[:, :3] == 1).all()
    torch.testing.assert_close(found[:, 3:6], pixels.mean(dim=(2, 3)), atol=1e-2, rtol=1e-2)
    torch.testing.assert_close(found[:, 6:], pixels.std(dim=(2, 3)), atol=1e-2, rtol=1e-2)


def test_columns_are_chosen_by_name():
    blocks = tiny().blocks
    assert columns(blocks).tolist() == list(range(14))
    assert columns(blocks, ("1",)).tolist() == list(range(6, 14))
    assert columns(blocks, (), (STD,)).tolist() == [3, 4, 5, 10, 11, 12, 13]
    assert columns(blocks, ("0",), (MEAN,)).tolist() == [0, 1, 2]
    with pytest.raises(ValueError, match=r"no features named \['layer9'\]; there are \['0', '1'\]"):
        columns(blocks, ("layer9",))


def test_features_are_kept_for_the_same_faces_view_and_weights(rows, tmp_path, monkeypatch):
    cache, delivered = tmp_path / "cache", View(Delivery())
    first = extract(tiny(), rows, View(), cache, workers=0)
    assert (first.shape, first.dtype) == ((70, 14), np.float16)
    assert isinstance(first, np.memmap)
    others = [
        extract(tiny(), rows, delivered, cache, workers=0),
        extract(tiny("2"), rows, View(), cache, workers=0),
        extract(tiny(), rows[:40], View(), cache, workers=0),
        extract(tiny(), rows, View(tier="hard"), cache, workers=0),
    ]
    assert np.abs(others[0].astype(float) - first).max() > 0
    assert len(list(cache.iterdir())) == 5
    monkeypatch.setattr(features, "_fill", None)
    np.testing.assert_array_equal(extract(tiny(), rows, View(), cache, workers=0), first)
    np.testing.assert_array_equal(extract(tiny(), rows, delivered, cache, workers=0), others[0])


@pytest.mark.parametrize("torn", [0, 5, -7])
def test_a_killed_extraction_goes_on_where_it_was(rows, tmp_path, torn):
    whole = extract(tiny(), rows, View(), tmp_path / "whole", workers=0)

    class Dying(Extractor):
        left = 2

        def __call__(self, faces):
            if not self.left:
                raise KeyboardInterrupt
            self.left -= 1
            return super().__call__(faces)

    dying = tiny()
    dying.__class__ = Dying
    with pytest.raises(KeyboardInterrupt):
        extract(dying, rows, View(), tmp_path / "cut", workers=0)
    (partial,) = (tmp_path / "cut").iterdir()
    data = partial.read_bytes()
    partial.write_bytes(
        data[:50] if torn == 5 else data[:torn] if torn else data
    )  # In the header, in a row, after one.
    asked = []

    class Counting(Extractor):
        def __call__(self, faces):
            asked.append(len(faces))
            return super().__call__(faces)

    counting = tiny()
    counting.__class__ = Counting
    np.testing.assert_array_equal(extract(counting, rows, View(), tmp_path / "cut", workers=0), whole)
    assert sum(asked) == {0: 6, -7: 7, 5: 70}[torn]
    assert [path.suffix for path in (tmp_path / "cut").iterdir()] == [".npy"]


def test_a_file_is_delivered_alike_whatever_stands_beside_it_and_as_what_is_made_of_it(rows, tmp_path, monkeypatch):
    def shown(rows, **view):
        return Faces(rows, 32, 1.3, View(Delivery(), **view))[-1]

    last = shown(rows)
    assert torch.equal(last, Faces(rows[-1:], 32, 1.3, View(Delivery()))[0])
    assert not torch.equal(last, shown(rows, seed=1))
    assert not torch.equal(last, shown(rows, pseudo=SELF_BLEND))
    monkeypatch.setattr(features, "self_blended", lambda picture, box, rng: picture)
    assert torch.equal(last, shown(rows, pseudo=SELF_BLEND))
    copies = tmp_path / "copies" / "s"
    copies.mkdir(parents=True)
    cv2.imwrite(str(copies / "69.jpg"), np.zeros((64, 64, 3), np.uint8))
    assert not torch.equal(last, shown(rows, copies=tmp_path / "copies"))


def test_an_incomplete_resnet50_is_refused(tmp_path):
    state = build("resnet50").state_dict()
    save_file(
        {name: tensor for name, tensor in state.items() if not name.startswith("layer4")}, tmp_path / "r.safetensors"
    )
    with pytest.raises(ValueError, match=r"is no complete ResNet50: \d+ tensors are missing, such as layer4"):
        KINDS["resnet50"](tmp_path / "r.safetensors")


def test_resnet50_has_the_layers_that_experiments_name(tmp_path):
    save_file({n: t for n, t in build("resnet50").state_dict().items() if n[:2] != "fc"}, tmp_path / "r.safetensors")
    extractor = KINDS["resnet50"](Path(tmp_path / "r.safetensors"))
    assert extractor.width == 2 * (256 + 512 + 1024 + 2048)
    assert [block.layer for block in extractor.blocks[::2]] == ["layer1", "layer2", "layer3", "layer4"]
