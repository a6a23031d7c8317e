"""A whole visit: objecting, leaving, the keyboard, a phone, the dark, the camera; on the real page in Chromium."""

import gc
import re
import threading
from contextlib import ExitStack

import httpx
import pytest
from gradio.state_holder import StateHolder

from demo.feedback.store import Store
from demo.server.service import Service
from demo.settings import Settings
from tests.demo.conftest import serving
from tests.demo.page.visiting import PATIENCE, STATE, VERDICT, check, opened


def test_when_the_visitor_leaves_nothing_of_the_picture_stays(browser, checker, portrait, tmp_path):
    with serving(Settings(feedback=tmp_path), checker) as server:
        leave(browser, server, portrait)


def leave(browser, server: str, portrait: bytes) -> None:
    def sessions() -> dict:
        holders = [one for one in gc.get_objects() if type(one) is StateHolder]
        return {name: session for holder in holders for name, session in holder.session_data.items()}

    def remembered() -> list[str]:
        new = [str(session.config_values) for name, session in sessions().items() if name not in others]
        return [text for text in new if "data:image/jpeg" in text]

    def kept() -> str:
        return re.search(r"^facecheck_kept_pictures (\S+)$", httpx.get(f"{server}/metrics").text, re.M)[1]

    others = set(sessions())  # Of visitors of other servers in this process.
    with opened(browser, server) as page:
        before = kept()
        check(page, portrait)
        assert remembered() and kept() != before
        page.goto("about:blank")
        for _ in range(100):
            if not remembered() and kept() == before:
                break
            page.wait_for_timeout(200)
    assert not remembered() and kept() == before


def object_to_it(page, consents: bool) -> str:
    page.click("#rc-object button")
    page.click("text=It was generated")
    page.fill("#rc-object textarea", "<script>document.title='hacked'</script>")
    if consents:
        page.check("#rc-consent input")
    page.click("#rc-object-send")
    return page.wait_for_selector("#rc-object-answer p").inner_text()


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


@pytest.mark.slow
def test_an_example_is_one_click(again):
    again.click(".rc-example >> nth=0")
    assert again.wait_for_selector(VERDICT)


@pytest.mark.slow
def test_a_page_with_a_password_keys_and_other_origins_works_without_a_key(browser, checker, portrait, tmp_path):
    options = {"auth": ("ann", "secret"), "api_keys": ("k",), "cors": ("https://a.example",), "rate": 60}
    with (
        serving(Settings(**options, feedback=tmp_path), checker) as address,
        opened(browser, address, http_credentials={"username": "ann", "password": "secret"}) as page,
    ):
        assert check(page, portrait)


def test_the_keyboard_is_enough(page, portrait):
    page.set_input_files("#rc-file", {"name": "a.jpg", "mimeType": "image/jpeg", "buffer": portrait})
    page.wait_for_selector("#rc-submit:visible")
    reached = []
    for _ in range(12):
        page.keyboard.press("Tab")
        reached.append(page.evaluate("document.activeElement.id"))
        if reached[-1] == "rc-submit":
            page.keyboard.press("Enter")
            break
    assert {"rc-theme", "rc-file", "rc-submit"} <= set(reached)
    assert page.wait_for_selector(VERDICT)


@pytest.mark.slow
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


def test_a_phone_shows_everything_without_scrolling_sideways(page, portrait):
    before = page.viewport_size
    page.set_viewport_size({"width": 390, "height": 844})
    check(page, portrait)
    assert page.evaluate("document.documentElement.scrollWidth") <= 390
    for place in ("#rc-submit", ".rc-card", ".rc-picture svg"):
        box = page.locator(place).first.bounding_box()
        assert box["x"] >= 0 and box["x"] + box["width"] <= 390
    page.set_viewport_size(before)


@pytest.mark.slow
def test_the_camera_gives_a_picture_and_is_judged_live(page):
    page.context.grant_permissions(["camera"])
    page.click("#rc-camera-on")
    page.click("#rc-live-on")
    page.wait_for_function("document.getElementById('rc-live').textContent.includes('frames a second')")
    page.click("#rc-live-on")
    page.click("#rc-shoot")
    assert page.wait_for_selector(f"{VERDICT}, {STATE}")
    assert page.evaluate("document.getElementById('rc-video').srcObject.getTracks()[0].readyState") == "ended"
    page.context.clear_permissions()


class HeldService(Service):
    """Judges a picture only once it is told to go on."""

    go_on = threading.Event()

    def judge(self, data, name="picture", **options):
        assert self.go_on.wait(PATIENCE / 1000)
        return super().judge(data, name, **options)


@pytest.mark.slow
def test_whoever_has_to_wait_sees_their_place_and_too_many_are_asked_to_come_back(browser, checker, portrait, tmp_path):
    settings = Settings(workers=1, waiting=1, feedback=tmp_path)
    service = HeldService(lambda: checker, settings.workers, settings.waiting)
    with serving(settings, checker, service) as address, ExitStack() as stack:
        first, second, third = (stack.enter_context(opened(browser, address)) for _ in range(3))
        for page in (first, second, third):
            page.set_input_files("#rc-file", {"name": "a.jpg", "mimeType": "image/jpeg", "buffer": portrait})
            page.click("#rc-submit")
            page.wait_for_timeout(500)
        assert "queue" in second.wait_for_selector("#rc-result :text-matches('queue', 'i')").inner_text().lower()
        assert third.wait_for_selector(":text-matches('currently busy|many people', 'i')")
        service.go_on.set()
        assert first.wait_for_selector(VERDICT) and second.wait_for_selector(VERDICT)
