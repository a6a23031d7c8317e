"""Which engine runs where; what cannot be had says what to do."""

import sys
from dataclasses import replace

import pytest

from facecheck.engines import choosing, quantised, runtime
from facecheck.engines.choosing import choose
from facecheck.engines.quantised import Loss, Quantised
from facecheck.errors import DeviceError

GOOD = Loss("clean", 1000, 0.995, 0.994, 0.997)


@pytest.fixture
def machine(monkeypatch):
    """A machine with or without OpenVINO, native bf16, and a graphics card."""

    def made(installed=True, fastest="bf16", cuda=False):
        monkeypatch.setattr(runtime, "installed", lambda: installed)
        monkeypatch.setattr(runtime, "fastest_precision", lambda: fastest)
        monkeypatch.setattr(choosing, "cuda_possible", lambda: cuda)
        monkeypatch.setattr("facecheck.engines.torch.torch.cuda.is_available", lambda: cuda)

    return made


@pytest.mark.parametrize(
    ("here", "asked", "chosen"),
    [
        ({}, (), "openvino bf16"),
        ({}, ("cpu",), "openvino bf16"),
        ({"fastest": "f32"}, (), "openvino f32"),
        ({"installed": False}, (), "torch f32"),
        ({"cuda": True}, (), "torch f32 on cuda"),
        ({"cuda": True}, ("cpu",), "openvino bf16"),
        ({"cuda": True}, ("auto", "openvino"), "openvino bf16"),
        ({}, ("auto", "torch"), "torch f32"),
        ({}, ("cuda:1",), "torch f32 on cuda:1"),
        ({}, ("cuda", "auto", "f16"), "torch f16 on cuda"),
        ({}, ("cpu", "torch", "bf16"), "torch bf16"),
        ({}, ("cpu", "auto", "f32"), "openvino f32"),
        ({}, ("cpu", "auto", "int8"), "openvino int8"),
        ({"cuda": True}, ("auto", "auto", "bf16"), "torch bf16 on cuda"),
    ],
)
def test_the_choice(machine, here, asked, chosen):
    machine(**here)
    assert str(choose(*asked)) == chosen


@pytest.mark.parametrize(
    ("asked", "remedy"),
    [
        (("cpu", "tensorrt"), r"no engine 'tensorrt'; use one of auto, torch, openvino"),
        (("cpu", "auto", "int4"), r"no precision 'int4'; use one of auto, f32, bf16, f16, int8"),
        (("cuda", "openvino"), "use device 'cpu' or engine 'torch'"),
        (("cpu", "torch", "int8"), "needs engine 'openvino'"),
        (("cuda", "auto", "int8"), "needs engine 'openvino' on the CPU"),
        (("cpu", "torch", "f16"), "use 'f32' or 'bf16'"),
        (("cpu", "auto", "f16"), "use 'f32' or 'bf16'"),
        (("cpu", "openvino", "f16"), "use 'auto' or 'f32'"),
        (("cpu", "openvino", "bf16"), "use 'auto' or 'f32'"),
    ],
)
def test_what_does_not_go_together_is_refused(machine, asked, remedy):
    machine(fastest="f32")
    with pytest.raises(DeviceError, match=remedy):
        choose(*asked)


def test_int8_is_chosen_only_where_it_answers_the_same(machine):
    machine()
    few = replace(GOOD, pictures=999)
    bad_auc, few_agree = Loss("web", 1000, 0.995, 0.9929, 0.999), Loss("web", 1000, 0.995, 0.995, 0.994)
    for losses, precision in (
        ((GOOD,), "int8"),
        ((GOOD, bad_auc), "bf16"),
        ((GOOD, few_agree), "bf16"),
        ((GOOD, few), "bf16"),
        ((), "bf16"),
    ):
        assert choose("cpu", quantised=Quantised("w", {}, 300, losses)).precision == precision
    assert choose("cpu", "torch", quantised=Quantised("w", {}, 300, (GOOD,))).precision == "f32"
    assert choose("cpu", precision="f32", quantised=Quantised("w", {}, 300, (GOOD,))).precision == "f32"


def test_the_table_of_losses_survives_json_and_foreign_ones_are_refused():
    table = Quantised("w", {"a.xml": "1"}, 300, (GOOD,))
    assert Quantised.from_json(table.to_json()) == table
    assert GOOD.drop == pytest.approx(0.001)
    for text in ("", "[]", "{}", '{"losses": 3}', '{"losses": [], "surprise": 1}'):
        with pytest.raises(ValueError):
            quantised.Quantised.from_json(text)


def test_a_driver_is_a_sign_of_a_graphics_card(monkeypatch, tmp_path):
    monkeypatch.setattr(choosing.shutil, "which", lambda _: None)
    monkeypatch.setattr(choosing, "DRIVERS", (str(tmp_path / "nvidia*"),))
    assert not choosing.cuda_possible()
    (tmp_path / "nvidia0").touch()
    assert choosing.cuda_possible()
    monkeypatch.setattr(choosing, "DRIVERS", ())
    monkeypatch.setattr(choosing.shutil, "which", lambda _: "/usr/bin/nvidia-smi")
    assert choosing.cuda_possible()
    monkeypatch.setattr(sys, "platform", "win32")
    monkeypatch.setenv("SYSTEMROOT", str(tmp_path))
    assert not choosing.cuda_possible()
    (tmp_path / "System32").mkdir()
    (tmp_path / "System32" / "nvcuda.dll").touch()
    assert choosing.cuda_possible()
