"""Faces and a checker for the clips of `tests.clips`."""

import numpy as np
import pytest

from facecheck.checker import FaceChecker
from facecheck.model.architectures import ARCHITECTURES, Architecture
from facecheck.model.checkpoint import Model
from facecheck.model.config import Decision, ModelConfig
from tests.clips import Redness, head


@pytest.fixture(scope="session")
def woman(grace: np.ndarray) -> np.ndarray:
    return head(grace)


@pytest.fixture(scope="session")
def astronaut_head(astronaut: np.ndarray) -> np.ndarray:
    return head(astronaut[:, 60:400])


@pytest.fixture(scope="session")
def red_model() -> Model:
    ARCHITECTURES["redness"] = Architecture(Redness, head="fc", input_size=64)
    decision = Decision(uncertain_from=0.4, uncertain_to=0.6)
    return Model(Redness().eval(), ModelConfig("redness", "0", "redness", input_size=64, decision=decision))


@pytest.fixture(scope="session")
def red_checker(red_model: Model, detector) -> FaceChecker:
    return FaceChecker(red_model, device="cpu", detector=detector, engine="torch", precision="f32")
