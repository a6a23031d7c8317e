"""Examples: photographs from the packages that carry them, generated faces from the repository."""

from PIL import Image

from demo.page.examples import FOLDER, examples
from facecheck import provenance


def test_photographs_come_from_installed_packages_and_come_first(grace_path):
    found = examples()
    assert [example.kind for example in found] == ["photograph"] * 2 + ["generated"] * 2
    assert [example.title for example in found[:2]] == ["Grace Hopper", "Eileen Collins"]
    assert found[0].path.samefile(grace_path)
    assert not any(example.path.is_relative_to(FOLDER) for example in found[:2])


def test_generated_faces_say_that_they_are():
    for example in examples()[2:]:
        with Image.open(example.path) as picture:
            assert picture.size == (64, 64)
        assert "generated" in provenance(example.path).claims
