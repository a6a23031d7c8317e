"""A model in int8: NAME.int8.xml and .bin beside the weights, and NAME.int8.json, which says what is lost by it.

`python -m training quantize` makes all three. They belong to one set of weights, by its sha256.
"""

import json
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any, Self

from facecheck.engines.conversion import intact
from facecheck.engines.runtime import core
from facecheck.errors import ModelError

MAX_AUC_DROP, MIN_AGREEMENT, FEWEST_PICTURES = 0.002, 0.995, 1000
"""What int8 may lose to be taken unasked: less than half of the AUC's 95 % interval on the test split (0.003), and one
answer in two hundred, which takes a thousand pictures to be seen."""
MARGIN = 1.0
"""Logits. Faces that int8 puts closer than this to a border between two verdicts are looked at again in float32: of
5,452 test faces in three tiers that were 7 %, and afterwards all had the verdict of float32; at 0.5, 99.9 % had it, and
98.1 % without a second look."""
REMEDY = "run python -m training quantize WEIGHTS DATA, or use precision='auto'"


@dataclass(frozen=True)
class Loss:
    """f32 and int8 on the same pictures.

    Attributes:
        tier: how the pictures were delivered, see docs/evaluation.md.
        agreement: share of the pictures with the same verdict, after second looks.
    """

    tier: str
    pictures: int
    auc_f32: float
    auc_int8: float
    agreement: float

    @property
    def drop(self) -> float:
        """Of the AUC; negative where int8 is better."""
        return self.auc_f32 - self.auc_int8


@dataclass(frozen=True)
class Quantised:
    """What NAME.int8.json holds.

    Attributes:
        weights: sha256 of the .safetensors that int8 was made of.
        files: sha256 of the .xml and the .bin, by name.
        calibration_faces: that the ranges of the activations were measured on.
        split: of the data that the losses were measured on.
    """

    weights: str
    files: dict[str, str]
    calibration_faces: int
    losses: tuple[Loss, ...]
    split: str = "test"

    @property
    def is_faithful(self) -> bool:
        """Whether int8 may stand in for f32 unasked."""
        return bool(self.losses) and all(
            loss.drop <= MAX_AUC_DROP and loss.agreement >= MIN_AGREEMENT and loss.pictures >= FEWEST_PICTURES
            for loss in self.losses
        )

    def to_json(self) -> str:
        """As JSON text."""
        return json.dumps(asdict(self), indent=2) + "\n"

    @classmethod
    def from_json(cls, text: str) -> Self:
        """What `to_json` wrote.

        Raises:
            ValueError: it is something else.
        """
        try:
            values: dict[str, Any] = json.loads(text)
            losses = tuple(Loss(**loss) for loss in values.pop("losses"))
            return cls(losses=losses, **values)
        except (TypeError, KeyError, AttributeError, RecursionError) as error:
            raise ValueError(f"not a table of int8 losses: {error!r}") from error


def graph_beside(weights: Path) -> Path:
    """NAME.int8.xml; its .bin and its table have the same name with another ending."""
    return weights.with_suffix(".int8.xml")


def read_quantised(weights: Path, sha256: str) -> Quantised | None:
    """The table beside the weights; None if there is none, or one of other weights.

    Raises:
        ModelError: it cannot be read.
    """
    path = graph_beside(weights).with_suffix(".json")
    if not path.is_file():
        return None
    try:
        found = Quantised.from_json(path.read_text(encoding="utf-8"))
    except (OSError, ValueError) as error:
        raise ModelError(f"{path}: {error}; {REMEDY}, or remove it") from error
    return found if found.weights == sha256 else None


def load_quantised(weights: Path, found: Quantised | None) -> Any:
    """The `openvino.Model` in int8: (N, 3, S, S) float32, normalised -> (N, 1) logits.

    Raises:
        ModelError: there is none for these weights, or it is damaged.
    """
    graph = graph_beside(weights)
    if found is None:
        raise ModelError(f"no int8 model of these weights at {graph}; {REMEDY}")
    try:
        if set(found.files) != {graph.name, graph.with_suffix(".bin").name} or not intact(graph.parent, found.files):
            raise ValueError("its sha256 is another")
        return core().read_model(graph)
    except (OSError, ValueError, RuntimeError) as error:
        raise ModelError(f"{graph} is damaged, or half written ({error}); {REMEDY}") from error
