"""Who imports whom in demo: the arrows run one way, between rooms and between files."""

import ast
from graphlib import TopologicalSorter
from pathlib import Path

import demo

FOLDER = Path(demo.__file__).parent
MAY_IMPORT = {
    "settings": set(),
    "texts": set(),
    "server": {"settings", "texts"},
    "feedback": {"settings"},
    "page": {"server", "feedback", "settings", "texts"},
    "app": {"page", "server", "feedback", "settings", "texts"},
    "cli": {"app", "feedback", "server", "settings"},
    "__main__": set(),
}


def imports() -> dict[str, set[str]]:
    """The modules of demo that each of them imports, at its top or later."""
    names = {".".join(("demo", *path.relative_to(FOLDER).with_suffix("").parts)): path for path in FOLDER.rglob("*.py")}
    found = {}
    for name, path in names.items():
        nodes = [node for node in ast.walk(ast.parse(path.read_text())) if isinstance(node, ast.ImportFrom)]
        targets = {f"{node.module}.{alias.name}" for node in nodes for alias in node.names}
        targets |= {str(node.module) for node in nodes}
        found[name] = targets & set(names)
    return found


def test_rooms_import_only_those_below_them():
    for name, targets in imports().items():
        room = name.split(".")[1]
        others = {target.split(".")[1] for target in targets} - {room}
        assert others <= MAY_IMPORT.get(room, set()), name


def test_no_two_files_import_each_other_in_a_circle():
    found = imports()
    assert len(found) > 20 and any(found.values())
    TopologicalSorter(found).prepare()
