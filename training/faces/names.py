"""What the names of folders say about the pictures below them: real or fake, which split, which source."""

import re
from collections.abc import Mapping
from itertools import pairwise
from pathlib import Path

Words = Mapping[str, frozenset[str]]

STRONG: Words = {
    "real": frozenset({"real", "reals", "authentic", "genuine", "pristine", "nature"}),
    "fake": frozenset({
        "fake", "fakes", "generated", "ai", "aigenerated", "synthetic", "synthesized", "artificial", "gan", "deepfake",
        "deepfakes",
    }),
}  # fmt: skip
# These name a class only beside a folder that surely names one: "photos" may hold anything.
WEAK: Words = {
    "real": frozenset({"photo", "photos", "photograph", "photographs", "human", "humans", "original", "originals"})
}
UNDECIDED = frozenset({"or", "vs", "versus", "and", "not"})
SPLITS = {
    "train": "train", "training": "train", "valid": "val", "validation": "val", "val": "val", "dev": "val",
    "test": "test", "testing": "test", "eval": "test", "world": "world",
}  # fmt: skip


def label_in(text: str, words: Words = STRONG) -> str:
    """Real, fake, or "" where a name says neither or both: "AI-Generated Images" is fake, "real-vs-fake" nothing."""
    tokens = set(re.findall(r"[a-z]+", text.lower()))
    if tokens & UNDECIDED:
        return ""
    named = [label for label, synonyms in words.items() if tokens & synonyms]
    return named[0] if len(named) == 1 else ""


def folders_between(path: Path, root: Path) -> tuple[str, ...]:
    """Names of the folders from below `root` down to the file."""
    return path.relative_to(root).parts[:-1]


def tree_label(path: Path, root: Path) -> tuple[str, bool]:
    """The label that the deepest telling folder gives, and whether its name leaves no doubt.

    The root's own name counts last, and only where it is a plain one such as `fake`.
    """
    folders = folders_between(path, root)
    plain = (root.name,) if root.name.lower() in STRONG["real"] | STRONG["fake"] else ()
    for words, names in ((STRONG, (*plain, *folders)), (WEAK, folders)):
        if told := [label for label in (label_in(name, words) for name in names) if label]:
            return told[-1], words is STRONG
    return "", False


def tree_split(path: Path, root: Path) -> str:
    """Train, val, test, or "" where no folder names a split."""
    return next((SPLITS[name.lower()] for name in folders_between(path, root) if name.lower() in SPLITS), "")


def origin(path: Path, root: Path) -> tuple[str, str]:
    """(source, generator) as far as well-known data sets and the names of folders tell.

    A folder right below that of the class names a source, and a generator among the fakes: `fake/sdxl/1.png`.
    """
    folders = folders_between(path, root)
    if "cifake" in root.name.lower():
        return "cifake", "Stable Diffusion 1.4"
    if any(re.fullmatch("real[_-]vs[_-]fake", name) for name in (root.name, *folders)):
        return "140k", "StyleGAN"
    for name, below in pairwise(folders):
        if label_in(name) and not label_in(below) and below.lower() not in SPLITS and not below.isdigit():
            return slug(below), below
    return slug(root.name), ""


def slug(text: str) -> str:
    """A name that is safe as that of a folder: lower-case letters, digits and hyphens."""
    return re.sub(r"[^a-z0-9]+", "-", text.lower()).strip("-") or "unnamed"
