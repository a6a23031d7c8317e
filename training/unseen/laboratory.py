"""Heads on frozen features, fitted and judged as an experiment says."""

from collections.abc import Mapping, Sequence
from functools import cache
from pathlib import Path

import numpy as np

from training.augment import Delivery
from training.backbones.extractor import KINDS, Features, columns
from training.backbones.features import View, extract
from training.data import WORLD, FaceFile, copy_path, sampling_weights
from training.evaluation.metrics import Floats
from training.unseen.experiments import PAIRS, Experiment, Part
from training.unseen.learned import kept, learning, modern
from training.unseen.probe import Examples, Head


class Laboratory:
    """Faces and backbones; features are extracted when the first experiment asks for them, and kept.

    Args:
        rows: all splits. backbones: kind -> safetensors. cache_folder: of the features.
        tier: how the faces arrive that are judged. copies: a folder of `training.pairs`.
    """

    def __init__(
        self, rows: Sequence[FaceFile], backbones: Mapping[str, Path], cache_folder: Path, tier: str = "web",
        copies: Path | None = None,
    ) -> None:  # fmt: skip
        self.rows, self.learning = list(rows), learning(rows)
        self.world, self.test = ([row for row in rows if row.split == split] for split in (WORLD, "test"))
        self.backbones, self.cache_folder, self.tier, self.copies = backbones, cache_folder, tier, copies
        self._extractor = cache(lambda kind: KINDS[kind](self.backbones[kind]))

    def learned(self, experiment: Experiment) -> list[FaceFile]:
        """The rows that a head is fitted to."""
        chosen = kept(
            self.learning, experiment.without, experiment.files, experiment.photograph_sources, experiment.fake_sources
        )
        return [row for row, stays in zip(self.learning, chosen, strict=True) if stays]

    def head(self, experiment: Experiment) -> Head:
        """Fitted to the learning splits; of the others neither labels nor features are looked at.

        Raises:
            ValueError: a class is absent from what it learns from, or a part names no such features.
        """
        rows, parts = self.learned(experiment), experiment.parts
        weights = sampling_weights(rows, _boost(rows, experiment.modern), experiment.power)
        views = [self._arrived(parts, rows)] if experiment.arrived else []
        delivered = [View(Delivery(), seed=seed) for seed in range(experiment.deliveries)]
        views += [self._features(parts, self.learning, view, rows) for view in delivered]
        examples = Examples.of(rows, weights, views)
        if experiment.pseudo:
            examples = examples.with_copies(self._pseudo_fakes(experiment, rows), experiment.pseudo_share)
        return examples.head(experiment.strength)

    def logits(self, experiment: Experiment, head: Head, rows: Sequence[FaceFile]) -> Floats:
        """(N,) of rows as they arrive, positive = fake."""
        return head.logits(self._arrived(experiment.parts, rows))

    def _arrived(self, parts: Sequence[Part], rows: Sequence[FaceFile]) -> Features:
        return self._features(parts, self.rows, View(tier=self.tier), rows)

    def _pseudo_fakes(self, experiment: Experiment, rows: Sequence[FaceFile]) -> Features:
        """(N, D): what can be made of the photographs among `rows`, for copies of those that have one.

        Raises:
            ValueError: there are no copies.
        """
        photographs, view = (
            [row for row in self.learning if row.target == 0],
            View(Delivery(), pseudo=experiment.pseudo),
        )
        if experiment.pseudo == PAIRS:
            copies = self.copies
            photographs = [row for row in photographs if copies and copy_path(copies, row).is_file()]
            view = View(Delivery(), copies=copies)
        if not photographs:
            raise ValueError(
                f"{experiment.name}: there are no {experiment.pseudo}; `python -m training pairs` makes them"
            )
        learned = {row.path for row in rows}
        chosen = [row for row in photographs if row.path in learned]
        return self._features(experiment.parts, photographs, view, chosen)

    def _features(
        self, parts: Sequence[Part], shown: Sequence[FaceFile], view: View, rows: Sequence[FaceFile]
    ) -> Features:
        """(N, D) of `rows`, which are among those `shown` in the view, the columns of all parts side by side."""
        places = {row.path: place for place, row in enumerate(shown)}
        wanted = np.array([places[row.path] for row in rows], dtype=np.intp)
        found = []
        for part in parts:
            extractor = self._extractor(part.backbone)
            chosen = columns(extractor.blocks, part.layers, part.statistics)
            found.append(extract(extractor, shown, view, self.cache_folder)[np.ix_(wanted, chosen)])
        return np.concatenate(found, axis=1)


def _boost(rows: Sequence[FaceFile], factor: float) -> dict[str, float]:
    """The factor for each source that has nothing but fakes of modern generators."""
    names = {f"{row.label}/{row.source}" for row in rows}
    return dict.fromkeys(names - {f"{row.label}/{row.source}" for row in rows if not modern(row)}, factor)
