"""A journalist's way through the page, on a laptop and on a phone.

What stands there is about the picture that is chosen, it can be read and taken along, and it belongs to nobody else.
"""

import base64
import copy
import csv
import io
import re
import time
from contextlib import contextmanager

import httpx
import pytest
from PIL import Image

from demo import texts
from demo.settings import Settings
from facecheck.explain import clips, wording
from facecheck.result import Verdict
from tests.clips import red, steady, write_clip
from tests.demo.conftest import as_file, serving
from tests.demo.page.visiting import GIVEN, STATE, VERDICT, check, opened, start_again

LAPTOP, PHONE = {"width": 1280, "height": 900}, {"width": 390, "height": 844}
WIDTHS = pytest.mark.parametrize("size", [LAPTOP, PHONE], ids=["laptop", "phone"])


@pytest.fixture(scope="module")
def visits(browser, small_server):
    """Visitors of `small_server`, one for each size of a window."""
    made: dict[int, object] = {}
    contexts = []

    def visit(size: dict[str, int]):
        if size["width"] not in made:
            context = opened(browser, small_server, viewport=size, has_touch=size is PHONE, accept_downloads=True)
            made[size["width"]] = context.__enter__()
            contexts.append(context)
        return made[size["width"]]

    yield visit
    for context in contexts:
        context.__exit__(None, None, None)


def picked(name: str, data: bytes, kind: str = "image/jpeg") -> dict[str, object]:
    return {"name": name, "mimeType": kind, "buffer": data}


def shows_verdict(page) -> bool:
    return page.locator("#rc-result [data-verdict]:visible").count() > 0


@WIDTHS
def test_another_choice_takes_the_answer_away_at_once(visits, size, portrait, cat):
    page = visits(size)
    check(page, portrait)
    assert page.evaluate("document.body.dataset.rc") == "answer"
    headline = page.inner_text("#rc-result h2").lstrip("○▲◇□")
    assert page.locator("#rc-announce").inner_text().startswith(headline)
    page.set_input_files("#rc-file", picked("cat.jpg", as_file(Image.fromarray(cat))))
    assert not shows_verdict(page) and not page.locator("#rc-objection").is_visible()
    assert page.locator("#rc-preview").is_visible()
    page.click("#rc-clear")
    assert (
        not shows_verdict(page) and page.locator("#rc-drop").is_visible() and page.locator("#rc-welcome").is_visible()
    )


def test_an_answer_that_comes_late_is_dropped(visits, portrait, cat):
    page, held = start_again(visits(LAPTOP)), []
    page.route("**/queue/data*", lambda route, _: held.append(route))
    page.set_input_files("#rc-file", picked("a.jpg", portrait))
    page.click("#rc-submit")
    for _ in range(200):
        if held:
            break
        page.wait_for_timeout(50)
    page.set_input_files("#rc-file", picked("cat.jpg", as_file(Image.fromarray(cat))))
    held[0].continue_()
    page.wait_for_function("document.querySelector('#rc-result .rc-for')")
    page.wait_for_timeout(300)
    assert not shows_verdict(page) and page.evaluate("document.body.dataset.rc") == "chosen"
    page.unroute_all()


@WIDTHS
@pytest.mark.parametrize("way", ["drop", "paste"])
def test_what_is_given_is_checked_at_once_and_picture_and_verdict_are_on_the_screen(visits, size, way, portrait):
    page = visits(size)
    page.evaluate("window.realityCheck.choose()")
    page.evaluate(GIVEN, [way, "a.jpg", "image/jpeg", base64.b64encode(portrait).decode()])
    page.wait_for_selector(VERDICT)
    page.wait_for_timeout(900)  # It scrolls there.
    for place in ("#rc-result .rc-verdict h2", ".rc-picture svg"):
        box = page.locator(place).first.bounding_box()
        assert box["y"] >= -1 and box["x"] >= 0 and box["x"] + box["width"] <= size["width"]
        assert box["y"] + min(box["height"], 200) <= size["height"]
    assert page.evaluate("document.documentElement.scrollWidth") <= size["width"]


@WIDTHS
def test_what_to_do_next_is_said_with_links_that_get_nothing(visits, size, portrait):
    page = visits(size)
    verdict = check(page, portrait).get_attribute("data-verdict")
    steps = page.inner_text(".rc-next")
    assert all(begin in steps for begin, _ in texts.NEXT[Verdict(verdict)])
    for name, address in texts.SEARCHES:
        link = page.locator(".rc-links a", has_text=name)
        assert (link.get_attribute("href"), link.get_attribute("rel")) == (address, "noopener noreferrer")
    page.click(".rc-next summary")
    assert texts.STRANGERS[0] in page.inner_text(".rc-next")


@WIDTHS
def test_a_heat_map_opens_large_with_its_scale(visits, size, portrait):
    page = visits(size)
    check(page, portrait)
    page.click(".rc-heat")
    page.wait_for_selector(".rc-heat[aria-pressed=true]")
    page.click(".rc-zoom")
    large = page.locator("#rc-large")
    assert large.is_visible() and wording.HEAT_SCALE[1] in large.inner_text() and "prove nothing" in large.inner_text()
    assert page.locator("#rc-large-picture").bounding_box()["width"] >= 300
    page.keyboard.press("Escape")
    assert not large.is_visible()


def test_a_phone_offers_its_camera_and_its_gallery(browser, small_server, portrait):
    with opened(browser, small_server, viewport=PHONE, has_touch=True, is_mobile=True) as page:
        assert page.locator("#rc-take").is_visible() and "gallery" in page.inner_text("#rc-drop")
        with page.expect_file_chooser() as chooser:
            page.click("#rc-take")
        assert page.get_attribute("#rc-file-camera", "capture") == "environment"
        chooser.value.set_files(picked("a.jpg", portrait))
        assert page.wait_for_selector(VERDICT)


def test_the_case_report_can_be_taken_along_and_printed(visits, portrait, small_server):
    page = visits(LAPTOP)
    check(page, portrait)
    assert texts.REPORT_HOLDS in page.inner_text(".rc-take")
    with page.expect_download() as download:
        page.click("[data-report=save]")
    html = download.value.path().read_text()
    assert download.value.suggested_filename == "facecheck-report.html"
    for part in ("data:image/jpeg", "Face 1", "Grad-CAM", "sha256 of the file", wording.LIMITS[0], "Time"):
        assert part in html
    page.add_init_script("if (window !== top) window.print = () => { top.printed = document.body.innerText; }")
    page.click("[data-report=print]")
    page.wait_for_function("window.printed?.includes('Face 1')")
    assert httpx.post(f"{small_server}/pictures/report", content="guessed").status_code == 404


@WIDTHS
def test_several_pictures_become_a_table_and_a_file(visits, size, portrait, cat):
    page = visits(size)
    files = [picked("=one.jpg", portrait), picked("cat.jpg", as_file(Image.fromarray(cat))), picked("bad.jpg", b"junk")]
    page.set_input_files("#rc-file", files)
    page.click("#rc-submit")
    page.wait_for_selector(".rc-table[data-verdict]")
    rows = page.locator(".rc-table tbody tr")
    assert (
        rows.count() == 3 and "=one.jpg" in rows.nth(0).inner_text() and "could not be read" in rows.nth(2).inner_text()
    )
    assert page.evaluate("document.documentElement.scrollWidth") <= size["width"]
    with page.expect_download() as download:
        page.click("[data-csv]")
    table = list(csv.reader(io.StringIO(download.value.path().read_text("utf-8-sig"))))
    assert [row[0] for row in table] == ["Picture", "'=one.jpg", "cat.jpg", "bad.jpg"]
    assert [row[-1] for row in table[2:]] == ["no_face", "unreadable"]
    page.click(".rc-open >> nth=1")
    assert page.wait_for_selector(VERDICT + ":not(.rc-table)").get_attribute("data-verdict") == "no_face"


@pytest.mark.slow
@WIDTHS
def test_two_pictures_stand_side_by_side(visits, size, portrait, astronaut):
    page = visits(size)
    check(page, portrait)
    page.set_input_files("#rc-file-other", picked("known.jpg", as_file(Image.fromarray(astronaut))))
    page.wait_for_selector(".rc-compare")
    assert page.locator(".rc-side > h2").all_inner_texts() == ["photo.jpg", "known.jpg"]
    first, second = (page.locator(".rc-side").nth(place).bounding_box() for place in (0, 1))
    assert (abs(first["y"] - second["y"]) < 20) == (size is LAPTOP)  # They may still be moving into place.
    page.click(".rc-side:nth-of-type(2) .rc-heat")
    page.wait_for_selector(".rc-side:nth-of-type(2) .rc-heat[aria-pressed=true]")


@pytest.mark.slow
def test_the_page_speaks_another_language_and_comes_back(browser, small_server, portrait):
    german = texts.languages()["de"]
    with opened(browser, small_server, locale="de-CH") as page:
        page.wait_for_selector(f"text={german['Choose a picture']}")
        check(page, portrait)
        assert page.get_attribute("html", "lang") == "de"
        said = page.inner_text("#rc-result")
        assert german["What you can do next"] in said and german[wording.SCOPE] in said
        page.wait_for_selector(f"text={german[texts.OBJECTION]}")
        assert german["Delete an earlier objection"] in page.inner_text("body")
        with page.expect_download() as download:
            page.click("[data-report=save]")
        assert german["What this report cannot say"] in download.value.path().read_text()
        page.select_option("#rc-language", "en")
        page.wait_for_selector("#rc-result >> text=What you can do next")
        page.wait_for_selector(f"text={texts.OBJECTION}")
        assert page.get_attribute("html", "lang") == "en"


@contextmanager
def film_server(red_checker, tmp_path):
    with serving(Settings(feedback=tmp_path), red_checker) as address:
        yield address


@pytest.mark.slow
def test_a_clip_shows_how_far_it_is_can_be_cancelled_and_has_a_strip(
    browser, red_checker, woman, tmp_path, monkeypatch
):
    monkeypatch.setattr("facecheck.batching.BATCH_PIXELS", 1)
    slow = copy.copy(red_checker)  # Or a quick machine is done before anybody sees it work.
    slow.judge_batch = lambda batch, **options: (time.sleep(0.4), red_checker.judge_batch(batch, **options))[1]
    frames = [*steady(woman) * 8, *steady(red(woman)) * 2]
    clip = write_clip(tmp_path / "a.mp4", frames).read_bytes()
    with film_server(slow, tmp_path / "kept") as address, opened(browser, address) as page:
        page.set_input_files("#rc-file", picked("a.mp4", clip, "video/mp4"))
        page.click("#rc-submit")
        assert "seconds of film" in page.wait_for_selector(".rc-progress p").inner_text()
        page.click("#rc-cancel")
        page.wait_for_timeout(600)
        assert not shows_verdict(page) and page.evaluate("document.body.dataset.rc") == "chosen"
        page.click("#rc-submit")
        said = page.wait_for_selector(VERDICT).inner_text()
        assert re.search(r"Looked at \d+ frames, spread over all", said)
        assert page.locator(".rc-card").count() == 1 and page.locator(".rc-strip li").count() >= 5
        worst = page.locator(".rc-strip [data-worst] small").first.inner_text()
        assert f"Highest at {worst}" in page.inner_text(".rc-card") and float(worst.split()[0]) >= 8
        with page.expect_download() as download:
            page.click("[data-report=save]")
        report = download.value.path().read_text()
        assert "class=strip" in report and clips.RULE[0] in report and "sha256 of the file" in report


def test_nobody_reaches_another_visitors_picture_or_answer(browser, small_server, visits, portrait):
    one = visits(LAPTOP)
    with opened(browser, small_server) as other:
        with one.expect_response("**/pictures") as sent:
            check(one, portrait)
        ticket = sent.value.json()["ticket"]
        assert len(ticket) >= 32 and ticket not in other.content() and not shows_verdict(other)
        assert other.evaluate("document.querySelector('.rc-picture')") is None
        assert httpx.get(f"{small_server}/pictures/{ticket}").status_code in (404, 405)
        for path in ("report", "heat/1"):
            assert httpx.post(f"{small_server}/pictures/{path}", content=ticket[:-1]).status_code == 404


AXE = """async () => (await axe.run(document, { resultTypes: ["violations"] })).violations.map(
  (one) => `${one.id}: ${one.help}: ${one.nodes.slice(0, 3).map((node) => node.html.slice(0, 160))}`)"""


STILL = """() => document.getAnimations().every(
    each => each.playState !== "running" || each.effect.getComputedTiming().iterations === Infinity)"""


def findings(page) -> list:
    """Of axe-core in both themes, once nothing fades in any more: half seen text has half the contrast."""
    found = []
    for dark in (False, True):
        page.evaluate("dark => document.body.classList.toggle('dark', dark)", dark)
        page.wait_for_function(STILL)
        found += page.evaluate(AXE)
    return found


@pytest.mark.slow
@WIDTHS
def test_axe_finds_nothing_in_any_state(visits, axe, portrait, cat, size):
    page = start_again(visits(size))
    page.evaluate(axe)
    assert findings(page) == []
    check(page, portrait)
    page.click(".rc-heat")
    page.wait_for_selector(".rc-heat[aria-pressed=true]")
    page.click("#rc-object button")
    page.click("#rc-delete button")
    page.wait_for_timeout(600)
    assert findings(page) == []
    page.click(".rc-zoom")
    assert findings(page) == []
    page.keyboard.press("Escape")
    others = [picked(f"{name}.jpg", data) for name, data in enumerate((portrait, as_file(Image.fromarray(cat)), b""))]
    for files in (others, others[:2]):
        page.set_input_files("#rc-file", files)
        page.click("#rc-submit")
        page.wait_for_selector(".rc-table[data-verdict], .rc-compare")
        page.wait_for_timeout(400)
        assert findings(page) == []
    check(page, b"junk", expects=STATE)
    assert findings(page) == []
