"""Pictures made elsewhere: the files' own words are heard before a person's, and nothing comes in twice."""

import json
import os
import shutil
import socket

import numpy as np
import pytest
from click.testing import CliRunner
from PIL import Image, PngImagePlugin

from data_generation import GenerationError
from data_generation.adopt import UNPROVEN, Adopter, contradiction, is_grid, quarters
from data_generation.cli import main
from data_generation.gate import Measurements, judge
from data_generation.store import read_folder
from facecheck.files import sha256_of
from facecheck.provenance import Claim, Finding, Strength

MIDJOURNEY = "A portrait of a baker --v 7 Job ID: 0f9c1a4e-7f3d-4b7e-9f3e-111111111111"


def saved(picture, path, text=None, exif=None):
    info = PngImagePlugin.PngInfo()
    for name, value in (text or {}).items():
        info.add_text(name, value)
    options = {"pnginfo": info} if path.suffix == ".png" else {"quality": 90}
    if exif:
        tags = Image.Exif()
        for number, value in exif.items():
            tags[number] = value
        options["exif"] = tags
    path.parent.mkdir(parents=True, exist_ok=True)
    Image.fromarray(picture).save(path, **options)
    return path


def flipped(picture):
    return np.ascontiguousarray(picture[:, ::-1])


@pytest.fixture(scope="module")
def downloads(tmp_path_factory, grace, astronaut):
    folder = tmp_path_factory.mktemp("adopted") / "downloads"
    saved(grace, folder / "proven.png", {"Description": MIDJOURNEY})
    saved(astronaut, folder / "plain.png")
    saved(astronaut, folder / "again.jpg")
    saved(flipped(grace), folder / "camera.jpg", exif={0x010F: "Canon", 0x0110: "EOS R5"})
    saved(flipped(astronaut), folder / "comfy.png", {"prompt": json.dumps(COMFY), "workflow": "{}"})
    saved(flipped(astronaut), folder / "dalle.png", {"Software": "OpenAI DALL-E"})
    (folder / "broken.png").write_bytes(b"\x89PNG\r\n\x1a\nno")
    return folder


@pytest.fixture(scope="module")
def adopted(downloads):
    """(the folder, what the screen says) of the command that takes them all."""
    out = downloads.parent / "out"
    words = ["adopt", str(downloads), str(out), "--generator", "Midjourney 7", "--licence", "CC0"]
    result = CliRunner().invoke(main, words)
    assert result.exit_code == 0, result.output
    return out, result.output


COMFY = {
    "1": {"class_type": "KSampler", "inputs": {"seed": 1, "steps": 20, "positive": ["2", 0]}},
    "2": {"class_type": "CLIPTextEncode", "inputs": {"text": "a baker"}},
}


def test_what_contradicts_the_label_is_refused_and_what_proves_it_recorded(adopted):
    out, _ = adopted
    rows = {row.answer["file"]: row for row in read_folder(out)}
    assert rows.keys() == {"proven.png", "again.jpg"}
    assert rows["proven.png"].known_by.startswith("A person says so, and the file too: Midjourney recorded in the file")
    assert rows["again.jpg"].known_by == UNPROVEN
    report = json.loads((out / "adopted.json").read_text())
    assert report["unproven"] == ["again.jpg"]
    dropped = {name: reason for reason, files in report["files"].items() for name in files}
    assert dropped.keys() == {"plain.png", "camera.jpg", "comfy.png", "dalle.png", "broken.png"}
    assert "a camera took it" in dropped["camera.jpg"]
    assert "cannot run Midjourney 7" in dropped["comfy.png"]
    assert dropped["dalle.png"].endswith("another generator made it: OpenAI")
    assert dropped["plain.png"] == "a near-duplicate of another one"
    assert dropped["broken.png"] == "unreadable"
    assert report["dropped"]["unreadable"] == 1


def test_the_original_bytes_are_kept_and_gated_like_the_rest(downloads, adopted):
    out, _ = adopted
    rows = read_folder(out)
    for row in rows:
        content = (out / row.file).read_bytes()
        assert content == (downloads / row.answer["file"]).read_bytes()
        assert sha256_of(content) == row.sha256 == row.answer["original"]
        assert (row.recipe.model, row.recipe.mode, row.licence) == ("Midjourney 7", "adopted", "CC0")
    assert set(judge(rows).values()) == {()}
    assert next(row for row in rows if "proven" in row.answer["file"]).recipe.prompt == "A portrait of a baker"


def test_a_second_run_takes_what_is_new(downloads, adopted, tmp_path, grace):
    out = shutil.copytree(adopted[0], tmp_path / "out")
    folder = shutil.copytree(downloads, tmp_path / "downloads")
    saved(np.ascontiguousarray(grace[::-1]), folder / "new.png")
    found = Adopter(out, "Midjourney 7").adopt(folder)
    assert (found.adopted, found.before) == (1, 2)
    assert len(read_folder(out)) == 3
    assert len(list((out / "images").iterdir())) == 3


def test_grids_of_four_are_cut_and_their_original_kept(tmp_path, grace, astronaut):
    side = 256
    one, two = (np.asarray(Image.fromarray(each).resize((side, side))) for each in (grace, astronaut))
    grid = np.vstack([np.hstack([one, two]), np.hstack([flipped(two), flipped(one)])])
    assert is_grid(grid)
    assert not is_grid(one)
    assert not is_grid(two)
    assert all(
        (part == whole).all()
        for part, whole in zip(quarters(grid), [one, two, flipped(two), flipped(one)], strict=True)
    )
    original = saved(grid, tmp_path / "in" / "grid.png").read_bytes()
    Adopter(tmp_path / "out", "Midjourney 7").adopt(tmp_path / "in")
    rows = read_folder(tmp_path / "out")
    assert [row.answer["quarter"] for row in rows] == [1, 2, 3, 4]
    assert {row.size for row in rows} == {(side, side)}
    assert {(tmp_path / "out" / row.answer["kept"]).read_bytes() for row in rows} == {original}
    assert len({row.recipe.prompt_id for row in rows}) == 1, "one group: no two of them may stand in different splits"
    Adopter(tmp_path / "whole", "Midjourney 7", grid="never").adopt(tmp_path / "in")
    assert len(read_folder(tmp_path / "whole")) == 1


def test_photographs_that_the_data_set_knows_are_left_out(tmp_path, grace, detector):
    small = np.ascontiguousarray(grace[: grace.shape[0] // 4 * 4, : grace.shape[1] // 4 * 4])
    box = detector.detect([small])[0].boxes[0]
    saved(small, tmp_path / "data" / "real" / "grace.jpg")
    head = "file,label,source,split,group,x0,y0,x1,y1"
    line = ",".join(map(str, ("real/grace.jpg", "real", "nasa", "train", "g", *box)))
    (tmp_path / "data" / "manifest.csv").write_text(f"{head}\n{line}\n")
    saved(grace, tmp_path / "in" / "grace.png")
    found = Adopter(tmp_path / "out", "Midjourney 7", data=tmp_path / "data").adopt(tmp_path / "in")
    assert dict(found.dropped) == {"the data set knows it as real": ["grace.png"]}
    assert read_folder(tmp_path / "out") == []
    assert not list((tmp_path / "out" / "images").iterdir())


def said(claim, **details):
    return Finding("c2pa", Strength.SIGNED, "It says so.", claim, details)


@pytest.mark.parametrize(
    ("finding", "generator", "problem"),
    [
        (said(Claim.GENERATED, software="ChatGPT, OpenAI API"), "gpt-image-2", ""),
        (said(Claim.GENERATED, software="Google C2PA SDK", signer="Google LLC"), "Nano Banana Pro", ""),
        (said(Claim.GENERATED, signer="Google LLC"), "gpt-image-2", "another generator made it: Google"),
        (said(Claim.GENERATED, generator="ComfyUI", model="flux1-dev"), "FLUX.1-dev", ""),
        (said(Claim.GENERATED, generator="ComfyUI", model="flux1-dev"), "Qwen-Image", "Black Forest Labs"),
        (said(Claim.GENERATED, generator="ComfyUI"), "My own model", ""),
        (said(Claim.PHOTOGRAPHED, signer="Leica"), "My own model", "a camera took it"),
        (said(Claim.NOTHING, software="Adobe Photoshop"), "Midjourney 7", ""),
    ],
)
def test_names_of_one_maker_agree(finding, generator, problem):
    found = contradiction([finding], generator)
    assert problem in found
    assert bool(found) == bool(problem)


def test_the_command_says_what_it_did(adopted, tmp_path):
    _, output = adopted
    assert "2 images adopted, 0 were there" in output
    assert "1 left out: unreadable (broken.png)" in output
    assert "warning: nothing proves the label of 1 of them" in output
    (tmp_path / "empty").mkdir()
    with pytest.raises(GenerationError, match="no picture found"):
        Adopter(tmp_path / "out", "Midjourney 7").adopt(tmp_path / "empty")
    with pytest.raises(GenerationError, match="--generator must name"):
        Adopter(tmp_path / "out", " ")


def test_nothing_outside_the_folder_is_taken_and_no_pipe_is_waited_for(tmp_path, grace, monkeypatch):
    """As an archive from elsewhere may hold it."""
    folder, private = tmp_path / "downloads", saved(grace, tmp_path / "private" / "mine.png")
    saved(flipped(grace), folder / "real.png")
    (folder / "inside.png").symlink_to("real.png")
    (folder / "outside.png").symlink_to(private)
    (folder / "relative.png").symlink_to("../private/mine.png")
    (folder / "folder").symlink_to(tmp_path / "private")
    (folder / "loop.png").symlink_to("loop.png")
    (folder / "device.png").symlink_to("/dev/zero")
    for name in ("pipe.png", "metadata.csv"):
        os.mkfifo(folder / name)
    with socket.socket(socket.AF_UNIX) as listening:
        monkeypatch.chdir(folder)  # The path of a socket is short.
        listening.bind("socket.png")
    adopter = Adopter(tmp_path / "out", "Midjourney 7")
    monkeypatch.setattr(
        adopter.recorder.gate, "measure", lambda shown: [Measurements((), "0" * 32, 50.0, 0.0)] * len(shown)
    )
    found = adopter.adopt(folder)
    assert found.adopted == 1 and len(read_folder(tmp_path / "out")) == 1
    (leads_out,) = (files for reason, files in found.dropped.items() if "leads out" in reason)
    assert leads_out == ["outside.png", "relative.png"]
    assert found.dropped["unreadable"] == ["loop.png"]
