"""The options that say what a model runs on reach it from every command."""

import copy
import os
import subprocess
import sys
from pathlib import Path

import click
import pytest
from click.testing import CliRunner

from data_generation import cli as data_generation
from demo import cli as demo
from facecheck.cli import main
from facecheck.cli.options import runs_a_model
from facecheck.errors import ModelError
from facecheck.model.checkpoint import save_model
from facecheck.settings import CheckerSettings
from training import cli as training

ROOT = Path(__file__).parents[3]


@pytest.fixture
def weights(tiny_model, tmp_path):
    return save_model(tiny_model.network, tiny_model.config, tmp_path)


def test_a_command_gets_one_argument_for_all_of_them():
    @click.command()
    @click.option("--other", type=int)
    @runs_a_model
    def command(chosen: CheckerSettings, other: int) -> None:
        click.echo((chosen, other))

    words = ["--model", "m", "--other", "3", "--engine", "torch", "--device", "cpu", "--precision", "bf16"]
    assert CliRunner().invoke(command, words).stdout == f"{(CheckerSettings('m', 'cpu', 'torch', 'bf16'), 3)}\n"
    assert CliRunner().invoke(command, []).stdout == f"{(CheckerSettings(), None)}\n"


def test_what_was_chosen_travels_and_is_loaded(weights):
    chosen = copy.deepcopy(CheckerSettings(str(weights), "cpu", "torch", "bf16"))
    checker = chosen.checker(stability=True)
    assert (checker.config.name, str(checker.classifier.choice), checker.stability) == ("tiny", "torch bf16", True)


@pytest.mark.parametrize("command", [["predict"], ["explain"], ["scan", "--out", "rows.jsonl"]])
def test_every_command_hands_them_on_and_says_what_is_wrong(command, weights, grace_path, tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    words = [*command, str(grace_path), "--model", str(weights), "--engine"]
    refused = CliRunner().invoke(main, [*words, "openvino", "--device", "cuda"])
    assert refused.exit_code == 1
    assert refused.stderr.endswith("runs on the CPU, not on 'cuda'; use device 'cpu' or engine 'torch'\n")
    assert CliRunner().invoke(main, [*words, "tensorrt"]).exit_code == 2
    assert "precision" in CliRunner().invoke(main, [*words, "torch", "--precision", "int8"]).stderr


def run(*words: str, **options) -> subprocess.CompletedProcess[str]:
    command = [sys.executable, "-m", "facecheck", *words]
    return subprocess.run(command, stderr=subprocess.PIPE, text=True, check=False, cwd=ROOT, **options)


@pytest.mark.skipif(not Path("/dev/full").exists(), reason="a full disk to write to")
def test_a_full_disk_is_one_line_and_1():
    with Path("/dev/full").open("w") as full:
        ran = run("model", "list", stdout=full)
    assert (ran.returncode, ran.stderr) == (1, "Error: standard output: No space left on device\n")


@pytest.mark.skipif(not Path("/dev/full").exists(), reason="a full disk to write to")
def test_help_for_a_full_disk_is_one_line_and_1():
    with Path("/dev/full").open("w") as full:
        ran = run("--help", stdout=full)
    assert (ran.returncode, ran.stderr) == (1, "Error: standard output: No space left on device\n")


@pytest.mark.parametrize(
    ("words", "closed", "said"),
    [
        ("model list", ">&-", "Error: standard output: Bad file descriptor\n"),
        ("--version", ">&-", "Error: standard output: Bad file descriptor\n"),
        ("scan --files-from - --out OUT", "<&-", "Error: standard input: Bad file descriptor\n"),
        ("model info nobody", ">&- 2>&-", ""),
    ],
)
def test_a_closed_stream_is_named_in_one_line(words, closed, said, tmp_path):
    command = [sys.executable, "-m", "facecheck", *words.replace("OUT", str(tmp_path / "scan.jsonl")).split()]
    shell = ["sh", "-c", f'"$@" {closed}', "sh"]
    ran = subprocess.run([*shell, *command], cwd=ROOT, capture_output=True, text=True, check=False)
    assert (ran.returncode, ran.stdout, ran.stderr) == (1, "", said)


def test_a_closed_pipe_is_1_without_a_word():
    reader, writer = os.pipe()
    os.close(reader)
    ran = run("model", "list", stdout=writer)
    os.close(writer)
    assert (ran.returncode, ran.stderr) == (1, "")


@pytest.mark.parametrize(
    ("problem", "code", "said"),
    [
        (KeyboardInterrupt(), 130, "Stopped."),
        (OSError(28, "No space left on device", "/data/rows"), 1, "Error: /data/rows: No space left on device"),
        (ModelError("no model here"), 1, "Error: no model here"),
    ],
)
def test_every_command_ends_in_one_line(monkeypatch, problem, code, said):
    def fail() -> None:
        raise problem

    for real in (main, training.main, data_generation.main, demo.main):
        tried = type(real)("tried", callback=lambda: None)
        tried.get_command = lambda *_: click.Command("fails", callback=fail)
        result = CliRunner().invoke(tried, ["fails"])
        advice = real.when_full if isinstance(problem, OSError) else ""
        assert (result.exit_code, result.output.strip()) == (code, said + advice)


@pytest.mark.parametrize("budget", ["nan", "0", "1", "-inf"])
@pytest.mark.parametrize("command", ["predict", "scan"])
def test_a_budget_is_a_share(command, budget):
    result = CliRunner().invoke(main, [command, "photo.jpg", f"--max-fpr={budget}"])
    assert result.exit_code == 2 and "between 0 and 1" in result.output
