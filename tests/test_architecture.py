"""The house as its imports show it: no circle between two files, and no arrow against the plan.

Every import counts: at the top of a file, inside a function, and those that only a type checker reads. One file is left
out, `facecheck/__init__.py`: it resolves the public names by text on first use, and whoever reads the version from it
would otherwise seem to read all of them.
"""

import ast
from graphlib import CycleError, TopologicalSorter
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[1]
PACKAGES = {
    "facecheck": set(),
    "training": {"facecheck"},
    "data_generation": {"facecheck", "training"},
    "demo": {"facecheck"},
    "benchmarks": {"facecheck", "training", "data_generation", "demo"},
}
"""What each package may import of the others."""
ROOMS = (
    {"errors", "interrupts", "sanitising"},
    {"files", "values"},
    {"decoding"},
    {"error_rates", "image", "ledger"},
    {"provenance", "annotation"},
    {"result", "batching"},
    {"model"},
    {"crop", "calibration", "engines"},
    {"quality", "detection", "stability"},
    {"checker"},
    {"settings", "video"},
    {"explain"},
    {"scan"},
    {"review"},
    {"cli"},
    {"__main__"},
)
"""facecheck's rooms from the ground up: each imports those below it, and its own files."""


def modules() -> dict[str, Path]:
    found = {}
    for path in (path for package in PACKAGES for path in (ROOT / package).rglob("*.py")):
        parts = path.relative_to(ROOT).with_suffix("").parts
        found[".".join(parts[:-1] if parts[-1] == "__init__" else parts)] = path
    del found["facecheck"]
    return found


def imported(path: Path, known: dict[str, Path]) -> set[str]:
    names = set()
    for node in ast.walk(ast.parse(path.read_text())):
        if isinstance(node, ast.Import):
            names |= {alias.name for alias in node.names}
        elif isinstance(node, ast.ImportFrom):
            assert node.level == 0, f"{path} imports relatively"
            members = {f"{node.module}.{alias.name}" for alias in node.names}
            names |= {member if member in known else str(node.module) for member in members}
    return names & known.keys()


@pytest.fixture(scope="module")
def graph() -> dict[str, set[str]]:
    known = modules()
    return {name: imported(path, known) - {name} for name, path in known.items()}


def test_the_imports_are_read(graph):
    assert "facecheck.checker" in graph["facecheck.explain.explanation"]  # At the top,
    assert "facecheck.engines.torch" in graph["facecheck.engines.classifier"]  # inside a function,
    assert "facecheck.checker" in graph["facecheck.settings"]  # and for types.


def test_no_two_files_import_each_other_however_far_apart(graph):
    try:
        TopologicalSorter(graph).prepare()
    except CycleError as error:
        pytest.fail(" -> ".join(error.args[1]))


def test_packages_import_what_they_may(graph):
    wrong = [
        f"{name} imports {other}"
        for name, others in graph.items()
        for other in others
        if (here := name.split(".")[0]) != (there := other.split(".")[0]) and there not in PACKAGES[here]
    ]
    assert not wrong


def test_arrows_inside_the_library_point_down(graph):
    floor = {room: number for number, rooms in enumerate(ROOMS) for room in rooms}
    library = {name: others for name, others in graph.items() if name.startswith("facecheck.")}
    assert {name.split(".")[1] for name in library} == floor.keys()
    wrong = [
        f"{name} imports {other}"
        for name, others in library.items()
        for other in others
        if (here := name.split(".")[1]) != (there := other.split(".")[1]) and floor[there] >= floor[here]
    ]
    assert not wrong
