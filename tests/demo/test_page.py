"""The real page in Debian's Chromium."""

import gc
import io
import re
from contextlib import contextmanager
from pathlib import Path

import httpx
import numpy as np
import pytest
from gradio.state_holder import StateHolder
from PIL import Image
from PIL.PngImagePlugin import PngInfo

from demo.feedback.store import Store
from tests.demo.conftest import SHARED_PHOTOS, as_file

VERDICT = "#rc-result [data-verdict]"
STATE = "#rc-result [data-state]:not([data-state=loading])"
PATIENCE = 60_000


@contextmanager
def opened(browser, server, **options):
    """A fresh visitor; fails on script errors and on any request to another host."""
    context = browser.new_context(**options)
    page = context.new_page()
    page.set_default_timeout(PATIENCE)
    problems: list[str] = []
    page.on("pageerror", lambda error: problems.append(str(error)))
    page.on("request", lambda request: problems.append(request.url) if is_foreign(request.url, server) else None)
    page.goto(server)
    page.wait_for_selector("#rc-file", state="attached")
    yield page
    context.close()
    assert problems == []


def is_foreign(url: str, server: str) -> bool:
    return not url.startswith((server, "data:", "blob:"))


@pytest.fixture
def page(browser, server):
    with opened(browser, server) as page:
        yield page


def check(page, data: bytes, name: str = "photo.jpg", kind: str = "image/jpeg", expects: str = VERDICT):
    """Choose a file, press the button, and return the element that the visitor reads then."""
    page.set_input_files("#rc-file", {"name": name, "mimeType": kind, "buffer": data})
    page.click("#rc-submit")
    return page.wait_for_selector(expects)


def shared(name: str) -> bytes:
    if not SHARED_PHOTOS.is_dir():
        pytest.skip("needs the photos of ../shared/data, which are not part of the repository")
    return (SHARED_PHOTOS / name).read_bytes()


def test_a_portrait_gets_a_verdict_a_box_a_card_and_what_it_means(page, portrait, default_checker):
    said = check(page, portrait)
    expected = default_checker.predict(portrait, stability=True)
    assert said.get_attribute("data-verdict") == expected.verdict
    assert page.locator(".rc-box").count() == page.locator(".rc-card").count() == len(expected.faces) == 1
    assert (
        "does not prove" in said.inner_text() or "not a proof" in said.inner_text() or "no verdict" in said.inner_text()
    )
    assert "Judged in" in page.inner_text("#rc-result")
    assert "What it does not mean" in page.inner_text("body")
    assert page.locator(".rc-picture svg").get_attribute("aria-label").startswith("Your picture with 1 marked face")


def test_a_heat_map_is_one_press_and_goes_with_another(page, portrait):
    check(page, portrait)
    plain = page.get_attribute(".rc-card img", "src")
    page.click(".rc-heat")
    page.wait_for_selector(".rc-heat[aria-pressed=true]")
    heat = page.get_attribute(".rc-card img", "src")
    assert heat != plain and heat.startswith("data:image/jpeg") and "Bright places" in page.inner_text(".rc-card")
    page.click(".rc-heat")
    assert page.get_attribute(".rc-card img", "src") == plain


def test_what_a_file_says_is_quoted_and_never_run(page, grace):
    info = PngInfo()
    script = "<img src=x onerror=\"document.title='hacked'\">"
    info.add_text("parameters", f"a face {script}\nSteps: 20, Sampler: Euler, CFG scale: 7, Seed: 7, Size: 512x512")
    check(page, as_file(Image.fromarray(grace), "PNG", pnginfo=info), "made.png", "image/png")
    said = page.inner_text(".rc-file")
    assert "What the file says" in said and "never changes the verdict" in said and "generat" in said.lower()
    assert page.title() == "Reality Check"


def test_a_generated_face_looks_generated(page):
    said = check(page, shared("fake-tpdne-5f2d90f4.jpg"))
    assert said.get_attribute("data-verdict") == "fake" and "looks generated" in said.inner_text()


def test_a_crowd_shows_every_face(page):
    friends = np.asarray(Image.open(io.BytesIO(shared("crowd-multiface.jpg"))))
    check(page, as_file(Image.fromarray(np.tile(friends, (2, 2, 1))), quality=92))
    assert page.locator(".rc-box").count() >= 20
    assert page.locator(".rc-card:visible").count() == 12
    page.click("text=smaller faces")
    assert page.locator(".rc-card:visible").count() == page.locator(".rc-box").count()
    assert "false alarm" in page.inner_text(VERDICT)


def test_no_face_is_a_kind_answer(page, cat):
    said = check(page, as_file(Image.fromarray(cat)))
    assert said.get_attribute("data-verdict") == "no_face" and "try a picture" in said.inner_text()
    assert page.locator(".rc-card").count() == page.locator(".rc-box").count() == 0


def test_a_tiny_face_is_uncertain_and_says_why(page, grace):
    said = check(page, as_file(Image.fromarray(grace).resize((70, 82), Image.Resampling.LANCZOS), "PNG"))
    assert said.get_attribute("data-verdict") == "uncertain" and "too small" in said.inner_text()


@pytest.mark.parametrize("kind", ["rgba.png", "animated.gif", "exif.jpg"])
def test_odd_pictures_are_judged(page, grace, kind):
    picture = Image.fromarray(grace)
    exif = Image.Exif()
    exif[0x0112] = 6
    data = {
        "rgba.png": lambda: as_file(picture.convert("RGBA"), "PNG"),
        "animated.gif": lambda: as_file(picture, "GIF", save_all=True, append_images=[picture.rotate(5)]),
        "exif.jpg": lambda: as_file(picture.rotate(90, expand=True), quality=92, exif=exif),
    }[kind]()
    check(page, data, kind, "image/*")
    assert page.locator(".rc-box").count() == 1


def test_forty_megapixels_are_judged(page, grace):
    large = Image.fromarray(grace).resize((5800, 6900), Image.Resampling.BICUBIC)
    check(page, as_file(large, quality=80))
    assert page.locator(".rc-box").count() == 1
    assert "5800 x 6900" in page.inner_text("#rc-result")


@pytest.mark.parametrize(
    ("data", "words"),
    [(b"", "empty"), (b"just text " * 99, "Not a picture"), (b"\xff\xd8\xff\xe0junk", "cannot be judged")],
)
def test_what_is_no_picture_is_explained(page, data, words):
    said = check(page, data, "<img src=x onerror=alert(1)>.jpg", expects=STATE)
    assert words in said.inner_text()
    assert "Traceback" not in page.content() and "demo/" not in said.inner_text()


def test_too_large_a_file_and_no_file_are_explained(page):
    page.click("#rc-submit")
    assert "No picture yet" in page.wait_for_selector(STATE).inner_text()
    said = check(page, b"\xff" * (21 << 20), expects="#rc-result :text('too large')")
    assert "too large" in said.inner_text()


def test_pressing_twice_gives_one_answer_and_again_the_same(page, portrait):
    page.set_input_files("#rc-file", {"name": "a.jpg", "mimeType": "image/jpeg", "buffer": portrait})
    page.dblclick("#rc-submit")
    page.wait_for_selector(VERDICT)
    first = page.inner_text(".rc-card")
    page.click("#rc-submit")
    page.wait_for_timeout(1500)
    page.wait_for_selector(VERDICT)
    assert page.inner_text(".rc-card") == first


def test_two_visitors_at_once_get_their_own_answers(browser, server, portrait, cat):
    with opened(browser, server) as one, opened(browser, server) as other:
        one.set_input_files("#rc-file", {"name": "a.jpg", "mimeType": "image/jpeg", "buffer": portrait})
        other.set_input_files(
            "#rc-file", {"name": "b.png", "mimeType": "image/png", "buffer": as_file(Image.fromarray(cat))}
        )
        one.click("#rc-submit")
        other.click("#rc-submit")
        assert one.wait_for_selector(VERDICT).get_attribute("data-verdict") != "no_face"
        assert other.wait_for_selector(VERDICT).get_attribute("data-verdict") == "no_face"


def object_to_it(page, consents: bool) -> str:
    page.click("#rc-object button")
    page.click("text=It was generated")
    page.fill("#rc-object textarea", "<script>document.title='hacked'</script>")
    if consents:
        page.check("#rc-consent input")
    page.click("#rc-object-send")
    return page.wait_for_selector("#rc-object-answer p").inner_text()


def test_when_the_visitor_leaves_nothing_of_the_picture_stays(browser, server, portrait):
    def remembered() -> list[str]:
        holders = [one for one in gc.get_objects() if isinstance(one, StateHolder)]
        sessions = [session for holder in holders for session in holder.session_data.values()]
        return [text for text in (str(session.config_values) for session in sessions) if "data:image/jpeg" in text]

    def kept() -> str:
        return re.search(r"facecheck_kept_pictures (\S+)", httpx.get(f"{server}/metrics").text)[1]

    with opened(browser, server) as page:
        check(page, portrait)
        assert remembered() and kept() != "0.0"
        page.goto("about:blank")
        for _ in range(100):
            if not remembered() and kept() == "0.0":
                break
            page.wait_for_timeout(200)
    assert not remembered() and kept() == "0.0"


def test_an_objection_without_consent_keeps_nothing(page, portrait, feedback_folder):
    before = len(Store(feedback_folder, 0).all())
    check(page, portrait)
    assert "nothing was kept" in object_to_it(page, consents=False)
    assert len(Store(feedback_folder, 0).all()) == before


def test_an_objection_with_consent_is_kept_and_deleted_by_its_receipt(page, portrait, feedback_folder):
    store = Store(feedback_folder, 0)
    check(page, portrait)
    said = object_to_it(page, consents=True)
    (receipt,) = [word.strip(".") for word in said.split() if word.count("-") == 3]
    (kept,) = store.all()
    assert (kept.label, kept.comment) == ("fake", "<script>document.title='hacked'</script>") and kept.path.is_file()
    page.click("#rc-delete button")
    page.fill("#rc-delete input, #rc-delete textarea", receipt)
    page.click("#rc-delete-send")
    assert page.wait_for_selector("#rc-delete-answer p").inner_text().startswith("Deleted")
    assert store.all() == [] and not kept.path.exists()
    assert page.title() == "Reality Check"


def test_an_example_is_one_click(page):
    page.click(".rc-example >> nth=0")
    assert page.wait_for_selector(VERDICT)


def test_the_keyboard_is_enough(page, portrait):
    page.set_input_files("#rc-file", {"name": "a.jpg", "mimeType": "image/jpeg", "buffer": portrait})
    reached = []
    for _ in range(12):
        page.keyboard.press("Tab")
        reached.append(page.evaluate("document.activeElement.id"))
        if reached[-1] == "rc-submit":
            page.keyboard.press("Enter")
            break
    assert {"rc-theme", "rc-file", "rc-submit"} <= set(reached)
    assert page.wait_for_selector(VERDICT)


def test_dark_is_chosen_and_remembered(page):
    def ground() -> str:
        return page.evaluate("getComputedStyle(document.body).backgroundColor")

    light = ground()
    page.click("#rc-theme")
    dark = ground()
    assert dark != light and page.get_attribute("#rc-theme", "aria-pressed") == "true"
    page.reload()
    page.wait_for_selector("#rc-theme[aria-pressed=true]")
    assert ground() == dark


def test_a_phone_shows_everything_without_scrolling_sideways(browser, server, portrait):
    with opened(browser, server, viewport={"width": 390, "height": 844}) as page:
        check(page, portrait)
        assert page.evaluate("document.documentElement.scrollWidth") <= 390
        for place in ("#rc-submit", ".rc-card", ".rc-picture svg"):
            box = page.locator(place).first.bounding_box()
            assert box["x"] >= 0 and box["x"] + box["width"] <= 390


def test_the_camera_gives_a_picture_and_is_judged_live(browser, server):
    with opened(browser, server, permissions=["camera"]) as page:
        page.click("#rc-camera-on")
        page.click("#rc-live-on")
        page.wait_for_function("document.getElementById('rc-live').textContent.includes('frames a second')")
        page.click("#rc-live-on")
        page.click("#rc-shoot")
        assert page.wait_for_selector(f"{VERDICT}, {STATE}")
        assert page.evaluate("document.getElementById('rc-video').srcObject.getTracks()[0].readyState") == "ended"


@pytest.mark.parametrize("scheme", ["light", "dark"])
def test_axe_finds_no_serious_violation(browser, server, axe, portrait, scheme):
    with opened(browser, server, color_scheme=scheme) as page:
        check(page, portrait)
        page.click("#rc-object button")
        page.click("#rc-delete button")
        page.wait_for_timeout(500)
        page.evaluate(axe)
        found = page.evaluate("axe.run(document, {resultTypes: ['violations']})")["violations"]
    told = [
        f"{one['id']}: {one['help']}: {[node['html'][:160] for node in one['nodes'][:3]]}"
        for one in found
        if one["impact"] in ("serious", "critical")
    ]
    assert told == []


def test_the_folder_of_examples_holds_pictures_only():
    folder = Path(__file__).parents[2] / "demo" / "examples"
    assert {path.suffix for path in folder.iterdir()} <= {".jpg", ".png", ".webp", ".md"}
