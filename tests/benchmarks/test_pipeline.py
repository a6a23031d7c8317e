import dataclasses
import json
from pathlib import Path

import numpy as np
import pytest
import torch
from click.testing import CliRunner
from PIL import Image
from torch.autograd import DeviceType
from torch.autograd.profiler_util import FunctionEvent

from benchmarks import footprint, pipeline
from benchmarks.footprint import first_line_s, seconds_and_peak
from benchmarks.harness import Bench, NaiveStack
from benchmarks.inputs import ALL, CROWDS, PORTRAITS, QUICK, make_inputs
from facecheck import crop
from facecheck.checker import FaceChecker

ONCE = dataclasses.replace(QUICK, rounds=1, uncounted=0)


@pytest.mark.slow
def test_quick_run(
    two_photos: Path, tmp_path: Path, small_default_model: None, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Everything that needs no process of its own, once."""
    monkeypatch.setattr(pipeline, "QUICK", ONCE)
    out = tmp_path / "out.json"
    parts = [f"--part={name}" for name in ("contests", "verdicts", "limits", "growth", "engines")]
    done = CliRunner().invoke(
        pipeline.main,
        ["--photos", str(two_photos), "--faces", str(two_photos), "--quick", "--json", str(out), *parts],
        catch_exceptions=False,
    )
    assert done.exit_code == 0, done.output
    found = json.loads(out.read_text())
    assert found["settings"] == json.loads(json.dumps(dataclasses.asdict(ONCE)))
    assert found["machine"]["packages"]["torch"]
    assert set(found["parts"]) == {"contests", "verdicts", "limits", "growth", "engines"}
    sets = {each["name"]: each for each in found["parts"]["contests"]["raw"]["sets"]}
    assert list(sets) == ["portraits", "phone 2 MP", "crowds", "all photos"]
    portraits, crowd = sets["portraits"], sets["crowds"]
    assert np.shape(portraits["naive_s"]) == np.shape(portraits["single_s"]) == (1, 2)
    assert portraits["agreement"]["matched"] == portraits["agreement"]["same_faces"] == 2
    assert crowd["agreement"]["naive_faces"] == crowd["agreement"]["matched"] == 6
    # The two photos, and the same once more as stored faces.
    assert found["parts"]["verdicts"]["raw"]["agreement"]["pictures"] == 4
    limits, engines = (found["parts"][name]["raw"] for name in ("limits", "engines"))
    assert list(limits["parts_ms"]) == ["read", "decode", "detect", "cut", "classify"]
    assert list(limits["bare_s"]) == ["1", "4"]
    assert engines["faces"] == 2
    assert engines["same_verdicts"]["torch f32"] == 1
    assert set(engines["face_s"]) | set(engines["missing"]) >= {"torch bf16", "openvino f32", "openvino int8"}
    assert list(found["parts"]["growth"]["raw"]["pictures_s"]) == ["1", "5"]
    assert "| throughput, portraits | >= 5 |" in done.output
    assert "\n## Bars\n" in done.output


def test_work_of_a_gpu_is_counted() -> None:
    def event(name: str, device: DeviceType, annotation: bool = False) -> FunctionEvent:
        return FunctionEvent(1, name, 0, 0, 1, device_type=device, is_user_annotation=annotation)

    on_gpu = [
        *(["Memcpy HtoD (Pageable -> Device)"] * 4),
        *(["Memcpy DtoH (Device -> Pageable)"] * 2),
        *(["Memcpy DtoD (Device -> Device)", "Memset (Device)"]),
        *(["sm90_xmma_fprop_implicit_gemm", "void at::native::vectorized_elementwise_kernel"] * 5),
    ]
    events = [event(name, DeviceType.CUDA) for name in on_gpu]
    events += [event("aten::conv2d", DeviceType.CPU), event("ProfilerStep#1", DeviceType.CUDA, annotation=True)]
    assert footprint.counted(events, 2) == footprint.Asked(kernels=5, copies_there=2, copies_back=1)


@pytest.mark.slow
@pytest.mark.parametrize(
    "device", ["cpu", pytest.param("cuda", marks=pytest.mark.skipif(not torch.cuda.is_available(), reason="no GPU"))]
)
def test_launches_where_it_runs(device: str, two_photos: Path, tmp_path: Path, small_default_model: None) -> None:
    out = tmp_path / "out.json"
    words = ["--photos", str(two_photos), "--quick", "--part", "launches", "--device", device, "--json", str(out)]
    done = CliRunner().invoke(pipeline.main, words, catch_exceptions=False)
    assert done.exit_code == 0, done.output
    asked = json.loads(out.read_text())["parts"]["launches"]["raw"]["asked"]
    assert list(asked) == ["portraits", "phone 2 MP", "crowds", "all photos"]
    for naive, single, folder in asked.values():
        for each in (naive, single, folder):
            assert (each["kernels"] > 0, each["copies_there"] > 0, each["copies_back"] > 0) == ((device != "cpu"),) * 3


def test_a_device_that_is_not_there() -> None:
    done = CliRunner().invoke(pipeline.main, ["--device", "cuda:99"])
    assert done.exit_code == 2
    assert "device 'cuda:99' is not available" in done.output


def test_pictures_are_made_as_told(two_photos: Path, tmp_path: Path) -> None:
    settings = dataclasses.replace(QUICK, megapixels=(2, 3), most=None, face_counts=(1, 3))
    made = make_inputs(two_photos, two_photos, tmp_path, settings)
    assert made.source == str(two_photos)
    assert [path.name for path in made.named(ALL).paths] == ["astronaut.png", "grace.jpg"]
    assert [path.name for path in made.named(PORTRAITS).paths] == ["astronaut.png", "grace.jpg"]
    for megapixels in (2, 3):
        (path,) = made.named(f"phone {megapixels} MP").paths
        width, height = _size(path)
        assert megapixels * 1e6 <= width * height < megapixels * 1.005e6
    assert [_size(path) for path in made.named(CROWDS).paths] == [(720, 480)]
    assert {count: _size(path) for count, path in made.mosaics.items()} == {1: (480, 480), 3: (480, 480)}
    assert {path.name for path in made.stored_faces} == {"astronaut.png", "grace.jpg"}
    assert all(max(_size(path)) == 256 for path in made.small)


def test_without_photos_it_uses_packaged_ones_and_says_so(tmp_path: Path) -> None:
    made = make_inputs(tmp_path / "none", tmp_path / "none", tmp_path, QUICK)
    assert "no photos at" in made.source
    assert not made.stored_faces
    assert [max(_size(path)) for path in made.named(PORTRAITS).paths] == [600, 600]


def test_naive_stack_scores_what_it_cut_like_the_reference(
    naive: NaiveStack, grace_path: Path, grace: np.ndarray
) -> None:
    found = naive.predict(grace_path)
    (face,) = found.faces
    reference = FaceChecker(device="cpu", engine="torch", precision="f32")
    config = reference.config
    cut = crop.face(grace, face.box, config.input_size, config.crop_margin)
    assert reference.p_fake(cut[None], face_px=[face.size_px])[0] == pytest.approx(face.p_fake, abs=1e-4)
    assert found.size == (grace.shape[1], grace.shape[0])
    assert min(found.timing_ms.decode, found.timing_ms.detect, found.timing_ms.classify) > 0


def test_naive_stack_takes_pictures_without_faces(naive: NaiveStack, tmp_path: Path) -> None:
    Image.new("L", (64, 48)).save(tmp_path / "black.png")
    assert naive.predict(tmp_path / "black.png").verdict == "no_face"


def test_first_line_is_timed_not_the_end() -> None:
    script = "import os, time; print(os.environ['WORD'], flush=True); time.sleep(1.5)"
    assert first_line_s(["-c", script], {"WORD": "x"}) < 1.5
    with pytest.raises(RuntimeError, match="ended with 3"):
        first_line_s(["-c", "print(1); raise SystemExit(3)"], {})


def test_peak_is_the_childs_own(tmp_path: Path) -> None:
    """This process holds torch; a small child holds little, and one more megabyte for each that it takes."""
    small = seconds_and_peak("timeit", ["-n1", "-r1", "pass"])[1]
    large = seconds_and_peak("timeit", ["-n1", "-r1", "bytearray(b'x') * 200_000_000"])[1]
    assert small < 60e6
    assert large - small == pytest.approx(200e6, rel=0.1)
    with pytest.raises(RuntimeError, match="No module named"):
        seconds_and_peak("no_such_module", [])


def test_starts_share_one_cache(bench: Bench, monkeypatch: pytest.MonkeyPatch) -> None:
    calls: list[tuple[str, str]] = []

    def timed(arguments: list[str], environment: dict[str, str]) -> float:
        calls.append((arguments[1], environment["FACECHECK_CACHE"]))
        return {"benchmarks.harness": 3.0, "facecheck": 9.0 if len(calls) == 1 else 1.5}[arguments[1]]

    monkeypatch.setattr(footprint, "first_line_s", timed)
    found = footprint.run_starts(bench)
    assert calls[0][0] == "facecheck"
    assert len({cache for _, cache in calls}) == 1
    assert not Path(calls[0][1]).exists()
    assert (found.first_s, found.naive_s, found.facecheck_s) == (9.0, [3.0], [1.5])
    (bar,) = found.bars()
    assert (bar.measured, bar.reached) == (2.0, True)


@pytest.mark.slow
def test_scans_of_small_pictures(bench: Bench) -> None:
    found = footprint.run_scans(bench)
    assert [run.pictures for run in (found.smaller, found.larger, found.again)] == [3, 6, 6]
    assert found.again.seconds < found.larger.seconds
    size, again = found.bars()
    assert size.measured == found.larger.peak / found.smaller.peak
    assert again.measured == found.larger.seconds / found.again.seconds


@pytest.fixture
def bench(two_photos: Path, tmp_path: Path, naive: NaiveStack, default_checker: FaceChecker) -> Bench:
    return Bench(naive, default_checker, make_inputs(two_photos, two_photos, tmp_path, ONCE), ONCE, tmp_path)


def _size(path: Path) -> tuple[int, int]:
    with Image.open(path) as opened:
        return opened.size
