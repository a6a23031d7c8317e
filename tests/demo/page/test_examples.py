"""Examples: photographs from the packages that carry them, as the world changes them, and generated faces."""

import io

import pytest
from PIL import Image

from demo.page.examples import FOLDER, examples
from facecheck import provenance


def test_each_example_is_a_picture_that_teaches_something_and_has_a_small_copy():
    found = {example.name: example for example in examples()}
    expected = {"photograph.jpg", "retouched.jpg", "small.jpg", "old.jpg", "crowd.jpg", "cat.jpg"}
    assert expected < set(found) and len({example.title for example in found.values()}) == len(found)
    for example in found.values():
        assert example.title and example.teaches
        with Image.open(io.BytesIO(example.data())) as picture, Image.open(io.BytesIO(example.small())) as small:
            assert picture.format in ("JPEG", "PNG") and small.size == (96, 96)
        assert len(example.small()) < 8000


@pytest.mark.parametrize(
    ("name", "faces", "verdicts"),
    [("cat.jpg", 0, {"no_face"}), ("small.jpg", 1, {"uncertain"}), ("crowd.jpg", 12, {"real", "uncertain"})],
)
def test_the_examples_teach_what_they_say(default_checker, name, faces, verdicts):
    (example,) = (one for one in examples() if one.name == name)
    answer = default_checker.predict(example.data())
    assert len(answer.faces) == faces and str(answer.verdict) in verdicts


def test_generated_faces_say_that_they_are():
    generated = [example for example in examples() if example.is_generated]
    assert generated
    for example in generated:
        assert "generated" in provenance(FOLDER / example.name).claims
