"""Pseudo-fakes differ from their photograph where they should, and training counts them as fakes."""

from pathlib import Path

import cv2
import numpy as np
import pytest
from skimage.metrics import peak_signal_noise_ratio

from training.augment import Delivery
from training.data import FaceFile, FaceStream
from training.fitting.autoencoder import train_upsampler
from training.pseudo import AUTOENCODER, SELF_BLEND, load_autoencoder, self_blended

BOX = np.array([180.0, 60.0, 330.0, 250.0])


@pytest.fixture(scope="module")
def photographs(tmp_path_factory, astronaut) -> list[FaceFile]:
    path = tmp_path_factory.mktemp("photographs") / "astronaut.png"
    cv2.imwrite(str(path), cv2.resize(astronaut[:, :, ::-1], (128, 128), interpolation=cv2.INTER_AREA))
    return [
        FaceFile(path, "real", "s", "train", "a", tuple(BOX / 4)),
        FaceFile(path, "fake", "t", "train", "b", tuple(BOX / 4)),
    ]


@pytest.fixture(scope="module")
def autoencoder(photographs, tmp_path_factory) -> Path:
    path = tmp_path_factory.mktemp("autoencoder") / "new" / "upsampler.safetensors"
    first = train_upsampler(photographs, path, steps=2, batch=4)
    assert train_upsampler(photographs, path, steps=30, batch=4) < first / 2
    return path


def test_self_blending_changes_the_face_and_leaves_the_frame(astronaut):
    blended = self_blended(astronaut, BOX, np.random.default_rng(1))
    change = np.abs(blended.astype(int) - astronaut).mean(axis=2)
    assert change[60:250, 180:330].mean() > 2
    assert change[400:, :].max() == 0
    np.testing.assert_array_equal(blended, self_blended(astronaut, BOX, np.random.default_rng(1)))


def test_the_round_trip_keeps_the_picture_and_leaves_a_trace(autoencoder, astronaut):
    picture = astronaut[:203, :150]
    restored = load_autoencoder(autoencoder).round_trip(picture)
    assert restored.shape == picture.shape
    assert restored.dtype == np.uint8
    assert 15 < peak_signal_noise_ratio(picture, restored) < 45


@pytest.mark.parametrize("kind", [SELF_BLEND, AUTOENCODER])
def test_the_stream_makes_fakes_of_the_asked_share_of_the_photographs(photographs, request, kind):
    path = request.getfixturevalue("autoencoder") if kind == AUTOENCODER else None
    made = FaceStream(photographs, [32] * 25, 4, 1.3, Delivery(), 0, pseudo={kind: 0.5}, autoencoder=path)
    plain = FaceStream(photographs, [32] * 25, 4, 1.3, Delivery(), 0)
    pairs = [(made[k][1], plain[k][1]) for k in range(len(plain))]
    assert all(pair[0] >= pair[1] for pair in pairs)
    disguised = [new for new, old in pairs if old == 0]
    assert np.mean(disguised) == pytest.approx(0.5, abs=0.15)


def test_unknown_kinds_and_missing_weights_are_refused(photographs):
    with pytest.raises(ValueError, match="no such pseudo-fakes"):
        FaceStream(photographs, [32], 2, 1.3, Delivery(), 0, pseudo={"magic": 0.1})
    with pytest.raises(ValueError, match="need the weights"):
        FaceStream(photographs, [32], 2, 1.3, Delivery(), 0, pseudo={AUTOENCODER: 0.1})
