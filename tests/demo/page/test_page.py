"""Pictures and their answers, on the real page in Debian's Chromium."""

import io
from contextlib import suppress
from pathlib import Path

import httpx
import numpy as np
import pytest
from PIL import Image
from PIL.PngImagePlugin import PngInfo

from tests.demo.conftest import SHARED_PHOTOS, as_file
from tests.demo.page.visiting import STATE, VERDICT, check, opened


def shared(name: str) -> bytes:
    if not SHARED_PHOTOS.is_dir():
        pytest.skip("needs the photos of ../shared/data, which are not part of the repository")
    return (SHARED_PHOTOS / name).read_bytes()


@pytest.mark.parametrize(
    ("visited", "judge"),
    [("again", "checker"), pytest.param("shipped_page", "default_checker", marks=pytest.mark.slow)],
)
def test_a_portrait_gets_a_verdict_a_box_a_card_and_what_it_means(visited, judge, portrait, request):
    page = request.getfixturevalue(visited)
    said = check(page, portrait)
    expected = request.getfixturevalue(judge).predict(portrait, stability=True)
    assert said.get_attribute("data-verdict") == expected.verdict
    assert page.locator(".rc-box").count() == page.locator(".rc-card").count() == len(expected.faces) == 1
    assert (
        "does not prove" in said.inner_text() or "not a proof" in said.inner_text() or "no verdict" in said.inner_text()
    )
    assert "Judged in" in page.inner_text("#rc-result")
    assert "What it does not mean" in page.inner_text("body")
    assert page.locator(".rc-picture svg").get_attribute("aria-label").startswith("Your picture with 1 marked face")


def test_a_heat_map_is_one_press_and_goes_with_another(visitor, portrait):
    page = visitor
    check(page, portrait)
    plain = page.get_attribute(".rc-card img", "src")
    page.click(".rc-heat")
    page.wait_for_selector(".rc-heat[aria-pressed=true]")
    heat = page.get_attribute(".rc-card img", "src")
    assert heat != plain and heat.startswith("data:image/jpeg") and "bright places" in page.inner_text(".rc-card")
    page.click(".rc-heat")
    assert page.get_attribute(".rc-card img", "src") == plain


def test_what_a_file_says_is_quoted_and_never_run(visitor, grace):
    page = visitor
    info = PngInfo()
    script = "<img src=x onerror=\"document.title='hacked'\">"
    info.add_text("parameters", f"a face {script}\nSteps: 20, Sampler: Euler, CFG scale: 7, Seed: 7, Size: 512x512")
    check(page, as_file(Image.fromarray(grace), "PNG", pnginfo=info), "made.png", "image/png")
    said = page.inner_text(".rc-file")
    assert "What the file says" in said and "never changes the verdict" in said and "generat" in said.lower()
    assert page.title() == "Reality Check"


@pytest.mark.slow
def test_a_generated_face_looks_generated(shipped_page):
    said = check(shipped_page, shared("fake-tpdne-5f2d90f4.jpg"))
    assert said.get_attribute("data-verdict") == "fake" and "looks generated" in said.inner_text()


@pytest.mark.slow
def test_a_crowd_shows_every_face(visitor):
    page = visitor
    friends = np.asarray(Image.open(io.BytesIO(shared("crowd-multiface.jpg"))).reduce(2))
    check(page, as_file(Image.fromarray(np.tile(friends, (2, 2, 1))), quality=92))
    assert page.locator(".rc-box").count() >= 20
    assert page.locator(".rc-card:visible").count() == 12
    page.click("text=smaller faces")
    assert page.locator(".rc-card:visible").count() == page.locator(".rc-box").count()
    assert "false alarm" in page.inner_text(VERDICT)


def test_no_face_is_a_kind_answer(visitor, cat):
    page = visitor
    said = check(page, as_file(Image.fromarray(cat)))
    assert said.get_attribute("data-verdict") == "no_face" and "try a picture" in said.inner_text()
    assert page.locator(".rc-card").count() == page.locator(".rc-box").count() == 0


@pytest.mark.slow
def test_a_tiny_face_is_uncertain_and_says_why(shipped_page, grace):
    said = check(shipped_page, as_file(Image.fromarray(grace).resize((70, 82), Image.Resampling.LANCZOS), "PNG"))
    assert said.get_attribute("data-verdict") == "uncertain" and "too small" in said.inner_text()


@pytest.mark.parametrize("kind", ["rgba.png", "animated.gif", "exif.jpg"])
def test_odd_pictures_are_judged(visitor, grace, kind):
    picture = Image.fromarray(grace)
    exif = Image.Exif()
    exif[0x0112] = 6
    data = {
        "rgba.png": lambda: as_file(picture.convert("RGBA"), "PNG"),
        "animated.gif": lambda: as_file(picture, "GIF", save_all=True, append_images=[picture.rotate(5)]),
        "exif.jpg": lambda: as_file(picture.rotate(90, expand=True), quality=92, exif=exif),
    }[kind]()
    check(visitor, data, kind, "image/*")
    assert visitor.locator(".rc-box").count() == 1


@pytest.mark.slow
def test_forty_megapixels_are_judged(shipped_page, grace):
    page = shipped_page
    large = Image.fromarray(grace).resize((5800, 6900), Image.Resampling.BICUBIC)
    check(page, as_file(large, quality=80))
    assert page.locator(".rc-box").count() == 1
    assert "5800 x 6900" in page.inner_text("#rc-result")


@pytest.mark.parametrize(
    ("data", "words"),
    [(b"", "empty"), (b"just text " * 99, "Not a picture"), (b"\xff\xd8\xff\xe0junk", "cannot be judged")],
)
def test_what_is_no_picture_is_explained(visitor, data, words):
    said = check(visitor, data, "<img src=x onerror=alert(1)>.jpg", expects=STATE)
    assert words in said.inner_text()
    assert "Traceback" not in visitor.content() and "demo/" not in said.inner_text()


def test_too_large_a_file_and_no_file_are_explained(again):
    page = again
    page.click("#rc-submit")
    assert "No picture yet" in page.wait_for_selector(STATE).inner_text()
    said = check(page, b"\xff" * ((2 << 20) + 1), expects="#rc-result :text('too large')")
    assert "too large" in said.inner_text()


@pytest.mark.slow
def test_pressing_twice_gives_one_answer_and_again_the_same(again, portrait):
    page = again
    page.set_input_files("#rc-file", {"name": "a.jpg", "mimeType": "image/jpeg", "buffer": portrait})
    page.dblclick("#rc-submit")
    page.wait_for_selector(VERDICT)
    first = page.inner_text(".rc-card")
    page.click("#rc-submit")
    page.wait_for_timeout(1500)
    page.wait_for_selector(VERDICT)
    assert page.inner_text(".rc-card") == first


def choose(page, data: bytes) -> None:
    page.set_input_files("#rc-file", {"name": "a.jpg", "mimeType": "image/jpeg", "buffer": data})


def held_uploads(page, data: bytes) -> list:
    """Where all uploads are held, once the button was pressed, twice, for a picture."""
    uploads: list = []
    page.route("**/pictures", lambda route, _: uploads.append(route))
    choose(page, data)
    page.dblclick("#rc-submit")
    page.wait_for_timeout(300)
    return uploads


@pytest.mark.slow
def test_another_picture_chosen_during_the_upload_is_the_one_that_is_judged(again, portrait, cat):
    page = again
    uploads = held_uploads(page, as_file(Image.fromarray(cat)))
    choose(page, portrait)
    page.click("#rc-submit")
    page.wait_for_timeout(300)
    _, second = uploads  # The first was broken off, and nobody waits for it.
    second.continue_()
    page.wait_for_selector(VERDICT)
    assert page.locator(".rc-box").count() == 1
    assert second.request.post_data_buffer == portrait


def test_a_picture_that_is_only_chosen_is_not_sent(again, portrait, cat):
    page = again
    uploads = held_uploads(page, as_file(Image.fromarray(cat)))
    choose(page, portrait)
    with suppress(Exception):  # It may be broken off already.
        uploads[0].continue_()
    page.wait_for_timeout(500)
    assert len(uploads) == 1


@pytest.mark.slow
def test_another_picture_chosen_while_one_is_judged_is_judged_next(again, portrait, cat):
    page, held = again, []
    page.route("**/queue/data*", lambda route, _: route.continue_() if held else held.append(route))
    choose(page, as_file(Image.fromarray(cat)))
    page.click("#rc-submit")
    while not held:
        page.wait_for_timeout(50)
    choose(page, portrait)
    page.click("#rc-submit")
    page.wait_for_timeout(300)
    held[0].continue_()
    page.wait_for_selector(".rc-box")


@pytest.mark.slow
def test_a_picture_that_is_gone_is_sent_again_with_the_next_press(again, small_server, portrait):
    page = again
    with page.expect_response("**/pictures") as answer:
        check(page, portrait)
    httpx.post(f"{small_server}/pictures/forget", content=answer.value.json()["ticket"])
    page.click("#rc-submit")
    assert "no longer here" in page.wait_for_selector(STATE).inner_text()
    page.click("#rc-submit")
    assert page.wait_for_selector(VERDICT)


@pytest.mark.slow
def test_two_visitors_at_once_get_their_own_answers(browser, small_server, again, portrait, cat):
    one = again
    with opened(browser, small_server) as other:
        one.set_input_files("#rc-file", {"name": "a.jpg", "mimeType": "image/jpeg", "buffer": portrait})
        other.set_input_files(
            "#rc-file", {"name": "b.png", "mimeType": "image/png", "buffer": as_file(Image.fromarray(cat))}
        )
        one.click("#rc-submit")
        other.click("#rc-submit")
        assert one.wait_for_selector(VERDICT).get_attribute("data-verdict") != "no_face"
        assert other.wait_for_selector(VERDICT).get_attribute("data-verdict") == "no_face"


def test_the_folder_of_examples_holds_pictures_only():
    folder = Path(__file__).parents[3] / "demo" / "page" / "examples"
    assert {path.suffix for path in folder.iterdir()} <= {".jpg", ".png", ".webp", ".md"}
