"""Weights -> int8 for OpenVINO, and how much is lost by it."""

import copy
import functools
import tempfile
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt

from facecheck import crop, image
from facecheck.checker import FaceChecker
from facecheck.engines.classifier import Classifier, converted_network, exact_engine
from facecheck.engines.conversion import save_network
from facecheck.engines.openvino import OpenVinoEngine
from facecheck.engines.quantised import (
    FEWEST_PICTURES,
    MARGIN,
    MAX_AUC_DROP,
    MIN_AGREEMENT,
    Loss,
    Quantised,
    graph_beside,
)
from facecheck.engines.runtime import core, no_telemetry
from facecheck.files import write_atomically
from facecheck.model import Stored, read_model
from facecheck.model.config import ModelConfig
from training.augment import delivered
from training.data import FaceFile, judged_split, sources_of
from training.evaluation.corruptions import stratified
from training.evaluation.metrics import table
from training.evaluation.scores import Scores, score_tiers
from training.evaluation.summary import report_of

CALIBRATED, MEASURED = ("clean", "web"), ("clean", "web", "hard")
"""Tiers: half of the calibration comes as each of the first, and every face of the table as each of the second."""


def quantize(weights: Path, rows: Sequence[FaceFile], root: Path, faces: int = 300) -> Quantised:
    """Write NAME.int8.xml, .bin and .json beside the weights; a reader finds the old ones, the new ones or none.

    Args:
        rows: of the manifest in `root`; those of the split train calibrate, those of world measure, or of test where
            there is no world.
        faces: for the calibration, half of each class, evenly over its sources.

    Raises:
        ModelError: the weights. ValueError: a split lacks a class. DeviceError: OpenVINO is not installed.
    """
    stored = read_model(weights)
    judged = judged_split(rows, "test")
    splits = {split: [row for row in rows if row.split == split] for split in ("train", judged)}
    for split, mine in splits.items():
        if {row.label for row in mine} != {"real", "fake"}:
            raise ValueError(f"split {split!r} of {root} has {len(mine)} files; both classes are needed")
    examples = calibration_faces(stratified(splits["train"], faces), stored.config)
    graph = graph_beside(stored.path)
    with tempfile.TemporaryDirectory(prefix=".int8-", dir=graph.parent) as partial:
        made = Path(partial) / graph.name
        files = save_network(_quantized(stored, examples), made)
        losses = measure_losses(stored, core().read_model(made), splits[judged], root)
        found = Quantised(stored.config.sha256, files, len(examples), losses, judged)
        # The table goes first and comes last: without it the other two are not looked at.
        graph.with_suffix(".json").unlink(missing_ok=True)
        for name in files:
            (Path(partial) / name).replace(graph.with_name(name))
    write_atomically(graph.with_suffix(".json"), found.to_json().encode())
    return found


def calibration_faces(rows: Sequence[FaceFile], config: ModelConfig) -> npt.NDArray[np.uint8]:
    """(N, S, S, 3) uint8 RGB: the face of every row; the tiers of `CALIBRATED` take turns in an order by chance."""
    cut = []
    for row, turn in zip(rows, np.random.default_rng(0).permutation(len(rows)), strict=True):
        stored = image.load(row.path)
        picture = image.load(delivered(row.path.read_bytes(), CALIBRATED[turn % len(CALIBRATED)]))
        box = np.array(row.box) * (picture.shape[1] / stored.shape[1])
        cut.append(crop.face(picture, box, config.input_size, config.crop_margin))
    return np.stack(cut)


def measure_losses(stored: Stored, network: Any, rows: Sequence[FaceFile], root: Path) -> tuple[Loss, ...]:
    """f32 and int8 over the whole pipeline, from the bytes of each file to its verdict, in the tiers of `MEASURED`."""
    reference = FaceChecker(stored.path, device="cpu", engine="openvino", precision="f32")
    small = copy.copy(reference)  # The same detector finds the same faces.
    exact = functools.partial(exact_engine, stored)
    small.classifier = Classifier(OpenVinoEngine(network, stored.config, "int8"), margin=MARGIN, exact=exact)
    wanted, found = (score_tiers(checker, rows, root, MEASURED).by_tier() for checker in (reference, small))
    return tuple(_loss(tier, wanted[tier], found[tier]) for tier in MEASURED)


def losses_markdown(found: Quantised) -> str:
    """The table, and what follows from it."""
    rows = [
        (each.tier, each.pictures, f"{each.auc_f32:.4f}", f"{each.auc_int8:.4f}", f"{each.drop:.4f}",
         f"{each.agreement:.2%}")
        for each in found.losses
    ]  # fmt: skip
    losses = table(["tier", "pictures", "AUC f32", "AUC int8", "drop", "same verdict"], rows)
    taken = "auto takes int8" if found.is_faithful else "auto does not take int8, --precision int8 does"
    limits = (
        f"a drop of at most {MAX_AUC_DROP} and {MIN_AGREEMENT:.1%} of {FEWEST_PICTURES} or more verdicts in each tier"
    )
    basis = f"{sources_of(found.split)}, split {found.split}. Calibrated on {found.calibration_faces} faces."
    return f"{losses}\n\n{basis} {taken} (it asks for {limits})."


def _loss(tier: str, wanted: Scores, found: Scores) -> Loss:
    agreement = float(np.mean(wanted.verdict == found.verdict))
    return Loss(tier, len(wanted.file), report_of(wanted).auc, report_of(found).auc, agreement)


def _quantized(stored: Stored, faces: npt.NDArray[np.uint8]) -> Any:
    """The `openvino.Model` in int8 (Jacob et al. 2018), by NNCF.

    Weights symmetric, activations asymmetric. Range estimators of means clip large logits, and the slower correction of
    biases made agreement worse (96.4 % in place of 98.1 %).
    """
    network = converted_network(stored)
    with no_telemetry():
        import nncf
    mean, std = (np.array(values, np.float32) * 255 for values in (stored.config.mean, stored.config.std))
    examples = nncf.Dataset([((face - mean) / std).transpose(2, 0, 1)[None] for face in faces])
    return nncf.quantize(network, examples, preset=nncf.QuantizationPreset.MIXED, subset_size=len(faces))
