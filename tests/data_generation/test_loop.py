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

from data_generation.cli import main as generation
from data_generation.store import read_folder
from data_generation.synthesis import EMBEDDED_MODEL
from data_generation.synthesis.pipelines import EMBEDDED_FOLDER
from facecheck.model.checkpoint import save_model
from training.cli import main as training

IMAGES, PHOTOGRAPHS, STEPS = 24, 48, 6


@pytest.fixture(autouse=True)
def one_heat_map(monkeypatch):
    """Heat maps take most of the time of a challenge."""
    monkeypatch.setattr("data_generation.report.HARDEST", 1)


@pytest.fixture(scope="module")
def people(tmp_path_factory) -> Path:
    """Photographs of different people: the part of Labelled Faces in the Wild that ships with scikit-image."""
    folder = tmp_path_factory.mktemp("people")
    for number, face in enumerate(np.load(Path(skimage.data_dir) / "lfw_subset.npy")[:PHOTOGRAPHS]):
        portrait(face).save(folder / f"{number}.jpg", quality=90)
    return folder


def portrait(face: np.ndarray) -> Image.Image:
    picture = Image.new("L", (280, 280), 128)
    small = Image.fromarray((face / face.max() * 255).astype(np.uint8))
    picture.paste(small.resize((200, 200), Image.Resampling.BICUBIC), (40, 40))
    return picture.convert("RGB")


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
    model = ("--model", "facecheck/tiny-faces", "--steps", STEPS)
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


@pytest.mark.slow
@pytest.mark.usefixtures("lenient")
def test_a_challenge_says_what_the_shipped_model_makes_of_the_embedded_generator(tmp_path):
    plan, prompts, out = tmp_path / "plan.json", tmp_path / "prompts.jsonl", tmp_path / "challenge"
    run(generation, "plan", plan, "--cells", 6)
    run(generation, "prompts", plan, prompts)
    arguments = ("challenge", out, "--prompts", prompts, "--model", "facecheck/tiny-faces", "--steps", STEPS)
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
def test_a_challenge_counts_the_images_of_its_own_run_alone(small, tmp_path):
    plan, prompts, few, out = (tmp_path / name for name in ("plan.json", "prompts.jsonl", "few.jsonl", "challenge"))
    run(generation, "plan", plan, "--cells", 4)
    run(generation, "prompts", plan, prompts)
    few.write_text("".join(prompts.read_text().splitlines(keepends=True)[:3]))
    how = ("--detector", small, "--steps", STEPS)
    run(generation, "challenge", out, "--prompts", prompts, "--model", EMBEDDED_MODEL, *how)
    run(generation, "challenge", out, "--prompts", few, "--model", EMBEDDED_FOLDER, "--seed", 1, *how)
    said = json.loads((out / "challenge.json").read_text())
    assert (said["generator"], said["attempted"]) == (EMBEDDED_FOLDER.name, 3)
    assert f"How much of {EMBEDDED_FOLDER.name} does" in (out / "challenge.html").read_text()
    made = {row.id for row in read_folder(out) if row.recipe.model == EMBEDDED_FOLDER.name}
    assert set(said["scores"]) <= made
    assert len(made) == 3


ROOT = Path(__file__).parents[2]
GUIDE = (ROOT / "docs" / "generation.md").read_text()
COMMANDS = re.findall(r"^    (python -m .*)$", GUIDE, re.M)
THREE = [line for line in COMMANDS if re.search(r" (generate|adopt|challenge|teach) ", line)][:5]
OFFLINE = re.findall(r"^    (python -m .*)$", GUIDE[GUIDE.index("## facecheck/tiny-faces") :], re.M)
SMALLER = {
    "plan": {"150": str(IMAGES)},
    "generate": {"facecheck/tiny-faces": f"facecheck/tiny-faces --steps {STEPS}"},
    "challenge": {
        "challenge": "challenge --detector SMALL",
        "facecheck/tiny-faces": f"facecheck/tiny-faces --steps {STEPS}",
    },
    "prepare": {"prepare": "prepare --workers 0"},
    "update": {
        "update": "update --steps 1 --batch 4 --side 64 --tier clean --workers 0",
        "facecheck/weights/facecheck-resnet50.safetensors": "SMALL",
    },
    "teach": {"teach": "teach --steps 1 --batch 4 --side 64 --workers 0 --detector SMALL"},
}  # fmt: skip
"""What the test puts in place of words of the documents, so that it takes less time; SMALL is a small detector."""


def follow(line: str, small: Path, codes=(0,)) -> str:
    """Run a command of the documents as it is written."""
    _, _, package, command, *words = shlex.split(line)
    swaps = SMALLER.get(command, {})
    given = [each for word in (command, *words) for each in (swaps[word].split() if word in swaps else [word])]
    given = [str(small) if each == "SMALL" else each for each in given]
    done = CliRunner().invoke({"training": training, "data_generation": generation}[package], given)
    if done.exception and not isinstance(done.exception, SystemExit):
        raise done.exception
    assert done.exit_code in codes, done.output
    return done.output


@pytest.fixture(scope="module")
def small(tiny_model, tmp_path_factory) -> Path:
    """A detector of a few thousand weights."""
    return save_model(tiny_model.network, tiny_model.config, tmp_path_factory.mktemp("small"))


@pytest.mark.slow
@pytest.mark.usefixtures("lenient")
def test_the_documents_way_without_a_network_is_as_written(people, small, tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    (tmp_path / "facecheck").symlink_to(ROOT / "facecheck")
    (tmp_path / "PHOTOGRAPHS").symlink_to(people)
    (tmp_path / "OLD_DATA").symlink_to("new-data")
    assert [line.split()[3] for line in OFFLINE] == ["plan", "prompts", "challenge", "export", "prepare", "update"]
    for line in OFFLINE:
        follow(line, small, (0, 1) if " update " in line else (0,))
    assert "mistakes of the present model became cases" in (tmp_path / "updates" / "1" / "update.md").read_text()
    page = html.unescape((tmp_path / "tiny" / "challenge.html").read_text())
    assert all(line in page for line in OFFLINE[3:])


@pytest.fixture(scope="module")
def data(people, tmp_path_factory) -> Path:
    """A small data set: photographs of some people, and of others that pass for fakes."""
    folder = tmp_path_factory.mktemp("data")
    for number, path in enumerate(sorted(people.iterdir())[:HALF]):
        place = folder / "photos" / ("real" if number % 2 else "fake") / ("lfw" if number % 2 else "sdxl")
        place.mkdir(parents=True, exist_ok=True)
        (place / path.name).write_bytes(path.read_bytes())
    run(training, "prepare", folder / "photos", folder / "data", "--workers", 0, "--split", 0.4, 0.2, 0.4)
    return folder / "data"


HALF = PHOTOGRAPHS // 2


@pytest.fixture
def here(people, data, tmp_path, monkeypatch):
    """A folder in which the documents' first three commands find what they name."""
    monkeypatch.chdir(tmp_path)
    (tmp_path / "DATA").symlink_to(data)
    (tmp_path / "PHOTOGRAPHS").mkdir()
    for path in sorted(people.iterdir())[HALF:]:
        (tmp_path / "PHOTOGRAPHS" / path.name).write_bytes(path.read_bytes())
    run(generation, "plan", "plan.json", "--cells", IMAGES, "--use-cases", "--weight", "age", "child", 0)
    run(generation, "prompts", "plan.json", "prompts.jsonl", "--dialect", "instructions", "--writer", "template")
    return tmp_path


def test_the_documents_begin_with_three_commands():
    assert [line.split()[3] for line in THREE] == ["generate", "generate", "adopt", "challenge", "teach"]


def asked_and_taught(folder: Path, small: Path, generator: str) -> None:
    said = follow(THREE[3], small)
    assert "images are called fake (95 %:" in said
    page = (folder / "faces" / "challenge.html").read_text()
    assert f"How much of {generator} does" in page
    assert "sdxl (generator)" in page
    said = follow(THREE[4], small, (0, 1))
    assert re.search(r"before: \d+% of \d+ images .*; retrained: \d+% of \d+ images .*none of them learned", said)
    taught = json.loads((folder / "lesson" / "taught.json").read_text())
    rows = {row.id for row in read_folder(folder / "faces") if not row.reasons}
    manifest = (folder / "lesson" / "export" / "manifest.jsonl").read_text()
    learned = {json.loads(line).get("id") for line in manifest.splitlines()}
    assert taught["after"]["clean"]["images"] == len(rows - learned)
    assert {each["name"] for each in taught["world_after"]["rates"]} == {"", "lfw", "sdxl"}


@pytest.mark.slow
@pytest.mark.usefixtures("lenient")
def test_the_three_commands_with_the_embedded_generator(here, small):
    assert f"{IMAGES} images made" in follow(THREE[0], small)
    asked_and_taught(here, small, EMBEDDED_MODEL)


@pytest.fixture(scope="module")
def portraits(tmp_path_factory) -> Path:
    """Other people than `people`: they stand in for what services and web apps make."""
    folder = tmp_path_factory.mktemp("portraits")
    for number, face in enumerate(np.load(Path(skimage.data_dir) / "lfw_subset.npy")[PHOTOGRAPHS : 2 * PHOTOGRAPHS]):
        portrait(face).save(folder / f"{number:02}.png")
    return folder


@pytest.mark.slow
@pytest.mark.usefixtures("lenient")
def test_the_three_commands_with_a_service(here, small, portraits, images_api, monkeypatch):
    monkeypatch.setenv("OPENAI_API_KEY", "sk-test-0123456789")
    monkeypatch.setenv("OPENAI_BASE_URL", images_api.url)
    images_api.pictures = [path.read_bytes() for path in sorted(portraits.iterdir())]
    said = follow(THREE[1], small)
    assert f"{IMAGES} images to ask for, 0 were asked for before; at most {IMAGES * 0.0059:.4f} USD" in said
    assert f"{IMAGES} images received, 0 were there" in said
    assert follow(THREE[1], small).splitlines()[-1].startswith(f"0 images received, {IMAGES} were there")
    assert set(images_api.asked.values()) == {1}
    assert {row.answer["model"] for row in read_folder(here / "faces")} == {"gpt-image-2"}
    assert all(body["prompt"].startswith("Make a realistic photograph") for body in images_api.bodies)
    asked_and_taught(here, small, "gpt-image-2")


@pytest.mark.slow
@pytest.mark.usefixtures("lenient")
def test_the_three_commands_with_a_folder_of_downloads(here, small, portraits):
    (here / "downloads").symlink_to(portraits)
    said = follow(THREE[2], small)
    assert re.search(r"\d+ images adopted, 0 were there", said)
    assert "nothing proves the label" in said
    asked_and_taught(here, small, "Midjourney 7")
    page = (here / "faces" / "challenge.html").read_text()
    assert "A person says so; nothing in the file proves it." in page


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
    for name in ("faces", "Human Faces/Real Images", "tiny", "PHOTOGRAPHS", "DATA", "downloads", "adapters/models"):
        (tmp_path / name).mkdir(parents=True)
    for name in ("plan.json", "prompts.jsonl", "me.jpg", "adapters/models/ip-adapter-plus-face_sd15.safetensors"):
        (tmp_path / name).touch()
    name, *words = shlex.split(line)[3:]
    generation.commands[name].make_context(name, words)


@pytest.mark.parametrize(
    "command",
    [
        "plan",
        "prompts",
        "generate",
        "adopt",
        "gate",
        "export",
        "challenge",
        "teach",
        "train-tiny",
        "train-enlarger",
        "distance",
    ],
)
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
