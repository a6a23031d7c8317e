"""Pictures that were made elsewhere: a folder of downloads becomes recorded images of one generator.

The label is a person's word. What the files say of themselves is read first: a file that contradicts the word is
refused, one that proves it is recorded with its proof, and where nothing is said, the record says that.
"""

import json
import os
from collections import Counter, defaultdict
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, field
from pathlib import Path

import numpy as np
import numpy.typing as npt
from tqdm import tqdm

from data_generation import GenerationError
from data_generation.gate import Pixels, Seen
from data_generation.record import ADOPTED, Recipe, Row, suffix_of
from data_generation.store import Manifest, Master, Recorder, encode_plain_png, read_manifest, remove_partials, store
from facecheck import crop, image
from facecheck.errors import ImageError
from facecheck.files import sha256_of, write_atomically
from facecheck.provenance import Claim, Finding
from facecheck.provenance.reader import read
from training.data import read_manifest as read_faces
from training.data import read_rgb
from training.faces.grouping import SURE_DISTANCE, near_pairs, perceptual_hash
from training.faces.layouts import Defaults, LayoutError, recognise

FAKE = "fake"
REPORT = "adopted.json"
ORIGINALS = "originals"
NEVER, AUTO, ALWAYS = "never", "auto", "always"
SEAM, SEAM_PX = 1.5, 24
"""How much larger the step over a seam between two pictures is than any other within so many pixels of it."""
SIDE, MARGIN = 96, 1.0
"""Of the faces that are compared with a data set's, which keeps little more than faces."""
MAKERS = {
    "Adobe": ("adobe firefly", "firefly"),
    "Alibaba": ("qwen", "z-image", "tongyi"),
    "Black Forest Labs": ("flux", "black forest"),
    "ByteDance": ("seedream", "doubao", "bytedance"),
    "Google": ("google", "imagen", "gemini", "nano banana"),
    "Ideogram": ("ideogram",),
    "Leonardo": ("leonardo",),
    "Midjourney": ("midjourney",),
    "OpenAI": ("openai", "gpt-image", "gpt image", "chatgpt", "dall-e", "dall·e", "bing image creator"),
    "Recraft": ("recraft",),
    "Stability AI": ("stable diffusion", "stability", "sdxl", "dreamstudio"),
    "xAI": ("grok", "xai"),
}
"""Words by which a file, or a person, names the maker of a generator."""
CLOSED = frozenset({"Adobe", "Google", "Ideogram", "Midjourney", "OpenAI", "Recraft", "xAI"})
"""Makers whose models run nowhere else than with them."""
LOCAL = (
    "automatic1111", "comfyui", "draw things", "facecheck", "fooocus", "invokeai", "novelai", "stable diffusion web ui",
    "swarmui",
)  # fmt: skip
"""Programs that run models on a person's own machine."""
UNPROVEN = "A person says so; nothing in the file proves it."


@dataclass
class Adoption:
    """What became of a folder.

    Attributes:
        adopted: images recorded now. before: recorded earlier. unproven: files of which nothing proves the label.
        dropped: reason -> files.
    """

    adopted: int = 0
    before: int = 0
    unproven: list[str] = field(default_factory=list)
    dropped: defaultdict[str, list[str]] = field(default_factory=lambda: defaultdict(list))

    def lines(self) -> Iterator[str]:
        """For the screen."""
        yield f"{self.adopted} images adopted, {self.before} were there"
        for reason, files in self.dropped.items():
            shown = ", ".join(files[:3]) + (", ..." if len(files) > 3 else "")
            yield f"{len(files)} left out: {reason} ({shown})"
        if self.unproven:
            yield f"warning: nothing proves the label of {len(self.unproven)} of them; it is as good as your word"


def makers_in(text: str) -> set[str]:
    """The makers that a text names."""
    folded = text.casefold()
    return {maker for maker, words in MAKERS.items() if any(word in folded for word in words)}


def contradiction(findings: Sequence[Finding], generator: str) -> str:
    """Why a file cannot be an image of `generator`, by its own words; empty where nothing speaks against it."""
    for finding in findings:
        if finding.claim == Claim.PHOTOGRAPHED:
            return f"the file says that a camera took it ({finding.source}, {finding.strength})"
        if finding.claim not in (Claim.GENERATED, Claim.PARTLY_GENERATED):
            continue
        said = " ".join(finding.details.get(name, "") for name in ("generator", "software", "model", "signer"))
        told, meant = makers_in(said), makers_in(generator)
        if told and meant and not told & meant:
            return f"the file says that another generator made it: {', '.join(sorted(told))}"
        if meant & CLOSED and not told and any(name in said.casefold() for name in LOCAL):
            return f"the file was made with a program that cannot run {generator} ({said.strip()[:60]})"
    return ""


def proof(findings: Sequence[Finding]) -> str:
    """How the label is known."""
    claims = (Claim.GENERATED, Claim.PARTLY_GENERATED)
    said = next((finding.says for finding in findings if finding.claim in claims), "")
    return f"A person says so, and the file too: {said}" if said else UNPROVEN


def is_grid(picture: Pixels) -> bool:
    """Whether four pictures of one size meet in the middle: each half of both middle lines is a sharp seam."""
    grey = picture.astype(np.float32).mean(axis=2)
    height, width = grey.shape
    if height % 2 or width % 2 or min(height, width) < 8 * SEAM_PX:
        return False
    halves = (grey[: height // 2], grey[height // 2 :], grey.T[: width // 2], grey.T[width // 2 :])
    return all(_seam(half) >= SEAM for half in halves)


def _seam(lines: npt.NDArray[np.float32]) -> float:
    """The step over the middle of (N, L), against the usual step from one column to the next near it."""
    middle = lines.shape[1] // 2
    near = lines[:, middle - SEAM_PX : middle + SEAM_PX]
    steps = np.abs(np.diff(near, axis=1)).mean(axis=0)
    others = np.delete(steps, SEAM_PX - 1)
    return float(steps[SEAM_PX - 1] / max(others.max(), 1.0))


def quarters(picture: Pixels) -> list[Pixels]:
    """The four pictures of a grid, in reading order."""
    height, width = picture.shape[0] // 2, picture.shape[1] // 2
    return [picture[y : y + height, x : x + width].copy() for y in (0, height) for x in (0, width)]


class Adopter:
    """Takes pictures into `out`, which may hold others.

    Args:
        generator: its name. data: a data set of `training prepare`, whose pictures are not taken.
        grid: of `NEVER`, `AUTO`, `ALWAYS`: whether pictures are cut into four.
    """

    def __init__(
        self, out: Path, generator: str, data: Path | None = None, licence: str = "", grid: str = AUTO
    ) -> None:
        if not generator.strip():
            raise GenerationError("--generator must name what made the pictures, such as 'Midjourney 7'")
        self.out, self.generator, self.licence, self.grid = out, generator.strip(), licence or "unknown", grid
        self.recorder, self.result = Recorder(out), Adoption()
        rows = read_faces(data) if data else []
        known = ((row, read_rgb(row.path)) for row in tqdm(rows, "known pictures", unit="face", disable=None))
        self.known = [perceptual_hash(_face(picture, row.box)) for row, picture in known]
        self.labels = [row.label for row in rows]

    def adopt(self, folder: Path) -> Adoption:
        """Record what can be taken; a second run takes what is new.

        Raises:
            GenerationError: there is no picture, or another run writes to `out`.
        """
        try:
            photos = recognise(folder, Defaults(label=FAKE)).photos
        except LayoutError as error:
            raise GenerationError(str(error)) from error
        remove_partials(self.recorder.images)
        with Manifest(self.out / "manifest.jsonl") as manifest:
            self.seen = Seen()
            for row in read_manifest(manifest.path):
                self.seen.add(row.phash)
            for photo in tqdm(photos, unit="picture", disable=None):
                name = photo.path.relative_to(folder.resolve()).as_posix()
                if photo.label != FAKE:
                    self._drop("its folder calls it a photograph", name)
                elif not Path(os.path.realpath(photo.path)).is_relative_to(folder.resolve()):
                    # An archive from elsewhere may hold links to any file of this machine.
                    self._drop("a link that leads out of the folder; put the file itself there", name)
                else:
                    self._take(photo.path, name, manifest)
        self._report()
        return self.result

    def _take(self, path: Path, name: str, manifest: Manifest) -> None:
        try:
            content = image.encoded(path) or b""
            picture = image.load(content)
        except ImageError:
            return self._drop("unreadable", name)
        findings = read(content, path.name).findings
        if problem := contradiction(findings, self.generator):
            return self._drop(problem, name)
        masters = list(self._masters(content, picture, name, findings))
        new = [master for master in masters if master.recipe.id not in manifest.ids]
        self.result.before += len(masters) - len(new)
        for master, row in zip(new, self.recorder.rows(new), strict=True):
            self._keep(master, row, manifest, name)
        return None

    def _masters(self, content: bytes, picture: Pixels, name: str, findings: Sequence[Finding]) -> Iterator[Master]:
        digest, known_by = sha256_of(content), proof(findings)
        suffix = suffix_of(content) or Path(name).suffix.lower()
        said = {"file": name, "original": digest, "says": [finding.says for finding in findings]}
        is_cut = self.grid == ALWAYS or (self.grid == AUTO and is_grid(picture))
        if not is_cut:
            yield Master(
                self._recipe(digest, 0, picture, findings), content, picture, self.licence, suffix,
                known_by=known_by, answer=said,
            )  # fmt: skip
            return
        original = self.out / ORIGINALS / f"{digest[:20]}{suffix}"
        store(content, original)
        for number, part in enumerate(quarters(picture), 1):
            yield Master(
                self._recipe(digest, number, part, findings), encode_plain_png(part), part, self.licence,
                known_by=known_by, answer={**said, "kept": f"{ORIGINALS}/{original.name}", "quarter": number},
            )  # fmt: skip

    def _recipe(self, digest: str, part: int, shown: Pixels, findings: Sequence[Finding]) -> Recipe:
        prompt = next((finding.details["prompt"] for finding in findings if finding.details.get("prompt")), "")
        height, width = shown.shape[:2]
        return Recipe(
            self.generator, "", ADOPTED, 0, part, digest[:20], prompt=prompt, width=width, height=height, dtype="",
            options=json.dumps({"original": digest}),
        )  # fmt: skip

    def _keep(self, master: Master, row: Row, manifest: Manifest, name: str) -> None:
        """Record an image unless it is another one's copy."""
        if self.seen.has(row.phash):
            (self.out / row.file).unlink()
            return self._drop("a near-duplicate of another one", name)
        if (label := self._known(master, row)) is not None:
            (self.out / row.file).unlink()
            return self._drop(f"the data set knows it as {label}", name)
        self.seen.add(row.phash)
        manifest.append(row)
        self.result.adopted += 1
        if row.known_by == UNPROVEN:
            self.result.unproven.append(name)
        return None

    def _known(self, master: Master, row: Row) -> str | None:
        """The label under which the data set has the face of an image."""
        if not self.known or not row.faces:
            return None
        own = perceptual_hash(_face(master.shown, row.faces[0]["box"]))
        pairs = near_pairs([*self.known, own], SURE_DISTANCE)
        found = [self.labels[first] for first, second in pairs if second == len(self.known)]
        return found[0] if found else None

    def _drop(self, reason: str, name: str) -> None:
        self.result.dropped[reason].append(name)

    def _report(self) -> None:
        counts = Counter({reason: len(files) for reason, files in self.result.dropped.items()})
        content = {
            "generator": self.generator, "adopted": self.result.adopted, "before": self.result.before,
            "dropped": counts, "files": self.result.dropped, "unproven": self.result.unproven,
        }  # fmt: skip
        write_atomically(self.out / REPORT, (json.dumps(content, indent=1, ensure_ascii=False) + "\n").encode())


def _face(picture: Pixels, box: Sequence[float]) -> Pixels:
    return crop.face(picture, np.asarray(box, dtype=np.float32), SIDE, MARGIN)
