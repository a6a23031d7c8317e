"""The model that ships, on real pictures."""

import io

import numpy as np
import pytest
import torch
from PIL import Image

from facecheck.checker import FaceChecker


@pytest.mark.skipif(not torch.cuda.is_available(), reason="needs a CUDA device")
@pytest.mark.parametrize("precision", ["auto", "bf16", "f16"])
def test_cuda_agrees_with_the_cpu(default_checker, grace, precision):
    other = FaceChecker(device="cuda", precision=precision).predict(grace)
    assert other.p_fake == pytest.approx(default_checker.predict(grace).p_fake, abs=0.01)


def test_the_default_model_accuses_no_public_domain_photograph(default_checker, grace_path, astronaut):
    answers = [default_checker.predict(photo) for photo in (grace_path, astronaut)]
    assert answers[0].verdict == "real"
    assert answers[1].verdict in ("real", "uncertain")
    assert all(answer.p_fake < 0.4 for answer in answers)


def test_the_default_model_survives_a_messenger(default_checker, grace):
    stream = io.BytesIO()
    small = Image.fromarray(grace)
    small.thumbnail((400, 400))
    small.save(stream, "JPEG", quality=55)
    assert default_checker.predict(stream.getvalue()).verdict == "real"


def test_the_default_model_tells_whole_pictures_apart(default_checker, shared_photos):
    named = [path for path in shared_photos if path.name.startswith(("real-", "fake-"))]
    results = default_checker.predict(named)
    right = [str(result.verdict) == path.name[:4] for path, result in zip(named, results, strict=True)]
    answered = [str(result.verdict) in ("real", "fake") for result in results]
    assert np.mean(answered) > 0.75
    assert np.sum(right) / np.sum(answered) > 0.85
