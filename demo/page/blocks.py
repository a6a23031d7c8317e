"""The page itself, in Gradio Blocks, with the form of objections. Answers stand in `results`, sentences in `texts`."""

import sqlite3
from collections.abc import AsyncIterator, Callable
from dataclasses import dataclass
from html import escape
from pathlib import Path
from typing import Any

import gradio as gr
from gradio.events import api
from gradio.themes.utils import fonts

from demo import texts
from demo.feedback.store import LABELS, MAX_COMMENT, Store, StoreFullError
from demo.page.examples import examples
from demo.page.handlers import CheckHandlers
from demo.page.results import ICONS
from demo.server.uploads import Uploads
from demo.settings import Settings
from facecheck.errors import ImageError
from facecheck.explain import wording
from facecheck.explain.wording import say, speaking

STATIC = Path(__file__).parent / "static"
HEAD = (
    '<link rel="stylesheet" href="own/page.css"><script src="own/language.js" defer></script>'
    '<script src="own/page.js" defer></script><script src="own/answers.js" defer></script>'
    '<script src="own/camera.js" defer></script>'
)
# Visitors whose page is open; of more, those who were silent longest have to press the button again.
SESSIONS = 200
# The picture goes to this server only now, and not through Gradio, which would keep it in a file.
SEND_JS = "async () => [await window.realityCheck.send(), window.realityCheck.language]"
# The last of the inputs is the visitor's language.
LANGUAGE_JS = "(...values) => [...values.slice(0, -1), window.realityCheck.language]"


@dataclass(frozen=True)
class ObjectionForm:
    """The components that a new verdict resets.

    Attributes:
        ticket: of the picture that was judged last. form: what is shown once there is a verdict.
    """

    ticket: gr.State
    form: gr.Group
    answer: gr.HTML


class Objections:
    """Keeps an objection if, and only if, its sender consents."""

    def __init__(self, store: Store, uploads: Uploads) -> None:
        self._store, self._uploads = store, uploads

    def send(self, ticket: str, label: str | None, comment: str | None, consents: bool) -> str:
        """What the visitor reads after they pressed the button."""
        if consents is not True:
            return say(texts.NO_CONSENT)
        if label not in LABELS:
            return say(texts.NO_LABEL)
        upload = self._uploads.get(ticket)
        if upload is None or upload.prediction is None:
            return " ".join(map(say, texts.GONE))
        try:
            return texts.thanks(self._store.add(upload.data, label, comment or "", upload.prediction))
        except StoreFullError:
            return say(texts.FULL)
        except (ImageError, OSError, sqlite3.Error):
            return " ".join(map(say, texts.BROKEN))

    def delete(self, receipt: str | None) -> str:
        """What the visitor reads after they asked for deletion."""
        try:
            return say(texts.DELETED if self._store.delete(receipt or "") else texts.NOT_FOUND)
        except (OSError, sqlite3.Error):
            return say(texts.NOT_DELETED)


def theme() -> gr.themes.Base:
    """Calm colours with local fonts only; the rest is in page.css."""
    # Gradio 6.31 ships a semi-bold Plex that has no Latin letters in it, so weight 600 falls to 700.
    sans = [fonts.LocalFont("IBM Plex Sans", weights=(400, 700)), fonts.Font("system-ui"), fonts.Font("sans-serif")]
    mono = [fonts.Font("ui-monospace"), fonts.Font("monospace")]
    return gr.themes.Base(
        primary_hue="teal", neutral_hue="slate", font=sans, font_mono=mono, radius_size="lg", text_size="md"
    ).set(
        body_background_fill="#f6f7f6", body_background_fill_dark="#11161a", body_text_color="#1c2730",
        body_text_color_dark="#e8edf0", button_primary_background_fill="#0f5f5c",
        button_primary_background_fill_hover="#0b4a48", button_primary_background_fill_dark="#62b8ad",
        button_primary_background_fill_hover_dark="#7fd1c7", button_primary_text_color="#ffffff",
        button_primary_text_color_dark="#0c2422",
        block_label_text_color="#41505b", block_label_text_color_dark="#b9c6ce",
        block_info_text_color="#41505b", block_info_text_color_dark="#b9c6ce",
        body_text_color_subdued="#4b5a65", body_text_color_subdued_dark="#aebbc4",
        input_placeholder_color="#5c6b76", input_placeholder_color_dark="#9fb0ba",
        block_border_width="0px", block_background_fill="transparent", block_background_fill_dark="transparent",
    )  # fmt: skip


def build_page(handlers: CheckHandlers, objections: Objections, settings: Settings) -> gr.Blocks:
    """The Blocks of the page."""
    page = gr.Blocks(title=texts.NAME, analytics_enabled=False, fill_width=True)
    with page:
        gr.HTML(_header(), apply_default_css=False)
        with gr.Row(elem_id="rc-columns", equal_height=False):
            with gr.Column(scale=6, min_width=320, elem_id="rc-choose"):
                gr.HTML(_template("picker.html"), apply_default_css=False)
                submit = gr.Button("Check this picture", variant="primary", size="lg", elem_id="rc-submit")
                gr.HTML(_promise(settings), apply_default_css=False, elem_id="rc-promise")
            with gr.Column(scale=5, min_width=320, elem_id="rc-welcome"):
                gr.HTML(_welcome(), apply_default_css=False)
        with gr.Column(elem_id="rc-answers"):
            result = gr.HTML("", elem_id="rc-result", apply_default_css=False)
            objection = build_objections(objections)
        gr.HTML(notes(), apply_default_css=False)
        build_deletion(objections)
        gr.HTML(_template("footer.html"), apply_default_css=False)
        tickets, language = gr.Textbox(visible=False), gr.Textbox(visible=False)

        async def check(tickets: str, language: str) -> AsyncIterator[tuple[Any, ...]]:
            async for html, judged in handlers.check(tickets, language):
                yield html, tickets if judged else "", gr.update(visible=judged), ""

        submit.click(
            check, inputs=[tickets, language],
            outputs=[result, objection.ticket, objection.form, objection.answer], js=SEND_JS,
            concurrency_limit=settings.workers, show_progress_on=result, api_name="press", api_visibility="private",
            trigger_mode="always_last",  # Who chooses another picture meanwhile presses again.
        )  # fmt: skip
        api(handlers.check_picture, api_name="check", concurrency_limit=settings.workers)
        page.unload(_forgetting(page))
    page.state_session_capacity = SESSIONS
    page.queue(max_size=settings.waiting, api_open=True)
    return page


def _forgetting(page: gr.Blocks) -> Callable[[gr.Request], None]:
    """Gradio remembers what it sent to a visitor, pictures too, until it has served 10,000 others."""

    def forget(request: gr.Request) -> None:
        page.state_holder.session_data.pop(request.session_hash or "", None)

    return forget


def _template(name: str) -> str:
    return (STATIC / name).read_text(encoding="utf-8")


def _header() -> str:
    """The title, and the languages that there are."""
    names = {"en": "English"} | {code: table["English"] for code, table in texts.languages().items()}
    options = "".join(f'<option value="{code}" lang="{code}">{escape(name)}</option>' for code, name in names.items())
    return _template("header.html").replace("{{languages}}", options)


def _promise(settings: Settings) -> str:
    size = f"<span>Pictures or a clip, up to</span> {settings.max_mb} MB."
    return f'<p class="rc-limits" id="rc-limits">{size} <span>{escape(texts.PROMISE)}</span></p>'


def _welcome() -> str:
    steps = "".join(f"<li><b>{escape(name)}</b> <span>{escape(text)}</span></li>" for name, text in texts.HOW_IT_WORKS)
    shown = "".join(
        f'<li><button type="button" class="rc-example" data-example="examples/{example.name}">'
        f'<img src="examples/small/{example.name}" alt="" width="72" height="72" loading="lazy"/>'
        f"<span><b>{escape(example.title)}</b><small>{escape(example.teaches)}</small></span></button></li>"
        for example in examples()
    )
    return (
        f'<section class="rc-welcome"><h2>How it works</h2><ol>{steps}</ol></section>'
        f'<section class="rc-try" aria-labelledby="rc-try"><h2 id="rc-try">Try one of these</h2>'
        f'<ul class="rc-examples">{shown}</ul></section>'
    )


def notes() -> str:
    """What a result means, what it does not mean, which pictures the page is made for, and its signs and words."""

    def items(sentences: tuple[str, ...]) -> str:
        return "".join(f"<li>{escape(sentence)}</li>" for sentence in sentences)

    signs = "".join(
        f'<dt class="rc-{verdict}"><span aria-hidden="true">{ICONS[verdict]}</span> '
        f"<span>{escape(wording.HEADLINES[verdict])}</span></dt><dd>{escape(sign)}</dd>"
        for verdict, sign in texts.SIGNS.items()
    )
    words = "".join(f"<dt>{escape(word)}</dt><dd>{escape(means)}</dd>" for word, means in texts.GLOSSARY)
    return (
        f'<div class="rc-notes"><section><h2>What an answer means</h2><ul>{items(wording.MEANS)}</ul>'
        f"<h2>Which pictures it is made for</h2><ul>{items(texts.GUIDELINES)}</ul></section>"
        f"<section><h2>What it does not mean</h2><ul>{items(wording.LIMITS)}</ul></section>"
        f"<section><h2>Signs and words</h2><dl>{signs}{words}</dl></section></div>"
    )


def build_objections(objections: Objections) -> ObjectionForm:
    """Draw the form; must be called inside Blocks."""
    ticket = gr.State("")
    with (
        gr.Column(visible=False, elem_id="rc-objection") as form,
        gr.Accordion(texts.OBJECTION, open=False, elem_id="rc-object"),
    ):
        steps = "".join(f"<li>{escape(step)}</li>" for step in texts.OBJECTION_STEPS)
        gr.HTML(f"<p>{escape(texts.OBJECTION_WORDS)}</p><ol>{steps}</ol>", apply_default_css=False)
        label = gr.Radio([(text, name) for name, text in LABELS.items()], label="What do you know about it?")
        comment = gr.Textbox(label="How do you know? (optional)", max_length=MAX_COMMENT, lines=2, max_lines=4)
        consents = gr.Checkbox(label=texts.CONSENT, value=False, elem_id="rc-consent")
        send = gr.Button("Send", elem_id="rc-object-send")
        answer = _said("rc-object-answer")
    _on(send, objections.send, [ticket, label, comment, consents], answer)
    return ObjectionForm(ticket, form, answer)


def build_deletion(objections: Objections) -> None:
    """Draw the place where a receipt code is given back."""
    with gr.Accordion("Delete an earlier objection", open=False, elem_id="rc-delete"):
        receipt = gr.Textbox(label="Receipt code", placeholder="ABCD-EFGH-JKMN-PQRS", max_length=40)
        delete = gr.Button("Delete it", elem_id="rc-delete-send")
        answer = _said("rc-delete-answer")
    _on(delete, objections.delete, [receipt], answer)


def _said(elem_id: str) -> gr.HTML:
    return gr.HTML("", elem_id=elem_id, elem_classes="rc-said", apply_default_css=False)


def _on(button: gr.Button, respond: Callable[..., str], inputs: list[gr.components.Component], answer: gr.HTML) -> None:
    def run(*values: object) -> str:
        *given, language = values
        with speaking(texts.languages().get(str(language))):
            return f'<p role="status">{escape(respond(*given))}</p>'

    button.click(
        run, inputs=[*inputs, gr.Textbox(visible=False)], outputs=answer, js=LANGUAGE_JS, api_visibility="private",
        concurrency_limit=4,
    )  # fmt: skip
