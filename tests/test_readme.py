"""The README and the docs hold: their examples run, their commands exist, nothing of the command line is missing."""

import re
import shlex
from pathlib import Path

import pytest

from facecheck.cli import main
from tests.commands import names_of, parse

ROOT = Path(__file__).parents[1]
README = (ROOT / "README.md").read_text()
DOCS = {path.name: path.read_text() for path in sorted((ROOT / "docs").glob("*.md")) if not path.is_symlink()}
COMMANDS = {
    line.strip() for text in (README, *DOCS.values()) for line in text.splitlines() if line.startswith("    facecheck ")
}
RECIPES = re.findall(r"^## (.+?)\n(.*?)(?=^## |\Z)", DOCS["python.md"], re.M | re.S)


def examples(text: str) -> list[str]:
    return re.findall(r"```python\n(.*?)```", text, re.S)


def test_it_is_short():
    assert len(README.splitlines()) <= 120


def test_the_python_example_runs(tmp_path, monkeypatch, grace_path, capsys):
    (tmp_path / "photo.jpg").write_bytes(grace_path.read_bytes())
    monkeypatch.chdir(tmp_path)
    (example,) = examples(README)
    exec(compile(example, "README.md", "exec"), {})
    assert "missing.jpg: no such file" in capsys.readouterr().out


def test_every_promise_has_a_test():
    promised = set(re.findall(r"`(test_\w+)`", (ROOT / "SECURITY.md").read_text()))
    tests = "\n".join(path.read_text() for path in (ROOT / "tests").rglob("test_*.py"))
    assert len(promised) > 20 and promised <= set(re.findall(r"^def (test_\w+)\(", tests, re.M))


@pytest.mark.parametrize("line", sorted(COMMANDS))
def test_every_command_is_one_that_exists(line):
    words = shlex.split(re.split(r" #|>", line)[0])[1:]
    parse(main, words)


def test_every_command_and_option_is_mentioned():
    told = README + DOCS["command-line.md"]
    assert [name for name in names_of(main, "facecheck") if name not in told] == []


def test_the_model_card_and_the_docs_agree_on_the_quality():
    card = (ROOT / "facecheck" / "weights" / "MODEL_CARD.md").read_text()
    rows = re.findall(r"^\| (?:clean|web|hard) \|.*$", DOCS["quality.md"], re.M)
    assert len(rows) == 3
    assert all(row in card for row in rows)


def test_ci_runs_the_readmes_test_command():
    assert README.count("-m pytest") == 1
    assert "grep -m 1 -- '-m pytest' README.md" in (ROOT / ".ci" / "run").read_text()


@pytest.mark.parametrize("name", ["../README.md", *DOCS])
def test_linked_files_exist(name):
    text = (ROOT / "docs" / name).read_text()
    links = [link for link in re.findall(r"\]\(([^)#]+)(?:#[^)]*)?\)", text) if not link.startswith(("http", "mailto"))]
    assert [link for link in links if not (ROOT / "docs" / name).parent.joinpath(link).exists()] == []


def test_every_page_stands_in_the_navigation_of_the_site():
    navigation = (ROOT / "mkdocs.yml").read_text().partition("nav:")[2].partition("plugins:")[0]
    pages = {path.name for path in (ROOT / "docs").glob("*.md")}
    assert pages == set(re.findall(r"([a-z-]+\.md)", navigation))


def test_every_public_name_stands_in_the_reference():
    import facecheck

    told = DOCS["api.md"]
    for name in facecheck.__all__:
        home = getattr(facecheck, name).__module__
        assert f"::: {home}.{name}\n" in told or f"::: {home}\n" in told, name


@pytest.fixture(scope="module")
def recipes() -> dict[str, dict[str, object]]:
    """What the recipes of docs/python.md define, by their headings."""
    found: dict[str, dict[str, object]] = {}
    for heading, text in RECIPES:
        if heading in ("Jupyter", "A Django form"):
            continue
        found[heading] = {}
        exec(compile("\n".join(examples(text)), heading, "exec"), found[heading])
    return found


@pytest.fixture
def photos(tmp_path, grace_path, monkeypatch) -> list[str]:
    monkeypatch.chdir(tmp_path)
    (tmp_path / "photo.jpg").write_bytes(grace_path.read_bytes())
    (tmp_path / "broken.jpg").write_bytes(b"junk")
    return ["photo.jpg", "broken.jpg"]


def test_the_service_answers(recipes, photos):
    from fastapi.testclient import TestClient

    client = TestClient(recipes["A service with FastAPI"]["app"])
    good, bad = (client.post("/check", files={"photo": (name, Path(name).read_bytes())}) for name in photos)
    assert good.json()["verdict"] == "real"
    assert bad.status_code == 422
    assert bad.json()["detail"].startswith("broken.jpg: ")


def test_the_worker_answers_every_job(recipes, photos):
    import json
    import queue

    jobs, answers = queue.Queue(), queue.Queue()
    for name in photos:
        jobs.put((name, Path(name).read_bytes()))
    jobs.put(None)
    recipes["A queue worker"]["work"](jobs, answers)
    told = [json.loads(answers.get()) for _ in photos]
    assert [one["verdict"] for one in told] == ["real", None]
    assert [one["source"] for one in told] == photos


def test_the_column_of_pandas(recipes, photos):
    pd = pytest.importorskip("pandas")
    table = recipes["A column of pandas"]["judged"](pd.DataFrame({"path": photos}, index=[7, 9]))
    assert table["verdict"].fillna("").tolist() == ["real", ""]
    assert table.loc[9, "error"].startswith("broken.jpg: ")


def test_the_notebook_shows_the_picture(photos):
    (text,) = (text for heading, text in RECIPES if heading == "Jupyter")
    first, second = examples(text)
    names: dict[str, object] = {}
    exec(compile(first, "Jupyter", "exec"), names)
    assert "data:image/jpeg;base64," in names["answer"]._repr_html_()
    exec(compile(second, "Jupyter", "exec"), names)


def test_asyncio(recipes, photos):
    import asyncio
    from concurrent.futures import ThreadPoolExecutor

    work = recipes["asyncio"]["check_all"]({"photo.jpg": Path("photo.jpg").read_bytes()})
    with ThreadPoolExecutor(1) as pool:  # Playwright keeps an event loop running in this thread.
        (answer,) = pool.submit(asyncio.run, work).result()
    assert (answer.source, answer.verdict) == ("photo.jpg", "real")


def test_the_check_before_an_upload(recipes, photos, capsys):
    may_be_sent = recipes["A check before an upload"]["may_be_sent"]
    assert may_be_sent(Path("photo.jpg"))
    assert not may_be_sent(Path("broken.jpg"))
    assert "broken.jpg: could not be read" in capsys.readouterr().err


@pytest.mark.slow  # Two processes load the model.
def test_several_processes(photos, tmp_path, monkeypatch):
    (text,) = (text for heading, text in RECIPES if heading == "Several processes")
    (tmp_path / "recipe.py").write_text(examples(text)[0])
    monkeypatch.syspath_prepend(tmp_path)
    import recipe

    assert recipe.judge_all(photos) == {"photo.jpg": "real", "broken.jpg": None}


def test_the_django_form(photos):
    django = pytest.importorskip("django", reason="needs Django")
    from django.conf import settings

    if not settings.configured:
        settings.configure(USE_I18N=False)
        django.setup()
    from django.core.files.uploadedfile import SimpleUploadedFile

    (text,) = (text for heading, text in RECIPES if heading == "A Django form")
    names: dict[str, object] = {}
    exec(compile(examples(text)[0], "Django", "exec"), names)
    good, bad = (names["PortraitForm"](files={"portrait": SimpleUploadedFile(n, Path(n).read_bytes())}) for n in photos)
    assert good.is_valid()
    assert not good.needs_review
    assert not bad.is_valid()
    assert "cannot be read" in str(bad.errors)
