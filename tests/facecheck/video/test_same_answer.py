"""The same clip gives the same verdict and the same people through scan, the library, the routes and on the page."""

import base64
import json
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
from fastapi import FastAPI
from starlette.testclient import TestClient

from demo.page import timeline
from demo.server.api import Metrics, add_api
from demo.server.service import Service
from demo.server.uploads import Uploads
from facecheck.result import ModelInfo
from facecheck.scan.rows import Candidate, Judge, Settings
from facecheck.video.judging import judge_clip
from tests.clips import fake_in_two_of_ten, red, steady, turned_by_metadata, turns_away, two_cross, write_clip


@pytest.fixture(scope="module")
def clips(tmp_path_factory, woman, astronaut_head) -> dict[str, Path]:
    folder = tmp_path_factory.mktemp("clips")
    frames = {
        "steady": steady(woman),
        "generated": steady(red(woman)),
        "two of ten": fake_in_two_of_ten(woman),
        "turns away": turns_away(woman),
        "cross": two_cross(woman, red(astronaut_head)),
        "turned": [np.rot90(pixels) for pixels in steady(woman)],
    }
    files = {name: write_clip(folder / f"{name}.mp4", each) for name, each in frames.items()}
    files["turned"].write_bytes(turned_by_metadata(files["turned"].read_bytes(), 1))
    return files


@pytest.mark.parametrize(
    ("name", "verdict", "people"),
    [
        ("steady", "real", 1), ("generated", "fake", 1), ("two of ten", "uncertain", 1), ("turns away", "real", 1),
        ("cross", "fake", 2), ("turned", "real", 1),
    ],
)  # fmt: skip
def test_every_way_to_ask_gives_the_same_answer(clips, red_checker, name, verdict, people):
    path = clips[name]
    library = judge_clip(path, red_checker)
    info = ModelInfo("redness", "0", "")
    (row,) = Judge(Settings(info), lambda: red_checker).judged([Candidate.at(str(path))])
    service = Service(lambda: red_checker, 1, 1)
    app = FastAPI()
    add_api(app, service, Metrics(service, Uploads(1 << 20, 60)))
    sent = {"pictures": [{"name": "clip", "data": base64.b64encode(path.read_bytes()).decode()}]}
    (from_api,) = TestClient(app).post("/api/v1/predict", json=sent).json()["predictions"]
    on_page = service.judge_clip(path.read_bytes())
    html = timeline.answer(on_page, red_checker.decision)
    assert library.prediction.verdict == verdict and library.people == people
    assert (row["verdict"], row["clip"]["people"], len(row["faces"])) == (verdict, people, people)
    assert f'data-verdict="{verdict}"' in html
    assert html.count("<polyline") == html.count('<li class="rc-card') == people
    assert (from_api["verdict"], len(from_api["faces"])) == (verdict, people)
    expected = replace(library.prediction, source="clip", timing_ms=on_page.prediction.timing_ms)
    assert on_page.prediction == expected
    faces = json.loads(json.dumps(expected.to_dict()["faces"]))
    assert json.loads(json.dumps(row["faces"])) == from_api["faces"] == faces
