"""`python -m demo`: start the Reality Check page.

`python -m demo feedback`: what visitors objected to; `screenshot`, `space`: what is around the page.
"""

import shutil
import socket
import subprocess
import sys
import time
import urllib.error
import urllib.request
from collections.abc import Callable
from ipaddress import ip_network
from pathlib import Path
from typing import TYPE_CHECKING, Any

import click

from demo.feedback.commands import feedback
from demo.settings import Settings, default_store
from facecheck.cli.options import Group

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


if TYPE_CHECKING:
    from fastapi import FastAPI

# Every option may also stand in the environment: FACECHECK_DEMO_AUTH, FACECHECK_DEMO_FRAMED_BY, ...
CONTEXT = {"show_default": True, "auto_envvar_prefix": "FACECHECK_DEMO"}
LOCAL = ("127.0.0.1", "localhost", "::1")


def _networks(_: click.Context, __: click.Parameter, given: tuple[str, ...]) -> tuple[str, ...]:
    for text in given:
        try:
            ip_network(text, strict=False)
        except ValueError as error:
            raise click.BadParameter(f"{text!r} is no address and no network, such as 10.0.0.0/8") from error
    return given


@click.group(cls=Group, invoke_without_command=True, context_settings=CONTEXT)
@click.option("--host", default=Settings.host, help="0.0.0.0 opens the page to your network.")
@click.option("--port", default=Settings.port)
@click.option("--model", default=Settings.model, help="Name or path of a model.")
@click.option("--device", default=Settings.device, help="auto, cpu, cuda, ...")
@click.option("--max-mb", default=Settings.max_mb, type=click.IntRange(1, 256), help="Largest upload, MiB.")
@click.option("--workers", default=Settings.workers, type=click.IntRange(1), help="Pictures judged at the same time.")
@click.option("--waiting", default=Settings.waiting, type=click.IntRange(1), help="Pictures that may wait.")
@click.option(
    "--rate", default=Settings.rate, type=click.IntRange(0), help="Requests a minute from one address; 0: any."
)
@click.option(
    "--megapixels", default=Settings.megapixels, type=click.IntRange(0), help="A minute from one address; 0: any."
)
@click.option(
    "--connections", default=Settings.connections, type=click.IntRange(1), help="That one address may have open."
)
@click.option(
    "--proxy", "proxies", multiple=True, default=Settings.proxies,
    callback=_networks, help="Address or network of a proxy whose X-Forwarded-For is believed.",
)  # fmt: skip
@click.option(
    "--prevalence", default=Settings.prevalence, type=click.FloatRange(0, 1, min_open=True, max_open=True),
    help="Share of generated faces among those that visitors ask about.",
)  # fmt: skip
@click.option("--auth", metavar="USER:PASSWORD", help="Ask everybody for it.")
@click.option("--api-key", "api_keys", multiple=True, help="Ask programs for one of these.")
@click.option("--cors", multiple=True, help="Web pages of this origin may call the API.")
@click.option("--framed-by", multiple=True, help="Origin that may show the page in a frame.")
@click.option("--root-path", default="", help="Path below which a proxy serves the page.")
@click.option("--mcp", is_flag=True, help="Also serve agents (Model Context Protocol); needs gradio[mcp].")
@click.option("--feedback-dir", type=click.Path(file_okay=False, path_type=Path), default=default_store)
@click.option("--feedback-mb", default=Settings.feedback_mb, type=click.IntRange(0), help="Of objections at most, MiB.")
@click.pass_context
def main(context: click.Context, /, auth: str | None, feedback_dir: Path, **chosen: Any) -> None:
    """Serve the Reality Check page, on this computer only unless you say otherwise."""
    if context.invoked_subcommand:
        return
    try:
        import uvicorn

        from demo.app import create_app
        from demo.server.connections import server_options
    except ImportError as error:
        raise click.ClickException(f'{error}; install what the page needs: pip install -e ".[demo]"') from error

    settings = Settings(auth=_auth(auth), feedback=feedback_dir, **chosen)
    if settings.host not in LOCAL and not settings.auth:
        click.echo("Note: whoever reaches this address can use the page; --auth USER:PASSWORD asks for a password.")
    click.echo(f"Reality Check: http://{settings.host}:{settings.port}{settings.root_path}")
    uvicorn.run(
        _made(create_app, settings), host=settings.host, port=settings.port, log_level="warning",
        timeout_graceful_shutdown=3, **server_options(settings),
    )  # fmt: skip


def _made(create_app: Callable[[Settings], "FastAPI"], settings: Settings) -> "FastAPI":
    try:
        return create_app(settings)
    except ImportError as error:  # Of Gradio, when --mcp is asked for without its extra.
        raise click.ClickException(str(error)) from error


def _auth(text: str | None) -> tuple[str, str] | None:
    if not text:
        return None
    user, colon, password = text.partition(":")
    if not (user and colon and password):
        raise click.UsageError("--auth must be USER:PASSWORD")
    return user, password


for command in (feedback, screenshot, space):
    main.add_command(command)
