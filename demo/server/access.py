"""Who may call what: the routes that are reachable, the password, the keys, and what a browser may load.

Gradio keeps uploads in files that whoever knows an address may fetch, fetches addresses that a visitor names, and has
routes for editing and monitoring. The page needs none of this, so only the routes that it uses are reachable.
"""

import base64
import json
import re
import secrets
from http import HTTPStatus
from typing import Any

from starlette.datastructures import Headers
from starlette.responses import JSONResponse, Response

from demo.settings import Settings

OWN = r"/(?:api/v1/.*|health|metrics|docs|openapi\.json|for-programs|pictures(?:/.*)?|live/.*|examples/.*|own/.*)"
PAGE = r"/(?:config/?|assets/.*|static/.*|svelte/.*|theme\.css|favicon\.ico|manifest\.json|robots\.txt|pwa_icon.*)?"
CALLS = (
    r"/gradio_api/(?:info/?|openapi\.json|startup-events|theme\.css|app_id/?|user/?|login_check/?|heartbeat/[\w-]+|"
    r"queue/(?:join|data)|cancel|reset/?|(?:call|run|api)/(?:v2/)?[\w/-]+)"
)
MCP = r"|/gradio_api/mcp(?:/.*)?"
# What programs call; the page itself calls Gradio by queue/join only.
PROGRAMS = ("/api/", "/gradio_api/call/", "/gradio_api/run/", "/gradio_api/api/", "/gradio_api/mcp")
OPEN = ("/health",)


def reachable(mcp: bool) -> re.Pattern[str]:
    """A pattern of the paths that are served.

    Args:
        mcp: whether agents may call as well.
    """
    return re.compile(f"(?:{OWN}|{PAGE}|{CALLS}{MCP if mcp else ''})$")


def refused(status: int, sentence: str, headers: dict[str, str] | None = None) -> Response:
    """A short answer as a problem detail (RFC 9457)."""
    problem = {"type": "about:blank", "title": HTTPStatus(status).phrase, "status": status, "detail": sentence}
    return JSONResponse(problem, status, headers, media_type="application/problem+json")


def unauthorised(headers: Headers, path: str, settings: Settings) -> Response | None:
    """The refusal of a caller who is not known; None for others.

    Programs show a key, where there are keys; everybody else the password, where there is one.
    """
    if path in OPEN:
        return None
    if path.startswith(PROGRAMS) and settings.api_keys:
        shown = headers.get("x-api-key") or headers.get("authorization", "").removeprefix("Bearer ")
        if not any(secrets.compare_digest(shown.encode(), key.encode()) for key in settings.api_keys):
            return refused(401, "Send one of this server's keys in the header X-API-Key.")
    elif settings.auth:
        expected = "Basic " + base64.b64encode(":".join(settings.auth).encode()).decode()
        if not secrets.compare_digest(headers.get("authorization", "").encode(), expected.encode()):
            challenge = {"www-authenticate": 'Basic realm="Reality Check", charset="UTF-8"'}
            return refused(401, "This page asks for a name and a password.", challenge)
    return None


def content_policy(framed_by: tuple[str, ...]) -> str:
    """Content-Security-Policy: everything comes from this server, nothing goes elsewhere.

    Gradio starts itself with inline scripts and compiles templates, so both stay allowed.
    """
    rules = {
        "default-src": "'self'", "script-src": "'self' 'unsafe-inline' 'unsafe-eval' blob:",
        "style-src": "'self' 'unsafe-inline'", "img-src": "'self' data: blob:", "media-src": "'self' blob:",
        "font-src": "'self' data:", "connect-src": "'self' blob:", "worker-src": "'self' blob:", "object-src": "'none'",
        "frame-src": "'self' blob:",
        "base-uri": "'self'", "form-action": "'self'", "frame-ancestors": " ".join(framed_by) or "'none'",
    }  # fmt: skip
    return "; ".join(f"{name} {value}" for name, value in rules.items())


def names_file(body: bytes) -> bool:
    """Whether a call to Gradio may speak of a file or an address, which Gradio would open or fetch."""
    try:
        return _has_file(json.loads(body)) if body else False
    except ValueError:
        return False  # Gradio refuses what is not JSON.
    except RecursionError:
        return True  # Gradio reads deeper than this looks.


def _has_file(value: Any) -> bool:
    if isinstance(value, dict):
        return bool({"path", "url", "meta"} & set(value)) or any(map(_has_file, value.values()))
    return isinstance(value, list) and any(map(_has_file, value))
