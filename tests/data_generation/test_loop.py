"""From nothing to the evaluation table, offline: every command, one after the other, on real output."""

import html
import json
import re
import shlex
from pathlib import Path

import numpy as np
import pytest
import skimage
from click.testing import CliRunner
from PIL import Image

from data_generation.__main__ import main as generation
from data_generation.record import read_folder
from data_generation.synthesis.pipelines import EMBEDDED_FOLDER
from data_generation.synthesis.settings import EMBEDDED_MODEL
from training.__main__ import main as training

IMAGES, PHOTOGRAPHS = 24, 48


@pytest.fixture(scope="module")
def people(tmp_path_factory) -> Path:
    """Photographs of different people: the part of Labelled Faces in the Wild that ships with scikit-image."""
    folder = tmp_path_factory.mktemp("people")
    for number, face in enumerate(np.load(Path(skimage.data_dir) / "lfw_subset.npy")[:PHOTOGRAPHS]):
        picture = Image.new("L", (280, 280), 128)
        portrait = Image.fromarray((face / face.max() * 255).astype(np.uint8))
        picture.paste(portrait.resize((200, 200), Image.Resampling.BICUBIC), (40, 40))
        picture.convert("RGB").save(folder / f"{number}.jpg", quality=90)
    return folder


def run(command, *arguments) -> str:
    result = CliRunner().invoke(command, [str(each) for each in arguments])
    assert result.exit_code == 0, result.output
    return result.output


@pytest.mark.slow
@pytest.mark.usefixtures("lenient")
def test_the_whole_loop(people, tmp_path):
    plan, prompts, images = tmp_path / "plan.json", tmp_path / "prompts.jsonl", tmp_path / "images"
    run(generation, "plan", plan, "--cells", IMAGES, "--seed", 1)
    run(generation, "prompts", plan, prompts, "--writer", "template")
    model = ("--model", "facecheck/tiny-faces", "--steps", 12)
    said = run(generation, "generate", images, "--prompts", prompts, *model)
    assert f"{IMAGES} images made" in said
    said = run(generation, "gate", images, "--plan", plan)
    accepted = json.loads((images / "gate.json").read_text())["counts"]["accepted"]
    assert accepted >= IMAGES / 2
    assert "reads no text" in said
    run(generation, "export", images, tmp_path / "export", "--real", people, "--source", "lfw")
    run(training, "prepare", tmp_path / "export", tmp_path / "data", "--min-face", 32, "--keep-split", "--workers", 0)
    _train_and_evaluate(tmp_path)
    table = (tmp_path / "report" / "report.md").read_text()
    assert "facecheck/tiny-faces" in table or "facecheck-tiny-faces" in table
    scores = (tmp_path / "report" / "scores.csv").read_text()
    assert "facecheck-tiny-faces" in scores
    assert "lfw" in scores


def _train_and_evaluate(folder: Path) -> None:
    steps = ("--steps", 2, "--batch", 8, "--phase", 1.0, 32, "--workers", 0)
    run(training, "train", folder / "data", folder / "run", "--preset", "mobilenet_v2", *steps, "--unaudited")
    weights = next((folder / "run").glob("*.safetensors"))
    out = ("--out", folder / "report", "--tiers", "clean", "--no-curves", "--rounds", 20, "--split", "train")
    run(training, "evaluate", weights, folder / "data", *out)


@pytest.mark.usefixtures("lenient")
def test_a_challenge_says_what_the_shipped_model_makes_of_the_embedded_generator(tmp_path):
    plan, prompts, out = tmp_path / "plan.json", tmp_path / "prompts.jsonl", tmp_path / "challenge"
    run(generation, "plan", plan, "--cells", 6)
    run(generation, "prompts", plan, prompts)
    arguments = ("challenge", out, "--prompts", prompts, "--model", "facecheck/tiny-faces", "--steps", 12)
    first = run(generation, *arguments)
    assert "images are called fake" in first
    rows = (out / "manifest.jsonl").read_bytes()
    assert run(generation, *arguments).splitlines()[-2:] == first.splitlines()[-2:]
    assert (out / "manifest.jsonl").read_bytes() == rows
    said = json.loads((out / "challenge.json").read_text())
    assert said["attempted"] == 6
    assert len(said["scores"]) == said["accepted"]
    assert "training update" in (out / "challenge.html").read_text()


@pytest.mark.slow
@pytest.mark.usefixtures("lenient")
def test_a_challenge_counts_the_images_of_its_own_run_alone(tmp_path):
    plan, prompts, few, out = (tmp_path / name for name in ("plan.json", "prompts.jsonl", "few.jsonl", "challenge"))
    run(generation, "plan", plan, "--cells", 4)
    run(generation, "prompts", plan, prompts)
    few.write_text("".join(prompts.read_text().splitlines(keepends=True)[:3]))
    run(generation, "challenge", out, "--prompts", prompts, "--model", EMBEDDED_MODEL, "--steps", 12)
    own = ("--prompts", few, "--model", EMBEDDED_FOLDER, "--steps", 12, "--seed", 1)
    run(generation, "challenge", out, *own)
    said = json.loads((out / "challenge.json").read_text())
    assert (said["generator"], said["attempted"]) == (EMBEDDED_FOLDER.name, 3)
    assert f"How much of {EMBEDDED_FOLDER.name} does" in (out / "challenge.html").read_text()
    made = {row.id for row in read_folder(out) if row.recipe.model == EMBEDDED_FOLDER.name}
    assert set(said["scores"]) <= made
    assert len(made) == 3


ROOT = Path(__file__).parents[2]
GUIDE = (ROOT / "docs" / "generation.md").read_text()
OFFLINE = re.findall(r"^    (python -m .*)$", GUIDE[GUIDE.index("## facecheck/tiny-faces") :], re.M)
SMALLER = {
    "plan": {"150": str(IMAGES)}, "challenge": {"challenge": "challenge --steps 12"},
    "update": {"update": "update --steps 1 --batch 4 --side 64 --tier clean"},
}  # fmt: skip
"""What the test puts in place of words of the documents, so that it takes less time."""


@pytest.mark.slow
@pytest.mark.usefixtures("lenient")
def test_the_documents_way_without_a_network_is_as_written(people, tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    (tmp_path / "facecheck").symlink_to(ROOT / "facecheck")
    (tmp_path / "PHOTOGRAPHS").symlink_to(people)
    (tmp_path / "OLD_DATA").symlink_to("new-data")
    assert [line.split()[3] for line in OFFLINE] == ["plan", "prompts", "challenge", "export", "prepare", "update"]
    for line in OFFLINE:
        _, _, package, command, *words = shlex.split(line)
        swaps = SMALLER.get(command, {})
        words = " ".join(swaps.get(word, word) for word in (command, *words)).split()
        done = CliRunner().invoke({"training": training, "data_generation": generation}[package], words)
        assert done.exit_code in ((0, 1) if command == "update" else (0,)), done.output
    assert "mistakes of the present model became cases" in (tmp_path / "updates" / "1" / "update.md").read_text()
    page = html.unescape((tmp_path / "tiny" / "challenge.html").read_text())
    assert all(line in page for line in OFFLINE[3:])


DOCUMENTS = [ROOT / name for name in ("README.md", "docs/generation.md")]
LINES = [
    line.strip()
    for document in DOCUMENTS
    for line in document.read_text().splitlines()
    if line.startswith("    python -m data_generation ")
]


@pytest.mark.parametrize("line", sorted(set(LINES)))
def test_every_documented_command_is_one_that_exists(line, tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    for name in ("plan.json", "prompts.jsonl"):
        (tmp_path / name).touch()
    for name in ("faces", "Human Faces/Real Images", "tiny", "PHOTOGRAPHS"):
        (tmp_path / name).mkdir(parents=True)
    name, *words = shlex.split(line)[3:]
    generation.commands[name].make_context(name, words)


@pytest.mark.parametrize("command", ["plan", "prompts", "generate", "gate", "export", "challenge", "train-tiny"])
def test_every_command_explains_itself_with_an_example(command):
    said = run(generation, command, "--help")
    assert f"python -m data_generation {command} " in said
    assert command in run(generation, "--help")


@pytest.mark.parametrize(
    ("arguments", "says"),
    [
        (["generate", "OUT"], "write one with `python -m data_generation prompts`"),
        (["generate", "OUT", "--mode", "vae"], "pass --photos FOLDER"),
        (["generate", "OUT", "--photos", "OUT"], "pass --mode vae, img2img or inpaint"),
        (["generate", "OUT", "--prompts", "OUT/empty"], "is empty"),
        (["generate", "OUT", "--shard", "9/2"], "such as 2/8"),
        (["gate", "OUT"], "python -m data_generation generate"),
        (["export", "OUT", "OUT/out"], "python -m data_generation generate"),
    ],
)
def test_a_mistake_ends_in_one_line_that_says_what_to_do(arguments, says, tmp_path):
    (tmp_path / "empty").touch()
    result = CliRunner().invoke(generation, [each.replace("OUT", str(tmp_path)) for each in arguments])
    assert result.exit_code == 1
    assert says in result.output
    assert len(result.output.strip().splitlines()) == 1
