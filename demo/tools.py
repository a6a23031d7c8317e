"""Commands around the page: its screenshots, in an installed Chromium, and the files of a Hugging Face Space."""

import shutil
import socket
import subprocess
import sys
import time
import urllib.error
import urllib.request
from pathlib import Path

import click

ROOT = Path(__file__).parents[1]
COPIED = ("pyproject.toml", "setup.cfg", "LICENSE", "facecheck", "demo")
# A Space is shown in a frame of this site.
FRAME = "\nENV FACECHECK_DEMO_FRAMED_BY=https://huggingface.co\n"
READY_S = 300
BROWSERS = ("chromium", "chromium-browser", "google-chrome")
ARGUMENTS = ("--no-sandbox", "--disable-gpu", "--disable-background-networking", "--disable-component-update")


@click.command(context_settings={"show_default": True})
@click.argument("photo", type=click.Path(exists=True, dir_okay=False, path_type=Path))
@click.argument("out", type=click.Path(dir_okay=False, path_type=Path))
@click.option("--width", default=1280)
@click.option("--height", default=1000)
@click.option("--dark", is_flag=True)
def screenshot(photo: Path, out: Path, width: int, height: int, dark: bool) -> None:
    """Let the page judge PHOTO and write what a visitor sees to OUT (.png, .jpg); needs Playwright and Chromium."""
    from playwright.sync_api import sync_playwright

    browser = next(filter(None, map(shutil.which, BROWSERS)), None)
    if browser is None:
        raise click.ClickException("no Chromium found; on Debian: apt-get install chromium")
    port = _free_port()
    server = subprocess.Popen([sys.executable, "-m", "demo", "--port", str(port)], stdout=subprocess.DEVNULL)
    try:
        _wait(f"http://127.0.0.1:{port}/health")
        with sync_playwright() as playwright:
            opened = playwright.chromium.launch(executable_path=browser, args=ARGUMENTS)
            page = opened.new_page(
                viewport={"width": width, "height": height}, color_scheme="dark" if dark else "light"
            )
            page.set_default_timeout(READY_S * 1000)
            page.goto(f"http://127.0.0.1:{port}")
            page.set_input_files("#rc-file", photo)
            page.click("#rc-submit")
            page.wait_for_selector("#rc-result [data-verdict]")
            page.wait_for_timeout(1000)  # Bars grow and fonts settle.
            page.screenshot(path=out)
            opened.close()
    finally:
        server.terminate()
        server.wait(30)
    click.echo(f"{out}: {width}x{height}")


def _free_port() -> int:
    with socket.socket() as free:
        free.bind(("127.0.0.1", 0))
        return int(free.getsockname()[1])


def _wait(address: str) -> None:
    end = time.monotonic() + READY_S
    while time.monotonic() < end:
        try:
            urllib.request.urlopen(address, timeout=5).close()
            return
        except (urllib.error.URLError, OSError):
            time.sleep(0.3)
    raise click.ClickException(f"{address} did not answer within {READY_S} s")


@click.command()
@click.argument("out", type=click.Path(file_okay=False, path_type=Path))
def space(out: Path) -> None:
    """Write the files of a Hugging Face Space into the new folder OUT, ready to be pushed."""
    if out.exists() and any(out.iterdir()):
        raise click.ClickException(f"{out} is not empty; name a new folder")
    out.mkdir(parents=True, exist_ok=True)
    for name in COPIED:
        source, target = ROOT / name, out / name
        if source.is_dir():
            shutil.copytree(source, target, ignore=shutil.ignore_patterns("__pycache__"))
        else:
            shutil.copyfile(source, target)
    shutil.copyfile(ROOT / "deploy" / "space.md", out / "README.md")
    (out / "Dockerfile").write_text((ROOT / "deploy" / "Dockerfile").read_text() + FRAME)
    click.echo(f"{out}: commit it to https://huggingface.co/spaces/OWNER/NAME and push")
