import json
import os
import signal
import subprocess
import sys
import time
from pathlib import Path

import pytest
from click.testing import CliRunner

from data_generation.cli import main
from data_generation.plan import make_plan
from data_generation.record import read_prompts

KEY = "sk-verysecret-0123456789abcdef"
ROOT = Path(__file__).parents[3]


@pytest.fixture
def plan_path(tmp_path, small_plan):
    small_plan.save(tmp_path / "plan.json")
    return tmp_path / "plan.json"


@pytest.fixture
def prompts(plan_path, tmp_path):
    """Runs the command on the small plan."""

    def run(*options, **environment):
        environment = {"OPENAI_API_KEY": None} | environment
        return CliRunner(env=environment).invoke(main, ["prompts", str(plan_path), str(tmp_path / "out"), *options])

    return run


def test_without_a_key_the_template_writes(prompts, tmp_path):
    result = prompts()
    assert result.exit_code == 0, result.output
    assert "20 prompts, 20 new" in result.output
    assert {prompt.writer for prompt in read_prompts(tmp_path / "out")} == {"template"}


def test_with_a_key_the_model_writes_and_its_cost_is_reported(prompts, server, tmp_path):
    result = prompts("--base-url", server.url, "--price-in", "1", "--price-out", "10", OPENAI_API_KEY=KEY)
    assert result.exit_code == 0, result.output
    assert "3 requests, 300 tokens in, 120 tokens out, cost 0.0015" in result.output
    assert {prompt.writer for prompt in read_prompts(tmp_path / "out")} == {"openai"}


def test_the_key_may_come_from_another_variable(prompts, server):
    server.always = "401"
    result = prompts("--base-url", server.url, "--key-env", "MY_KEY", MY_KEY=KEY)
    assert result.exit_code == 1
    assert "you sent Bearer [key]" in result.output
    assert KEY not in result.output


def test_errors_are_one_line(prompts, server, tmp_path):
    result = prompts("--writer", "openai")
    assert (result.exit_code, result.output.count("\n")) == (1, 1)
    assert "$OPENAI_API_KEY is empty" in result.output
    server.always = "500"
    result = prompts("--base-url", server.url, "--retries", "1", "--backoff", "0.001")
    assert result.exit_code == 1
    assert "2 requests, 2 of them failed" in result.output
    assert result.output.splitlines()[-1].startswith("Error: no answer from http://127.0.0.1")
    (tmp_path / "out").write_text("no prompt\n")
    assert "line 1, is not a prompt" in prompts().output


@pytest.mark.parametrize("command", ["plan", "prompts"])
def test_help_has_an_example(command):
    assert "Example" in CliRunner().invoke(main, [command, "--help"]).output


@pytest.mark.slow
def test_killed_at_any_moment_nothing_is_lost_or_doubled(server, tmp_path):
    made = make_plan(60, seed=2)
    made.save(tmp_path / "plan.json")
    out = tmp_path / "out"
    server.delay = 0.02
    command = [sys.executable, "-m", "data_generation", "prompts", str(tmp_path / "plan.json"), str(out)]
    options = ["--base-url", server.url, "--batch", "2"]
    environment = os.environ | {"OPENAI_API_KEY": KEY, "PYTHONPATH": str(ROOT)}
    with subprocess.Popen([*command, *options], env=environment, cwd=ROOT, stdout=subprocess.PIPE) as process:
        deadline = time.monotonic() + 120
        while not (out.exists() and out.read_bytes().count(b"\n") >= 12) and time.monotonic() < deadline:
            time.sleep(0.005)
        process.send_signal(signal.SIGKILL)
    time.sleep(0.2)  # the server may still be reading a request
    kept = read_prompts(out)
    assert 12 <= len(kept) < 60
    with out.open("ab") as stream:
        stream.write(json.dumps(vars(kept[0])).encode()[:50])
    server.requests.clear()
    result = CliRunner(env={"OPENAI_API_KEY": KEY}).invoke(main, [*command[3:], *options])
    assert result.exit_code == 0, result.output
    prompts = read_prompts(out)
    assert prompts[: len(kept)] == kept
    assert sorted(prompt.cell for prompt in prompts) == sorted(cell.id for cell in made.cells)
    assert len({prompt.id for prompt in prompts}) == 60
    assert sum(server.asked()) == 60 - len(kept)
