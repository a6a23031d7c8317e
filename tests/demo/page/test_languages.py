"""Whatever a visitor reads is in the table of each language, with the same places to fill."""

import ast
import json
import re
from collections.abc import Iterator
from dataclasses import replace
from html.parser import HTMLParser
from pathlib import Path
from string import Formatter

import pytest
from PIL import ExifTags, Image
from PIL.PngImagePlugin import PngInfo

from demo import texts
from demo.feedback.store import LABELS
from demo.page import blocks, panels, results
from demo.page.examples import examples
from demo.server.decoders import packed, unpacked
from demo.server.service import Judged
from demo.settings import Settings
from facecheck.detection.second_look import TURNED
from facecheck.explain import clips, wording
from facecheck.explain.report import Explanation, FaceEvidence
from facecheck.model.config import Decision, Limits
from facecheck.provenance import _SAYS, Claim, Provenance, credentials, declarations, generators, manifests
from facecheck.provenance.reader import provenance as read
from facecheck.result import Verdict
from tests.demo.conftest import as_file
from tests.demo.page.test_one_wording import ALL_CASES, PICTURE, prediction

LANGUAGES = pytest.mark.parametrize("language", texts.languages())
# A name, a form of a code, the file's own words, and what is the same everywhere.
SAME = {texts.NAME, "ABCD-EFGH-JKMN-PQRS", "20 MB.", "-"}


class Table(dict):
    """A language's table that notes what was looked for and is not there."""

    def __init__(self, language: str) -> None:
        super().__init__(texts.languages()[language])
        self.missing: set[str] = set()

    def get(self, sentence, other=None):
        if sentence not in self:
            self.missing.add(sentence)
        return super().get(sentence, other)


class Words(HTMLParser):
    """The texts of a page, and the attributes that are read aloud."""

    def __init__(self, html: str) -> None:
        super().__init__()
        self.found: list[str] = []
        self._inside = ""
        self.feed(html)

    def handle_starttag(self, tag, attributes):
        self._inside = tag
        self.found += [value for name, value in attributes if name in ("aria-label", "alt", "placeholder") and value]

    def handle_data(self, data):
        if self._inside != "option":
            self.found.append(" ".join(data.split()))


def constants(value: object) -> Iterator[str]:
    if isinstance(value, str):
        yield value
    elif isinstance(value, dict):
        for each in value.values():
            yield from constants(each)
    elif isinstance(value, tuple):
        for each in value:
            yield from constants(each)


@LANGUAGES
def test_each_translation_has_the_places_of_its_sentence(language):
    def places(sentence: str) -> set[str]:
        return {name for _, name, _, _ in Formatter().parse(sentence) if name}

    for english, own in texts.languages()[language].items():
        assert own.strip() and places(english) == places(own), english


@LANGUAGES
def test_what_stands_on_the_page_is_in_the_table(language):
    table = texts.languages()[language]
    parts = [blocks._header(), blocks._template("picker.html"), blocks._template("footer.html")]
    said = Words("".join([*parts, blocks._welcome(), blocks._promise(Settings()), blocks.notes()])).found
    for name in ("page", "answers", "camera"):
        script = (blocks.STATIC / f"{name}.js").read_text()
        calls = re.findall(r'(?:page\.t|say)\((?:\w+ \? )?"([^"]+)"(?: : "([^"]+)")?', script)
        said += [text for call in calls for text in call]
    for module in (texts, wording, clips):
        named = {name: value for name, value in vars(module).items() if name.isupper() and not name.startswith("_")}
        said += [text for name, value in named.items() if name not in ("SEARCHES", "NAME") for text in constants(value)]
    said += [*LABELS.values(), *(text for one in examples() for text in (one.title, one.teaches))]
    assert {text for text in said if re.search(r"\w", text) and text not in table} <= SAME


@LANGUAGES
@pytest.mark.parametrize("faces", ALL_CASES)
def test_answers_tables_and_reports_are_in_the_language_from_end_to_end(language, faces):
    table, judged = Table(language), prediction(*faces)
    with wording.speaking(table):
        turned = replace(judged, turned=1, problems=(TURNED,))
        html = results.answer(Judged(PICTURE, turned), Decision(), Limits())
        html += results.table([results.Row(judged)] * 3, 3) + panels.progress("detect", 3, 10, 4)
        evidence = tuple(FaceEvidence(face, PICTURE, ()) for face in judged.faces)
        report = Explanation(judged, PICTURE, evidence).to_html()
    assert table.missing <= SAME and f'<html lang="{table["en"]}">' in report
    assert table[wording.EXPLAINED[judged.verdict]] in html
    assert wording.headline(judged) not in html or judged.verdict is Verdict.UNCERTAIN


def test_a_sentence_that_a_table_lacks_is_english_and_a_strangers_braces_do_no_harm():
    with wording.speaking({"a": "b"}):
        assert (wording.say("a"), wording.say("{x} of"), wording.say("{n} of 100", n=3)) == ("b", "{x} of", "3 of 100")
    assert wording.say("a") == "a"


def provenance_sentences() -> Iterator[str]:
    """The templates in the code that reads files, and the words of its tables."""
    for path in Path(credentials.__file__).parent.glob("*.py"):
        for node in ast.walk(ast.parse(path.read_text())):
            name = getattr(node.func, "id", getattr(node.func, "attr", "")) if isinstance(node, ast.Call) else ""
            if name in ("Sentence", "note", "XmpError") and isinstance(node.args[0], ast.Constant):
                yield node.args[0].value
    for table in (_SAYS, generators._RECORDED, declarations._AIGC_LABELS):
        yield from table.values()
    yield from (row.says for row in declarations.statements() if row.says)
    yield from (said for _, said in credentials._FAILURES)


@LANGUAGES
def test_whatever_is_said_of_a_file_is_in_the_table(language):
    said = set(provenance_sentences())
    assert len(said) > 80 and said <= texts.languages()[language].keys()


def files() -> list[Provenance]:
    """A photograph with its camera, a picture with a prompt, both at once, and credentials with a history."""
    camera, prompt, picture = Image.Exif(), PngInfo(), Image.fromarray(PICTURE)
    camera[ExifTags.Base.Make], camera[ExifTags.Base.Model] = "Canon", "EOS R5"
    prompt.add_text("parameters", "a face\nSteps: 20, Sampler: Euler, CFG scale: 7, Seed: 7, Size: 512x512")
    said = (
        manifests.Said(Claim.PHOTOGRAPHED, declarations.source_type("digitalCapture")[2]),
        manifests.Said(Claim.PARTLY_GENERATED, declarations.source_type("compositeSynthetic")[2], agent="Firefly"),
    )
    details = {"signer": "Somebody", "signed_at": "2026-01-02T03:04:05", "redacted": "x"}
    signed = credentials._intact(details, said, credentials._trust(False, False))
    written = [{"exif": camera}, {"pnginfo": prompt}, {"exif": camera, "pnginfo": prompt}]
    found = [read(as_file(picture, "PNG", **options), name="a.jpg") for options in written]
    return [*found, Provenance("JPEG", (signed,)), read(as_file(picture, "PNG")[:-9])]


@pytest.mark.parametrize("found", files(), ids=["camera", "prompt", "both", "credentials", "damaged"])
def test_the_german_page_says_nothing_in_english_of_a_file(found):
    sent = Provenance.from_dict(unpacked(json.loads(json.dumps(packed(found.to_dict())))))
    judged = replace(prediction((Verdict.FAKE,)), provenance=sent)
    with wording.speaking(texts.languages()["de"]):
        html = results.answer(Judged(PICTURE, judged), Decision(), Limits())
        report = Explanation(judged, PICTURE).to_html()
    english = re.compile(r"\b(the|and|of|that|with|by|from|its|file|picture)\b", re.I)
    said = [text for page in (html, report.partition("<body>")[2]) for text in Words(page).found]
    assert [text for text in said if english.search(text)] == []
    assert sent == found and english.search(" ".join(sent.sentences))
