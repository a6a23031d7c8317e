"""What other people build on must not change by accident."""

import dataclasses
import subprocess
import sys
from enum import StrEnum
from pathlib import Path

import pytest

import facecheck


def names_of(kind: type) -> set[str]:
    if issubclass(kind, StrEnum):
        return set(kind.__members__)
    fields = {field.name for field in dataclasses.fields(kind)} if dataclasses.is_dataclass(kind) else set()
    return fields | {name for name in vars(kind) if not name.startswith("_")}


def test_public_names_are_the_checked_in_ones():
    for line in (Path(__file__).parents[1] / "public_names.txt").read_text().splitlines():
        owner, _, names = line.partition(": ")
        actual = set(facecheck.__all__) if owner == "facecheck" else names_of(getattr(facecheck, owner))
        assert actual == set(names.split(", ")), owner


def test_every_public_noun_is_in_the_list_and_its_instances_do_not_change():
    kinds = {name: kind for name in facecheck.__all__ if isinstance(kind := getattr(facecheck, name), type)}
    nouns = {name: kind for name, kind in kinds.items() if not issubclass(kind, Exception)}
    listed = (Path(__file__).parents[1] / "public_names.txt").read_text().splitlines()
    assert {line.partition(": ")[0] for line in listed} == {"facecheck", *nouns}
    loose = [name for name, kind in nouns.items() if dataclasses.is_dataclass(kind) and not kind.__hash__]
    assert not loose, "not frozen"


def test_all_is_sorted_and_every_name_resolves():
    assert facecheck.__all__ == sorted(facecheck.__all__)
    assert all(getattr(facecheck, name) is not None for name in facecheck.__all__)
    assert set(facecheck.__all__) <= set(dir(facecheck))
    assert not hasattr(facecheck, "no_such_name")


@pytest.mark.parametrize("name", ["explain", "provenance"])
@pytest.mark.parametrize(
    "earlier", ["", "facecheck.checker", "facecheck.explain.explanation", "facecheck.provenance.reader"]
)
def test_a_function_named_like_its_package_is_itself_in_any_order(name, earlier):
    before = f"import {earlier}; " if earlier else ""
    after = f"import {earlier or 'facecheck.checker'}, facecheck.explain.explanation, facecheck.provenance.reader; "
    code = (
        f"import types, importlib; {before}from facecheck import {name} as first; {after}"
        f"import facecheck; from facecheck import {name} as last; from facecheck.{name} import __doc__ as text;"
        f"assert first is last is facecheck.{name} and isinstance(first, types.FunctionType), first;"
        f"assert isinstance(importlib.import_module('facecheck.{name}'), types.ModuleType) and text"
    )
    subprocess.run([sys.executable, "-c", code], check=True)


def test_import_has_no_side_effects():
    code = (
        "import sys, warnings; before = list(warnings.filters); import facecheck;"
        "assert warnings.filters == before;"
        "heavy = {'torch', 'torchvision', 'gradio', 'diffusers', 'openai', 'cv2', 'PIL', 'numpy'} & set(sys.modules);"
        "assert not heavy, heavy"
    )
    subprocess.run([sys.executable, "-W", "default", "-c", code], check=True)


def test_loading_the_detector_leaves_the_warning_filters_alone():
    code = (
        "import torch, torchvision, cv2, warnings; before = list(warnings.filters);"
        "from facecheck.detection.detector import FaceDetector; FaceDetector(); assert warnings.filters == before"
    )
    subprocess.run([sys.executable, "-c", code], check=True)


def test_every_error_is_a_facecheck_error():
    for name in ("ImageError", "ModelError", "DeviceError"):
        assert issubclass(getattr(facecheck, name), facecheck.FacecheckError)
