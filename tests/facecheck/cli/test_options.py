"""The options that say what a model runs on reach it from every command."""

import copy

import click
import pytest
from click.testing import CliRunner

from facecheck.cli import main
from facecheck.cli.options import runs_a_model
from facecheck.model.checkpoint import save_model
from facecheck.settings import CheckerSettings


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
