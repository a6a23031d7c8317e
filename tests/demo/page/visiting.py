"""What a visitor of the page does."""

from contextlib import contextmanager

VERDICT = "#rc-result [data-verdict]:not([data-old])"
STATE = "#rc-result [data-state]:not([data-state=loading], [data-old])"
# A crowd takes seconds on a quiet machine; tests may share theirs with others.
PATIENCE = 240_000
GIVEN = """([way, name, type, text]) => {
  const given = new DataTransfer();
  given.items.add(new File([Uint8Array.from(atob(text), (c) => c.charCodeAt(0))], name, { type }));
  const event = way === "drop" ? new DragEvent("drop", { dataTransfer: given, bubbles: true })
    : new ClipboardEvent("paste", { clipboardData: given, bubbles: true });
  document.getElementById("rc-well").dispatchEvent(event);
}"""


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
    assert problems == [], problems


def start_again(page):
    """The same visitor, who has chosen nothing now: a new one would load the page first, for seconds."""
    page.unroute_all()
    page.evaluate("document.querySelector('#rc-result section')?.remove(); window.realityCheck.choose()")
    return page


def is_foreign(url: str, server: str) -> bool:
    return not url.startswith((server, "data:", "blob:"))


def check(page, data: bytes, name: str = "photo.jpg", kind: str = "image/jpeg", expects: str = VERDICT):
    """Choose a file, press the button, and return the element that the visitor reads then."""
    page.evaluate("document.querySelector('#rc-result section')?.setAttribute('data-old', '')")
    page.set_input_files("#rc-file", {"name": name, "mimeType": kind, "buffer": data})
    page.click("#rc-submit")
    return page.wait_for_selector(expects)
