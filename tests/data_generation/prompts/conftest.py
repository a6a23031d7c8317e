"""A local server that speaks the Responses and the chat-completions format, and misbehaves on demand."""

import itertools
import json
import re
import threading
import time
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer

import pytest

from data_generation.plan import make_plan

USAGE = {"prompt_tokens": 100, "completion_tokens": 40, "total_tokens": 140}
RESPONSES, CHAT = "/v1/responses", "/v1/chat/completions"


class FakeServer(ThreadingHTTPServer):
    """Answers well, except where `script` says otherwise.

    Attributes:
        script: misbehaviours of the next requests, taken from the front; "" is a good answer.
        always: misbehaviour of every request after the script.
        routes: those that exist.
        formats: kinds of `response_format` that chat completions accept.
        requests: (path, body) of all requests.
        delay: seconds before every answer.
    """

    daemon_threads = True

    def __init__(self):
        super().__init__(("127.0.0.1", 0), _Handler)
        self.script, self.always, self.requests, self.delay = [], "", [], 0.0
        self.routes, self.formats = {RESPONSES, CHAT}, {"json_schema", "json_object"}
        self.numbers = itertools.count()

    @property
    def url(self):
        return f"http://127.0.0.1:{self.server_port}/v1"

    def asked(self):
        """How many persons each request was about."""
        return [len(_persons(body)) for _, body in self.requests]

    def handle_error(self, request, client_address):
        """A client that has hung up is part of the test."""


def _persons(body):
    text = body["input"] if "input" in body else body["messages"][-1]["content"]
    return re.findall(r"^(\d+)\. (.*)$", text, re.MULTILINE)


class _Handler(BaseHTTPRequestHandler):
    def do_POST(self):
        body = json.loads(self.rfile.read(int(self.headers["Content-Length"])))
        self.server.requests.append((self.path, body))
        time.sleep(self.server.delay)
        move = self.server.script.pop(0) if self.server.script else self.server.always
        kind = body.get("response_format", {}).get("type", "json_schema")
        if self.path not in self.server.routes:
            self._fail(404, f"Invalid URL (POST {self.path})")
        elif kind not in self.server.formats:
            self._fail(400, f"response_format {kind} is not supported")
        elif move.isdigit():
            self._fail(int(move), "no luck")
        elif move in ERRORS:
            self._fail(*ERRORS[move])
        else:
            if move == "slow":
                time.sleep(5)
            self._answer(body, move)

    def _fail(self, status, message, code=None, retry_after=None):
        echo = f"{message}; you sent {self.headers['Authorization']}"
        self._send(status, {"error": {"message": echo, "code": code, "type": "error"}}, retry_after)

    def _answer(self, body, move):
        chat = self.path == CHAT
        prompts = [
            {"item": int(number), "prompt": f"Photo number {next(self.server.numbers)} of a person in {facts[:30]}"}
            for number, facts in _persons(body)
        ]
        if move in CHANGES:
            prompts = CHANGES[move](prompts, self.headers["Authorization"])
        text = json.dumps({"prompts": prompts})
        if move == "truncated":
            text = text[: len(text) // 2]
        if move == "fenced":
            text = f"<think>Let me see {{}}</think>\n```json\n{text}\n```"
        if move == "prose":
            text = "Here are your prompts!"
        answer = _chat(text, move) if chat else _response(text, move)
        self._send(200, "<html>hello</html>" if move == "html" else answer)

    def _send(self, status, answer, retry_after=None):
        data = answer.encode() if isinstance(answer, str) else json.dumps(answer).encode()
        self.send_response(status)
        self.send_header("Content-Type", "text/html" if isinstance(answer, str) else "application/json")
        self.send_header("Content-Length", str(len(data)))
        if retry_after:
            self.send_header("Retry-After", retry_after)
        self.end_headers()
        self.wfile.write(data)

    def log_message(self, *args):
        """Keep the test output clean."""


ERRORS = {
    "wait": (429, "slow down", None, "7"),
    "wait for ever": (429, "slow down", None, "86400"),
    "quota": (429, "You exceeded your quota", "insufficient_quota"),
    "no model": (404, "The model `m` does not exist", "model_not_found"),
    "ollama": (404, 'model "m" not found, try pulling it first'),
}
CHANGES = {
    "fewer": lambda prompts, key: prompts[:-1],
    "more": lambda prompts, key: [*prompts, {"item": 99, "prompt": "One too many persons in a photo"}],
    "same": lambda prompts, key: [{**each, "prompt": "The same photo of a person, always!"} for each in prompts],
    "long": lambda prompts, key: [{**each, "prompt": "very " * 200} for each in prompts],
    "empty": lambda prompts, key: [{**each, "prompt": "  "} for each in prompts],
    "named": lambda prompts, key: [{**each, "prompt": f"{each['prompt']} beside Jane Example"} for each in prompts],
    "echo": lambda prompts, key: [{**each, "prompt": f"Photo of {key} in the sun, smiling"} for each in prompts],
}


def _response(text, move):
    content = [{"type": "output_text", "text": text, "annotations": []}]
    if move == "refusal":
        content = [{"type": "refusal", "refusal": "I cannot help with that."}]
    if move == "none":
        content = []
    answer = {"id": "r", "object": "response", "created_at": 0, "model": "m", "status": "completed", "tools": []}
    if move == "truncated":
        answer |= {"status": "incomplete", "incomplete_details": {"reason": "max_output_tokens"}}
    message = {"type": "message", "id": "m", "role": "assistant", "status": "completed", "content": content}
    usage = {"input_tokens": 100, "output_tokens": 40, "total_tokens": 140}
    return answer | {"output": [message], "usage": usage, "parallel_tool_calls": False, "tool_choice": "auto"}


def _chat(text, move):
    message = {"role": "assistant", "content": text}
    if move == "refusal":
        message = {"role": "assistant", "content": None, "refusal": "I cannot help with that."}
    if move == "none":
        message = {"role": "assistant", "content": None}
    finish = "length" if move == "truncated" else "stop"
    choices = [{"index": 0, "message": message, "finish_reason": finish}]
    return {"id": "c", "object": "chat.completion", "created": 0, "model": "m", "choices": choices, "usage": USAGE}


@pytest.fixture
def server():
    fake = FakeServer()
    thread = threading.Thread(target=fake.serve_forever, kwargs={"poll_interval": 0.02}, daemon=True)
    thread.start()
    yield fake
    fake.shutdown()
    fake.server_close()
    thread.join()


@pytest.fixture(scope="session")
def small_plan():
    """Ten cells, two pictures each."""
    return make_plan(10, seed=1, count=2)
