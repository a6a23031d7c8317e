"""The interface for programs answers as the library does."""

import base64
import json
import tempfile

import httpx
import pytest
from openapi_spec_validator import validate
from PIL import Image

from demo.settings import Settings
from facecheck.result import Prediction
from tests.clips import frame, head, write_clip
from tests.demo.conftest import as_file, serving

JSON = {"content-type": "application/json"}


def without_timing(values: dict) -> dict:
    return {key: value for key, value in values.items() if key != "timing_ms"}


@pytest.fixture(scope="module")
def files(portrait, cat) -> list[tuple[str, bytes]]:
    return [("grace.jpg", portrait), ("cat.png", as_file(Image.fromarray(cat), "PNG")), ("bad.jpg", b"no picture")]


def test_a_form_and_json_give_the_librarys_answers_in_order(small_server, files, checker):
    form = httpx.post(f"{small_server}/api/v1/predict", files=[("files", file) for file in files], timeout=60)
    pictures = [{"name": name, "data": base64.b64encode(data).decode()} for name, data in files]
    body = httpx.post(f"{small_server}/api/v1/predict", json={"pictures": pictures}, timeout=60)
    assert form.status_code == body.status_code == 200
    answers = form.json()["predictions"]
    expected = [json.loads(json.dumps(one.to_dict())) for one in checker.predict([data for _, data in files])]
    assert [answer["source"] for answer in answers] == ["grace.jpg", "cat.png", "bad.jpg"]
    for answer, same, library in zip(answers, body.json()["predictions"], expected, strict=True):
        assert without_timing(answer) == without_timing(same)
        assert (answer["verdict"], answer["p_fake"]) == (library["verdict"], pytest.approx(library["p_fake"], abs=1e-4))
        assert set(answer) == set(library)
        Prediction.from_dict(answer)
    assert answers[2]["error"].startswith("bad.jpg: not a picture") and answers[2]["verdict"] is None


def test_one_clip_may_stand_among_the_pictures(small_server, portrait, grace, tmp_path):
    clip = write_clip(tmp_path / "clip.mp4", [frame((head(grace), 90))] * 10).read_bytes()
    files = [("a.mp4", clip), ("grace.jpg", portrait), ("b.mp4", clip), ("cut.mp4", clip[:60])]
    form = httpx.post(f"{small_server}/api/v1/predict", files=[("files", file) for file in files], timeout=60)
    answers = form.json()["predictions"]
    assert [(answer["source"], len(answer["faces"]), answer["error"] is None) for answer in answers] == [
        ("a.mp4", 1, True), ("grace.jpg", 1, True), ("b.mp4", 0, False), ("cut.mp4", 0, False)
    ]  # fmt: skip
    assert answers[2]["error"] == "b.mp4: only one is judged in a request; send each by itself"
    cut = httpx.post(f"{small_server}/api/v1/predict", files=[("files", ("cut.mp4", clip[:60]))], timeout=60)
    assert cut.json()["predictions"][0]["error"].startswith("cut.mp4: a damaged video")


@pytest.mark.parametrize(
    ("sent", "status"),
    [
        ({"json": {"pictures": []}}, 422),
        ({"json": {"pictures": [{"data": "x"}] * 17}}, 422),
        ({"json": {"pictures": [{"data": "x"}], "max_fpr": 0.123}}, 422),
        ({"content": b'{"pictures": [{"data": "x"}], "max_fpr": NaN}', "headers": JSON}, 422),
        ({"content": b"{", "headers": JSON}, 422),
        ({"content": b"x", "headers": {"content-type": "multipart/form-data"}}, 400),
        ({"data": {"files": "not a file"}}, 415),
        ({"content": b"x"}, 415),
        ({"files": {"files": b"x"}, "data": {"max_fpr": "much"}}, 422),
        ({"files": {"files": b"x"}, "data": {"max_fpr": "nan"}}, 422),
        ({"content": b"x" * (4 << 20), "headers": JSON}, 413),
    ],
)  # fmt: skip
def test_bad_requests_get_a_sentence(small_server, sent, status):
    answer = httpx.post(f"{small_server}/api/v1/predict", **sent, timeout=30)
    assert answer.status_code == status, answer.text
    assert isinstance(answer.json()["detail"], str) and "Traceback" not in answer.text


def test_a_body_that_lies_about_its_length_is_cut_off(small_server):
    def chunks():
        for _ in range(5):
            yield b"x" * (1 << 20)

    answer = httpx.post(
        f"{small_server}/api/v1/predict", content=chunks(), headers={"content-type": "application/json"}
    )
    assert answer.status_code == 413


def test_no_upload_goes_through_a_file(small_server, cat, monkeypatch):
    """Of pictures above 1 MiB, where multipart parsers begin to write."""

    def refuse(*_, **__):
        raise AssertionError("an upload was written to the disk")

    monkeypatch.setattr(tempfile, "TemporaryFile", refuse)
    large = as_file(Image.fromarray(cat).resize((1200, 900)), "BMP")[: (2 << 20) - 1]
    answer = httpx.post(f"{small_server}/api/v1/predict", files=[("files", ("a.bmp", large))], timeout=60)
    assert answer.status_code == 200 and len(large) > 1 << 20


def test_a_request_has_its_share_of_pixels(small_server, cat, monkeypatch):
    monkeypatch.setattr("demo.server.api.REQUEST_PIXELS", 2 * cat.shape[0] * cat.shape[1])
    files = [("files", ("cat.png", as_file(Image.fromarray(cat), "PNG")))] * 4
    answers = httpx.post(f"{small_server}/api/v1/predict", files=files, timeout=60).json()["predictions"]
    assert [answer["error"] is None for answer in answers] == [True, True, False, False]
    assert "another" in answers[3]["error"] and answers[3]["error"].startswith("cat.png: ")


def test_odd_names_and_data_harm_nothing(small_server):
    pictures = [{"name": "\ud800<script>", "data": "@@@"}, {"data": "data:image/png,abc"}, {"data": "é"}]
    answer = httpx.post(
        f"{small_server}/api/v1/predict",
        content=json.dumps({"pictures": pictures}),
        headers={"content-type": "application/json"},
    )
    assert answer.status_code in (200, 422)
    assert (
        answer.headers["content-type"] in ("application/json", "application/problem+json")
        and answer.headers["x-content-type-options"] == "nosniff"
    )


def test_health_metrics_and_a_valid_openapi_document(small_server, portrait):
    httpx.post(f"{small_server}/api/v1/predict", files={"files": portrait}, timeout=60)
    assert httpx.get(f"{small_server}/health").json() == {"status": "ready"}
    metrics = httpx.get(f"{small_server}/metrics").text
    assert "facecheck_ready 1.0" in metrics and 'facecheck_answers_total{verdict="' in metrics
    document = httpx.get(f"{small_server}/openapi.json").json()
    validate(document)
    assert set(document["paths"]) == {"/api/v1/predict", "/health", "/metrics"}


def test_keys_password_rate_and_cors_by_option(checker, tmp_path):
    settings = Settings(
        auth=("ann", "secret"), api_keys=("k1", "k2"), rate=5, cors=("https://a.example",), feedback=tmp_path
    )
    with serving(settings, checker) as address, httpx.Client(base_url=address) as client:
        assert client.get("/health").status_code == 200
        for path in ("/", "/metrics", "/own/page.js", "/config"):
            assert client.get(path).status_code == 401
        assert client.get("/", auth=("ann", "secret")).status_code == 200
        assert client.get("/", auth=("ann", "wrong")).status_code == 401
        assert client.post("/api/v1/predict", auth=("ann", "secret")).status_code == 401
        keyed = {"x-api-key": "k2", "origin": "https://a.example"}
        answers = [client.post("/api/v1/predict", headers=keyed) for _ in range(6)]
        assert [answer.status_code for answer in answers] == [415] * 5 + [429]


ASKED = {"access-control-request-method": "POST", "access-control-request-headers": "x-api-key"}


def test_an_allowed_page_may_ask_without_a_key_and_read_every_answer(checker, tmp_path):
    settings = Settings(auth=("ann", "secret"), api_keys=("k",), rate=1, cors=("https://a.example",), feedback=tmp_path)
    with serving(settings, checker) as address, httpx.Client(base_url=address) as client:
        origin = {"origin": "https://a.example"}
        asked = [client.options("/api/v1/predict", headers=origin | ASKED) for _ in range(3)]
        sent = [client.post("/api/v1/predict", headers=origin | {"x-api-key": key}) for key in ("guess", "k", "k")]
        assert [answer.status_code for answer in asked + sent] == [200] * 3 + [401, 415, 429]
        assert {answer.headers["access-control-allow-origin"] for answer in asked + sent} == {"https://a.example"}
        result = client.options(
            "/gradio_api/call/check/0", headers=origin | ASKED | {"access-control-request-method": "GET"}
        )
        assert result.status_code == 200
        other = client.options("/api/v1/predict", headers={"origin": "https://b.example"} | ASKED)
        assert other.status_code == 400 and "access-control-allow-origin" not in other.headers


@pytest.mark.parametrize("path", ["/", "/config", "/gradio_api/info", "/health"])
def test_without_cors_no_other_page_reads_an_answer(small_server, path):
    foreign = {"host": "10.0.0.5", "origin": "https://evil.example"}
    answers = [
        httpx.get(small_server + path, headers=foreign),
        httpx.options(small_server + path, headers=foreign | ASKED),
    ]
    assert answers[0].status_code == 200
    for answer in answers:
        assert not {"access-control-allow-origin", "access-control-allow-credentials"} & set(answer.headers)
