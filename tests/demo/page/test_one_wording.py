"""The page, the case report and the terminal say the same of the same prediction, whatever its verdict and reasons."""

import re
from html import unescape

import numpy as np
import pytest
from click.testing import CliRunner

from demo.page import blocks, results
from demo.server.service import Judged
from facecheck.cli import main
from facecheck.explain import wording
from facecheck.explain.report import Explanation, FaceEvidence
from facecheck.model.config import Decision
from facecheck.result import Face, Prediction, Reason, Verdict
from facecheck.settings import CheckerSettings

PICTURE = np.full((300, 400, 3), 127, np.uint8)
ALL_CASES = [
    (),
    ((Verdict.REAL,),),
    ((Verdict.FAKE,),),
    *[((Verdict.UNCERTAIN, reason),) for reason in Reason],
    ((Verdict.UNCERTAIN, *Reason),),
    ((Verdict.REAL,), (Verdict.FAKE,), (Verdict.UNCERTAIN, Reason.BLURRED)),
    ((Verdict.REAL,), (Verdict.UNCERTAIN, Reason.BLURRED)),
]


def prediction(*faces: tuple) -> Prediction:
    found = [
        Face((100.0 * place, 50.0, 100.0 * place + 90, 170.0), (), 1.0, 0.5, verdict, tuple(reasons))
        for place, (verdict, *reasons) in enumerate(faces)
    ]
    return Prediction("a.png", (400, 300), tuple(found))


def texts_of(html: str, tags: str) -> list[str]:
    """The text of each element with one of these tags, in order."""
    found = re.findall(rf"<(?:{tags})[ >].*?</(?:{tags})>", html, re.S)
    return [unescape(re.sub(r"<[^>]*>", "", element[element.index(">") + 1 :])).strip() for element in found]


def section(html: str, kind: str) -> str:
    return re.search(rf"<section class=['\"][^'\"]*{kind}.*?</section>", html, re.S).group()


@pytest.mark.parametrize("faces", ALL_CASES)
def test_page_report_and_terminal_agree(faces, monkeypatch):
    judged = prediction(*faces)
    page = results.answer(Judged(PICTURE, judged), Decision())
    evidence = tuple(FaceEvidence(face, PICTURE, ()) for face in judged.faces)
    report = Explanation(judged, PICTURE, evidence).to_html()

    banner = section(page, "rc-verdict")
    on_page = [texts_of(banner, "h2")[0].lstrip("".join(results.ICONS.values())), *texts_of(banner, "p")]
    in_report = texts_of(section(report, "panel verdict"), "strong|p")
    assert on_page == in_report[: len(on_page)] == [wording.headline(judged), *wording.explained(judged)]

    of_faces = [text for text in texts_of(page, "h3") if text.startswith("Face ")]
    assert of_faces == [text for text in texts_of(report, "h3") if text.startswith("Face ")]
    for face, card in zip(judged.faces, re.findall(r'<li class="rc-card.*?</ul>', page, re.S), strict=True):
        assert [one for one in texts_of(card, "li") if one] or not face.reasons
        assert all(wording.REASONS[reason] in unescape(card) for reason in face.reasons)

    monkeypatch.setattr(CheckerSettings, "checker", lambda *_, **__: Streaming(judged))
    line = CliRunner().invoke(main, ["predict", "a.png"]).output
    assert f"{judged.verdict} ({judged.verdict.meaning})" in line
    assert [reason for reason in Reason if reason in line] == [reason for reason in Reason if reason in judged.reasons]
    others = {other.meaning for other in Verdict if other != judged.verdict}
    assert not [meaning for meaning in others if meaning in line]


class Streaming:
    """A checker that answers what it is told to."""

    def __init__(self, answer: Prediction) -> None:
        self._answer = answer

    def stream(self, _: object) -> list[Prediction]:
        return [self._answer]


def test_the_limits_on_the_page_are_those_of_the_report():
    shown, report = unescape(blocks.notes()), unescape(Explanation(prediction()).to_html())
    assert all(limit in shown and limit in report for limit in wording.LIMITS)
