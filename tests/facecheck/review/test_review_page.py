"""The desk in a browser: a moderator's keyboard, a server that is killed, somebody else's decisions."""

import re
import signal
import subprocess
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import pytest

expect = pytest.importorskip("playwright.sync_api", reason="needs Playwright (the dev extra)").expect
pytestmark = pytest.mark.slow  # Each starts a browser's page and waits for what it shows.
PATIENCE_MS = 60_000


@contextmanager
def running(output: Path) -> Iterator[tuple[subprocess.Popen, str]]:
    called = [sys.executable, "-m", "facecheck", "review", str(output), "--no-browser", "--reviewer", "Ana"]
    process = subprocess.Popen(called, stderr=subprocess.PIPE, text=True)
    try:
        yield process, re.search(r"http://\S+", process.stderr.readline())[0]
    finally:
        process.kill()
        process.wait()
        process.stderr.close()


@contextmanager
def opened(browser, address: str, **options):
    context = browser.new_context(**options)
    page = context.new_page()
    page.set_default_timeout(PATIENCE_MS)
    problems: list[str] = []
    page.on("pageerror", lambda error: problems.append(str(error)))
    page.on(
        "request", lambda request: None if request.url.startswith((address, "data:")) else problems.append(request.url)
    )
    page.goto(address)
    page.wait_for_selector(".card")
    yield page
    context.close()
    assert problems == []


def test_twenty_decisions_by_keyboard_survive_a_killed_server(browser, output):
    with running(output) as (process, address), opened(browser, address) as page:
        for number in range(20):
            page.wait_for_selector(f".card:nth-child({number + 1})[aria-selected=true]")
            page.keyboard.press("123"[number % 3])
        expect(page.locator(".mark")).to_have_count(20, timeout=PATIENCE_MS)
        process.send_signal(signal.SIGKILL)
        process.wait()
    with running(output) as (_, address), opened(browser, address) as page:
        expect(page.locator(".mark")).to_have_count(20, timeout=PATIENCE_MS)
        assert page.inner_text("#progress") == "20 of 26 files decided"
        words = page.locator(".mark").all_inner_texts()
        assert words == (["generated", "genuine", "unsure"] * 7)[:20]


def test_undo_filters_and_what_others_decide(browser, desk, serve):
    address = serve(desk)
    with opened(browser, address) as page:
        page.keyboard.press("g")
        page.wait_for_selector(".card:nth-child(1) .mark.generated")
        page.keyboard.press("z")
        page.wait_for_selector(".card:nth-child(1) .mark", state="detached")
        other = page.locator(".card").nth(1).get_attribute("id").removeprefix("file-")
        desk.decide({"id": int(other), "judgement": "genuine", "seen": 2, "by": "Ben"})
        page.wait_for_selector(".card:nth-child(2) .mark.genuine")
        page.click("#verdicts label:has-text('unreadable')")
        expect(page.locator(".card")).to_have_count(1, timeout=PATIENCE_MS)
        expect(page.locator("#about")).to_contain_text("<b>not a picture</b>", timeout=PATIENCE_MS)
        page.click("#reset")
        expect(page.locator(".card")).to_have_count(26, timeout=PATIENCE_MS)
        page.wait_for_selector("#heat-button")
        page.keyboard.press("h")
        expect(page.locator("#heat p")).to_contain_text("they prove nothing", timeout=PATIENCE_MS)


@pytest.mark.parametrize(
    "options", [{"viewport": {"width": 1280, "height": 800}}, {"viewport": {"width": 390, "height": 844}}]
)
def test_axe_finds_nothing_and_nothing_is_cut_off(browser, axe, desk, serve, options):
    with opened(browser, serve(desk), **options, bypass_csp=True) as page:
        page.wait_for_selector("#about h3", state="attached")
        assert page.evaluate("document.documentElement.scrollWidth") == options["viewport"]["width"]
        page.add_script_tag(content=axe)
        found = page.evaluate("axe.run()")["violations"]
        assert [(one["id"], [node["html"] for node in one["nodes"]][:3]) for one in found] == []
