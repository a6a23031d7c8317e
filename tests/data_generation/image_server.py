"""A local server that speaks OpenAI's images format, and misbehaves on demand."""

import base64
import contextlib
import io
import json
import threading
import time
from collections import Counter
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer

import numpy as np
from PIL import Image

USAGE = {
    "input_tokens": 20, "output_tokens": 200, "total_tokens": 220,
    "input_tokens_details": {"text_tokens": 20, "image_tokens": 0},
}  # fmt: skip
ERRORS = {
    "busy": (429, "Rate limit reached", "rate_limit_exceeded", "1"),
    "wait for ever": (429, "Rate limit reached", "rate_limit_exceeded", "86400"),
    "quota": (429, "You exceeded your current quota", "insufficient_quota", None),
    "billing": (400, "Billing hard limit has been reached", "billing_hard_limit_reached", None),
    "moderation": (400, "Your request was rejected by the safety system.", "moderation_blocked", None),
    "no model": (404, "The model `m` does not exist", "model_not_found", None),
    "key": (401, "Incorrect API key provided", "invalid_api_key", None),
    "verify": (403, "Your organization must be verified to use the model", None, None),
    "size": (400, "Invalid value: '7x7' for size", "invalid_value", None),
    "down": (500, "The server had an error", None, None),
    "gateway": (504, "upstream request timeout", None, None),
}


class ImageServer(ThreadingHTTPServer):
    """Answers well, except where `script` or `moves` says otherwise.

    Attributes:
        script: misbehaviours of the next requests, taken from the front; "" is a good answer. moves: by prompt.
            What begins like JSON or HTML is the answer itself.
        asked, made: how often each prompt came, and was answered with an image (which costs).
        bodies: of all requests. delay: seconds before every image. as_url: images by address. most: at once.
        pictures: the bytes of the images, one for each prompt in turn, in place of such that are made for it.
    """

    daemon_threads = True
    request_queue_size = 64

    def __init__(self):
        super().__init__(("127.0.0.1", 0), _Handler)
        self.script, self.moves, self.delay, self.as_url, self.pictures = [], {}, 0.0, False, []
        self.asked, self.made, self.bodies, self.images, self.keys = Counter(), Counter(), [], {}, set()
        self.lock, self.busy, self.most = threading.Lock(), 0, 0

    @property
    def url(self):
        return f"http://127.0.0.1:{self.server_port}/v1"

    def handle_error(self, request, client_address):
        """A client that has hung up is part of the test."""


def picture_of(prompt, size="96x96", kind="png"):
    """A picture that is the same for a prompt, and another one for another prompt."""
    width, height = map(int, size.split("x"))
    seed = np.random.default_rng(list(prompt.encode()))
    small = Image.fromarray(seed.integers(0, 256, (8, 8, 3), dtype=np.uint8))
    stream = io.BytesIO()
    small.resize((width, height)).save(stream, kind)
    return stream.getvalue()


class _Handler(BaseHTTPRequestHandler):
    def do_POST(self):
        body = json.loads(self.rfile.read(int(self.headers["Content-Length"])))
        server, prompt = self.server, body["prompt"]
        with server.lock:
            server.asked[prompt] += 1
            server.bodies.append(body)
            server.keys.add(self.headers["Authorization"])
            server.busy += 1
            server.most = max(server.most, server.busy)
            move = server.script.pop(0) if server.script else server.moves.get(prompt, "")
        try:
            with contextlib.suppress(OSError):
                self._move(body, move)
        finally:
            with server.lock:
                server.busy -= 1

    def _move(self, body, move):
        server = self.server
        if self.path != "/v1/images/generations":
            return self._send(404, {"error": {"message": "no such path"}})
        if move in ERRORS:
            status, message, code, wait = ERRORS[move]
            echo = f"{message}; you sent {self.headers['Authorization']}"
            headers = {"Retry-After": wait} if wait else {}
            return self._send(status, {"error": {"message": echo, "code": code, "type": "error"}}, headers)
        time.sleep(server.delay)
        with server.lock:
            server.made[body["prompt"]] += 1
        if move in ("endless", "slow", "packed", "moved"):
            return self._misbehave(move)
        if move.startswith(("{", "[", "<")):
            return self._send(200, move.encode())
        answer = json.dumps(self._answer(body, move)).encode()
        if move == "hang up":
            return self._send(200, answer, cut=len(answer) // 2)
        return self._send(200, answer, {"x-request-id": "req_1"})

    def _misbehave(self, move):
        """Answers without end, slowly, that unpack to more than they are, or that lead elsewhere."""
        headers = {
            "packed": {"Content-Encoding": "gzip"}, "moved": {"Location": f"http://localhost:{self.server.server_port}/"}
        }.get(move, {})  # fmt: skip
        self.send_response(307 if move == "moved" else 200)
        for name, value in headers.items():
            self.send_header(name, value)
        self.end_headers()
        for _ in range({"endless": 1 << 20, "slow": 1000}.get(move, 0)):
            self.wfile.write(b" " * (65536 if move == "endless" else 1))
            time.sleep(0.05 if move == "slow" else 0)

    def _answer(self, body, move):
        kind = body.get("output_format", "png")
        size = body.get("size", "96x96")
        content = picture_of(body["prompt"], size, kind)
        if self.server.pictures:
            content = self.server.pictures[list(self.server.asked).index(body["prompt"])]
        if move == "half a JPEG":
            content = picture_of(body["prompt"], "640x640", "jpeg")
        if move.startswith("half a"):
            content = content[: len(content) // 2]
        text = base64.b64encode(content).decode()
        first = {"b64_json": text[:-3] if move == "cut base64" else text}
        if self.server.as_url or move == "url":
            name = f"/images/{len(self.server.images)}"
            self.server.images[name] = content
            first = {"url": f"http://127.0.0.1:{self.server.server_port}{name}", "revised_prompt": "A photo, revised"}
        return {"created": 1, "data": [first], "usage": USAGE, "size": size, "quality": body.get("quality", "auto")}

    def do_GET(self):
        if self.path == "/endless":
            return self._misbehave("endless")
        self.server.keys.add(self.headers["Authorization"])
        content = self.server.images.get(self.path)
        return self._send(200 if content else 404, content or b"gone")

    def _send(self, status, answer, headers=None, cut=None):
        data = answer if isinstance(answer, bytes) else json.dumps(answer).encode()
        self.send_response(status)
        self.send_header("Content-Type", "application/json")
        self.send_header("Content-Length", str(len(data)))
        for name, value in (headers or {}).items():
            self.send_header(name, value)
        self.end_headers()
        self.wfile.write(data[:cut])

    def log_message(self, *args):
        """Keep the test output clean."""


@contextlib.contextmanager
def serving():
    server = ImageServer()
    thread = threading.Thread(target=server.serve_forever, kwargs={"poll_interval": 0.02}, daemon=True)
    thread.start()
    try:
        yield server
    finally:
        server.shutdown()
        server.server_close()
        thread.join()
