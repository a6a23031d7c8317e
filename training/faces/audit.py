"""The leakage linter: could a network learn the classes from anything but the faces, or has it seen the test already?

Five tables of traces, each separated by a classifier that is cross-validated by group (`training.faces.leakage`), and
three checks of the manifest. The tables:

- *container*, how the files are saved: format, quality, subsampling, mode, metadata blocks, aspect. Fails above AUC
  0.60.
- *framing as seen*, of a training example: the face's share of the crop and its place in it, and the crop's width,
  height, aspect and format. Fails above AUC 0.60.
- *pixels as seen*, of a training example: colour, sharpness, spectrum, blockiness, borders, bytes at a fixed quality.
  Fails above AUC 0.75.
- *framing as stored*, *pixels as stored*: the same of the files, before crop and delivery. They warn and never fail.

A training example is what `training.augment.training_face` makes: delivered, cropped, resized. "Metadata after
alignment" is *container* and *framing as seen*. The number of bytes at a fixed quality and the sharpness are functions
of the pixels, so they count as pixel statistics; these may separate the classes a little, as the subjects, the light
and the generators themselves differ, but not as well as a detector would.
"""

from collections import Counter, defaultdict
from collections.abc import Callable, Sequence
from dataclasses import asdict, dataclass, field
from pathlib import Path
from typing import Any

import numpy as np
from tqdm import tqdm

from facecheck.files import sha256_of
from facecheck.model.config import ModelConfig
from training.augment import Delivery, training_face
from training.data import NO_WORLD, WORLD, FaceFile, judged_split, read_manifest, read_rgb, sampling_weights
from training.evaluation.metrics import table
from training.faces import leakage
from training.faces.grouping import SURE_DISTANCE, near_pairs, perceptual_hash, same_value
from training.faces.leakage import Leak, Traces

MAX_METADATA_AUC = 0.60
MAX_PIXEL_AUC = 0.75
LIMITS = {"container": MAX_METADATA_AUC, "framing as seen": MAX_METADATA_AUC, "pixels as seen": MAX_PIXEL_AUC}
WARNINGS = {"framing as stored": MAX_METADATA_AUC, "pixels as stored": MAX_PIXEL_AUC}
MAX_SEEN_SHARE = 0.005
SOURCE_CAP = 0.40
EXAMPLES = 5


@dataclass(frozen=True)
class AuditSettings:
    """What is looked at; `size`, `margin`, `delivery` and `boost` are those of the training it is meant for.

    Attributes:
        faces: size of the sample.
        boost: ("label/source", factor), see `training.data.sampling_weights`.
    """

    faces: int = 1500
    size: int = ModelConfig.input_size
    margin: float = ModelConfig.crop_margin
    delivery: Delivery = field(default_factory=Delivery)
    seed: int = 0
    boost: tuple[tuple[str, float], ...] = ()


GATE = AuditSettings(faces=500)


@dataclass(frozen=True)
class AuditReport:
    """The verdict and what it rests on.

    Attributes:
        leaks: by the name of the table.
        failures, warnings: sentences.
        sources: (label, source, faces, share of the class).
    """

    leaks: dict[str, Leak]
    failures: tuple[str, ...]
    warnings: tuple[str, ...]
    sources: tuple[tuple[str, str, int, float], ...]

    @property
    def passed(self) -> bool:
        """Whether a network may be trained on this."""
        return not self.failures

    def to_dict(self) -> dict[str, Any]:
        """For JSON."""
        return {"passed": self.passed, **asdict(self)}

    def to_markdown(self) -> str:
        """The verdict first, then the tables."""
        lines = ["# Audit: passed" if self.passed else "# Audit: FAILED", ""]
        lines += [f"- **LEAK: {failure}**" for failure in self.failures]
        lines += [f"- warning: {warning}" for warning in self.warnings]
        leaks = []
        for name, leak in self.leaks.items():
            limit = f"{LIMITS[name]:.2f}" if name in LIMITS else "-"
            low, high = leak.interval
            leaks.append((name, f"{leak.auc:.3f}", f"{low:.3f}-{high:.3f}", limit, leak.worst()))
        sources = [(label, name, count, f"{share:.0%}") for label, name, count, share in self.sources]
        lines += ["", table(["traces", "AUC", "95 %", "limit", "most telling features"], leaks)]
        return "\n".join([*lines, "", table(["label", "source", "faces", "share of its class"], sources), ""])


def audit(folder: Path, settings: AuditSettings | None = None, split: str = "train") -> AuditReport:
    """Audit `folder`/manifest.csv: leaks on a sample of one split, duplicates and counts on all of it.

    Raises:
        ValueError: as `training.data.read_manifest`, or there are too few faces to tell.
    """
    rows = read_manifest(folder)
    settings = settings or AuditSettings()
    learned = [row for row in rows if row.split == split]
    leaks = measure_leaks(learned, settings, progress=True)
    failures, warnings = _judged(leaks)
    copies = exact_copies(rows)
    near_failures, near_warnings = _judged_near(rows)
    sources = _sources(learned)
    if judged_split(rows, "") != WORLD:
        warnings.append(NO_WORLD)
    return AuditReport(
        leaks,
        tuple(failures + _judged_copies(rows, copies) + near_failures),
        tuple(warnings + near_warnings + _judged_sources(sources)),
        tuple(sources),
    )


def gate(rows: Sequence[FaceFile], settings: AuditSettings = GATE) -> list[str]:
    """The failures that a minute shows, for `training train`: leaks on 500 faces, exact copies; empty = may train.

    Args:
        rows: all splits; leaks are measured on the train split.

    Raises:
        ValueError: there are too few faces to tell.
    """
    learned = [row for row in rows if row.split == "train"]
    leaks = measure_leaks(learned, settings, stored_too=False)
    return _judged(leaks)[0] + _judged_copies(rows, exact_copies(rows))


def measure_leaks(
    rows: Sequence[FaceFile], settings: AuditSettings, stored_too: bool = True, progress: bool = False
) -> dict[str, Leak]:
    """The tables of the module's docstring, on faces drawn as training draws them, each at most once."""
    chosen = _sample(rows, settings)
    tables: defaultdict[str, list[Traces]] = defaultdict(list)
    for number, row in enumerate(tqdm(chosen, "traces", unit="face", disable=not progress)):
        for name, values in _traces(row, settings, number, stored_too):
            tables[name].append(values)
    targets, groups = [row.target for row in chosen], [row.group for row in chosen]
    return {name: leakage.measure(table, targets, groups, settings.seed) for name, table in tables.items()}


def exact_copies(rows: Sequence[FaceFile]) -> list[tuple[int, int]]:
    """Indices of neighbours with the same bytes; only files of the same length are read."""
    lengths = [row.path.stat().st_size for row in rows]
    common = Counter(lengths)
    digests = [sha256_of(row.path) if common[length] > 1 else "" for row, length in zip(rows, lengths, strict=True)]
    return [(int(a), int(b)) for a, b in same_value(digests)]


def _sample(rows: Sequence[FaceFile], settings: AuditSettings) -> list[FaceFile]:
    weights = sampling_weights(list(rows), dict(settings.boost))
    count = min(settings.faces, len(rows))
    drawn = np.random.default_rng(settings.seed).choice(len(rows), count, replace=False, p=weights)
    return [rows[index] for index in sorted(drawn)]


def _traces(row: FaceFile, settings: AuditSettings, number: int, stored_too: bool) -> list[tuple[str, Traces]]:
    image, look = read_rgb(row.path), (settings.size, settings.margin, settings.delivery)
    draws = [np.random.default_rng((settings.seed, number, step)) for step in range(2)]
    seen = training_face(image, row.box, *look, draws[0])
    found = [
        ("container", leakage.container(row)),
        ("framing as seen", leakage.framing_as_seen(image, row, *look, draws[1])),
        ("pixels as seen", leakage.pixel_statistics(seen)),
    ]
    if stored_too:
        found += [("framing as stored", leakage.framing(row)), ("pixels as stored", leakage.pixel_statistics(image))]
    return found


def _judged(leaks: dict[str, Leak]) -> tuple[list[str], list[str]]:
    def above(limits: dict[str, float], sentence: Callable[[str, Leak, float], str]) -> list[str]:
        return [sentence(n, leaks[n], limit) for n, limit in limits.items() if n in leaks and leaks[n].auc > limit]

    failures = above(
        LIMITS,
        lambda name, leak, limit: f"{name} gives the classes away: AUC {leak.auc:.2f} > {limit:.2f}, by {leak.worst()}",
    )
    warnings = above(
        WARNINGS,
        lambda name, leak, _: (
            f"{name} differ between the classes (AUC {leak.auc:.2f}: {leak.worst()}); "
            "the crop and the delivery take it away only as far as the tables 'as seen' show"
        ),
    )
    return failures, warnings


def _judged_copies(rows: Sequence[FaceFile], copies: Sequence[tuple[int, int]]) -> list[str]:
    failures = []
    for attribute, said in (("label", "are called real in one place and fake in another"), ("split", "cross a split")):
        wrong = [(a, b) for a, b in copies if getattr(rows[a], attribute) != getattr(rows[b], attribute)]
        if wrong:
            failures.append(f"{len(wrong)} exact copies {said}: {_pairs_text(rows, wrong)}")
    return failures


def _judged_near(rows: Sequence[FaceFile]) -> tuple[list[str], list[str]]:
    hashes = [perceptual_hash(read_rgb(row.path)) for row in tqdm(rows, "hashes", unit="face")]
    pairs = near_pairs(hashes, SURE_DISTANCE)
    crossing = [(int(a), int(b)) for a, b in pairs if rows[a].split != rows[b].split]
    if not crossing:
        return [], []
    known = {index for pair in crossing for index in pair if rows[index].split != "train"}
    held_out = max(sum(row.split != "train" for row in rows), 1)
    text = f"{len(crossing)} near-duplicates cross a split ({len(known)} of {held_out} held-out faces): "
    text += _pairs_text(rows, crossing)
    return ([text], []) if len(known) / held_out > MAX_SEEN_SHARE else ([], [text])


def _pairs_text(rows: Sequence[FaceFile], pairs: Sequence[tuple[int, int]]) -> str:
    def named(row: FaceFile) -> str:
        return f"{row.stratum}/{row.path.name} ({row.split})"

    return "; ".join(f"{named(rows[a])} = {named(rows[b])}" for a, b in pairs[:EXAMPLES])


def _sources(rows: Sequence[FaceFile]) -> list[tuple[str, str, int, float]]:
    labels, counts = Counter(row.label for row in rows), Counter((row.label, row.source) for row in rows)
    return [(label, name, count, count / labels[label]) for (label, name), count in sorted(counts.items())]


def _judged_sources(sources: Sequence[tuple[str, str, int, float]]) -> list[str]:
    warnings = [
        f"{label}/{name} is {share:.0%} of the {label} faces; cap it, or the network learns this source"
        for label, name, _, share in sources
        if share > SOURCE_CAP
    ]
    labels = defaultdict(set)
    for label, name, _, _ in sources:
        labels[name].add(label)
    mixed = sorted(name for name, of in labels.items() if len(of) > 1)
    pure = f"{len(labels) - len(mixed)} of {len(labels)} sources hold one class only"
    only_mixed = f"; both classes: {', '.join(mixed)}" if mixed else ""
    return (
        [*warnings, f"{pure}: whatever marks such a source marks its class{only_mixed}"]
        if len(mixed) < len(labels)
        else warnings
    )
