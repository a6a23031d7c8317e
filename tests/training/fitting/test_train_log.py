"""A run's log survives the run."""

import json

import pytest

from tests.full_disk import no_room
from training.fitting.train import RunLog


def test_reports_after_the_resumed_step_are_dropped(tmp_path, capsys):
    log = RunLog(tmp_path)
    for step in (20, 40, 60):
        log.report(step, loss=1 / step)
    log.close()
    with log.path.open("a") as stream:
        stream.write('{"step": 8')  # Killed while writing.
    RunLog(tmp_path, step=40).report(60, loss=0.5)
    lines = [json.loads(line) for line in log.path.read_text().splitlines()]
    assert [(line["step"], line["loss"]) for line in lines] == [(20, 0.05), (40, 0.025), (60, 0.5)]
    assert "step 60  loss 0.5" in capsys.readouterr().out


def test_a_full_disk_is_said_of_the_log(tmp_path):
    log = RunLog(tmp_path)
    with no_room(), pytest.raises(OSError, match=r"log\.jsonl"):
        log.report(20, loss=1.0)


def test_tensorboard_reads_what_was_reported(tmp_path):
    from tensorboard.backend.event_processing.event_accumulator import EventAccumulator

    log = RunLog(tmp_path, tensorboard=True)
    log.report(20, loss=0.25)
    log.close()
    events = EventAccumulator(str(tmp_path / "tensorboard"))
    events.Reload()
    assert [(event.step, event.value) for event in events.Scalars("loss")] == [(20, 0.25)]
