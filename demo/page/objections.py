"""The part of the page where a visitor objects, and deletes an objection."""

import sqlite3
from collections.abc import Callable
from dataclasses import dataclass
from html import escape

import gradio as gr

from demo import texts
from demo.feedback.store import LABELS, MAX_COMMENT, Store, StoreFullError
from demo.server.uploads import Uploads
from facecheck.errors import ImageError
from facecheck.explain.wording import say, speaking

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
