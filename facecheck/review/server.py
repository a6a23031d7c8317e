"""The desk as a local web page: on 127.0.0.1 alone, behind a token in its address, from the standard library.

Whoever has the address may see every picture of the scan and decide. Other pages of the same browser cannot: the token
is not theirs, names of other hosts are refused (DNS rebinding), and the page may load nothing from elsewhere.
"""

import hmac
import json
import secrets
import threading
from collections.abc import Callable, Mapping, Sequence
from http import HTTPStatus
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from typing import Any
from urllib.parse import parse_qs, quote, urlsplit

from facecheck.errors import FacecheckError, ReviewConflictError
from facecheck.explain import wording
from facecheck.files import printable
from facecheck.review.decisions import Decision, Decisions, Judgement, csv_of, labels_of
from facecheck.review.filters import Filters
from facecheck.review.pictures import Pictures, original
from facecheck.review.summary import as_page
from facecheck.review.table import SORTS, ReviewTable
from facecheck.scan.rows import Row, prediction_of

MOST_NAME = 60
EXPORTS = ("decisions.csv", "manifest.csv", "summary.html")
HOST = "127.0.0.1"
STATIC = Path(__file__).parent / "static"
KINDS = {"html": "text/html", "css": "text/css", "js": "text/javascript", "csv": "text/csv"}
MOST_ROWS, MOST_BODY_BYTES = 200, 1 << 14
TIMEOUT_S = 30.0
HEADERS = {
    "Content-Security-Policy": "default-src 'none'; script-src 'self'; style-src 'self'; img-src 'self' data:; "
    "connect-src 'self'; base-uri 'none'; form-action 'none'; frame-ancestors 'none'",
    "Cross-Origin-Resource-Policy": "same-origin",
    "Referrer-Policy": "no-referrer",
    "X-Content-Type-Options": "nosniff",
}
Answer = tuple[bytes, str, dict[str, str]]


class Desk:
    """Safe to use from several threads.

    Args:
        reviewer: who decides, unless the page says otherwise.
    """

    def __init__(self, table: ReviewTable, decisions: Decisions, pictures: Pictures, reviewer: str) -> None:
        self.table, self.decisions, self.pictures, self.reviewer = table, decisions, pictures, reviewer
        self._log: list[dict[str, Any]] = []
        self._lock = threading.Lock()
        self.news(0)

    def news(self, seen: int) -> dict[str, Any]:
        """The decisions since the `seen`-th, whoever made them."""
        with self._lock:
            self._note(self.decisions.refresh())
            return {"seen": len(self._log), "changes": self._log[seen:]}

    def decide(self, asked: Mapping[str, Any]) -> dict[str, Any]:
        """Decide about a file and, unless `alone`, its near-duplicates.

        Raises:
            ReviewConflictError: somebody else did. KeyError, ValueError, TypeError: not understood.
        """
        number, seen = int(asked["id"]), int(asked["seen"])
        judgement = None if asked["judgement"] is None else Judgement(asked["judgement"])
        by = printable(str(asked.get("by") or self.reviewer))[:MOST_NAME]
        rows = [self.table.row(number)] if asked.get("alone") else self.table.family(number)
        if not rows:
            raise KeyError(number)
        with self._lock:
            self._note(self.decisions.decide(rows, judgement, by, seen))
            return {"seen": len(self._log), "changes": self._log[seen:]}

    def about(self, number: int) -> dict[str, Any]:
        """Everything about one file, in words."""
        row = self.table.row(number)
        prediction = prediction_of(row)
        faces = [
            {"box": face.box, "p_fake": face.p_fake, "verdict": face.verdict, "size_px": face.size_px,
             "reasons": wording.reasons(face),
             "expected": " ".join(wording.chance_of_error(face.expected_error)) if face.expected_error else None}
            for face in prediction.faces
        ]  # fmt: skip
        latest = self.decisions.latest.get(row["path"])
        decided = latest if latest is not None and latest.holds_for(row) else None
        return {
            "id": number, "path": printable(row["path"]), "bytes": row["size"], "size": prediction.size,
            "kind": row["kind"],
            "headline": wording.headline(prediction), "explained": wording.explained(prediction), "faces": faces,
            "file_says": wording.file_says(prediction), "contradiction": prediction.contradiction,
            "error": printable(row["error"] or ""), "verdict": prediction.verdict, "p_fake": prediction.p_fake,
            "decision": decided and {"judgement": decided.judgement, "by": decided.by, "at": decided.at},
        }  # fmt: skip

    def setting(self) -> dict[str, Any]:
        """What the page needs once."""
        rules = [
            {"name": rule.name, "meaning": rule.meaning}
            | ({} if rule.threshold is None else {
                "threshold": rule.threshold.threshold,
                "band": [rule.threshold.uncertain_from, rule.threshold.uncertain_to],
            })
            for rule in self.table.rules
        ]  # fmt: skip
        words = {"note": wording.NOT_A_PROOF, "heat_map": wording.HEAT_MAP_CAUTION}
        about = {
            "name": self.table.ledger.name,
            "reviewer": self.reviewer,
            "folder": printable(str(self.table.folder())),
        }
        return about | {"rules": rules, "words": words}

    def exported(self, name: str) -> bytes:
        """One of `EXPORTS`: all decisions, those that training can learn from, or the summary page with them.

        Raises:
            KeyError: no such file.
        """
        rows, latest = self.table.rows(), self.decisions.latest
        match name:
            case "decisions.csv":
                return csv_of(rows, latest)
            case "manifest.csv":
                return labels_of(rows, latest, self.table.folder())[0]
            case "summary.html":
                return as_page(rows, latest).encode("utf-8", "backslashreplace")
        raise KeyError(name)

    def _note(self, decisions: Sequence[Decision]) -> None:
        for number, decision in zip(self.table.note(decisions), decisions, strict=True):
            self._log.append({"id": number, "judgement": decision.judgement, "by": decision.by})


class _Server(ThreadingHTTPServer):
    daemon_threads = True
    request_queue_size = 64

    def __init__(self, desk: Desk, token: str, port: int) -> None:
        self.desk, self.token = desk, token
        super().__init__((HOST, port), _Handler)

    def handle_error(self, request: Any, client_address: Any) -> None:
        """Nothing: a browser that leaves in the middle of an answer is no error."""


class _Handler(BaseHTTPRequestHandler):
    """One connection. Nothing that it is sent is ever a path of a file: files go by their number in the table."""

    protocol_version = "HTTP/1.1"
    server_version = "facecheck"
    sys_version = ""
    timeout = TIMEOUT_S
    server: _Server

    def do_GET(self) -> None:
        self._answer(self._get)

    def do_POST(self) -> None:
        self._answer(self._post)

    def log_message(self, format: str, *args: Any) -> None:
        """Nothing: the address holds the token."""

    def _get(self, what: str, asked: Mapping[str, list[str]]) -> Answer:
        kind, _, rest = what.partition("/")
        match kind:
            case "" | "review.css" | "list.js" | "about.js" | "review.js":
                name = kind or "review.html"
                return (STATIC / name).read_bytes(), _kind(name), {}
            case "api":
                return self._api(rest, asked)
            case "export":
                attached = {"Content-Disposition": f'attachment; filename="{rest}"'}
                return self.server.desk.exported(rest), _kind(rest), attached
        return self._picture(kind, self.server.desk.table.row(int(rest)), asked)

    def _picture(self, kind: str, row: Row, asked: Mapping[str, list[str]]) -> Answer:
        pictures = self.server.desk.pictures
        match kind:
            case "thumbnail":
                shown = pictures.thumbnail(row, whole="whole" in asked)
            case "picture":
                shown = pictures.picture(row)
            case "heat":
                shown = pictures.heat_map(row)
            case "original":
                # To be saved, never to be shown: a browser would open what facecheck refuses, such as SVG.
                name = quote(printable(Path(row["path"]).name))
                attached = {"Content-Disposition": f"attachment; filename*=UTF-8''{name}"}
                return original(row), "application/octet-stream", attached
            case _:
                raise KeyError(kind)
        return shown, "image/jpeg", {"Cache-Control": "private, max-age=3600"}

    def _api(self, name: str, asked: Mapping[str, list[str]]) -> Answer:
        desk = self.server.desk
        match name:
            case "setting":
                return _json(desk.setting())
            case "news":
                return _json(desk.news(int(asked["seen"][0])))
            case "about":
                return _json(desk.about(int(asked["id"][0])))
            case "counts":
                return _json(desk.table.counts(self._filters(asked)))
            case "rows":
                sort = asked.get("sort", ["chance"])[0]
                if sort not in SORTS:
                    raise ValueError(f"sort is {sort!r}; it must be one of {', '.join(SORTS)}")
                offset, limit = int(asked.get("offset", ["0"])[0]), int(asked.get("limit", ["60"])[0])
                total, rows = desk.table.page(self._filters(asked), sort, max(offset, 0), min(limit, MOST_ROWS))
                return _json({"total": total, "rows": rows})
        raise KeyError(name)

    def _filters(self, asked: Mapping[str, list[str]]) -> Filters:
        return Filters.parsed(asked, rules=len(self.server.desk.table.rules))

    def _post(self, what: str, _: Mapping[str, list[str]]) -> Answer:
        if what != "api/decide":
            raise KeyError(what)
        if self.headers.get_content_type() != "application/json":
            raise ValueError("a decision is JSON")
        length = int(self.headers.get("Content-Length") or 0)
        if not 0 < length <= MOST_BODY_BYTES:
            raise ValueError("a decision is short")
        return _json(self.server.desk.decide(json.loads(self.rfile.read(length))))

    def _answer(self, work: Callable[[str, Mapping[str, list[str]]], Answer]) -> None:
        status = HTTPStatus.OK
        extra: dict[str, str] = {}
        try:
            url = urlsplit(self.path)
            token, _, what = url.path.removeprefix("/").partition("/")
            if not self._is_local() or not hmac.compare_digest(token.encode(), self.server.token.encode()):
                status, (data, media, _) = HTTPStatus.NOT_FOUND, _json({"error": "not found"})
            else:
                data, media, extra = work(what, parse_qs(url.query, max_num_fields=50))
        except ReviewConflictError as error:
            status, (data, media, _) = HTTPStatus.CONFLICT, _json({"error": str(error)})
        except FacecheckError as error:
            status, (data, media, _) = HTTPStatus.UNPROCESSABLE_ENTITY, _json({"error": printable(str(error))})
        except (KeyError, ValueError, TypeError, IndexError, OSError):
            status, (data, media, _) = HTTPStatus.BAD_REQUEST, _json({"error": "not understood"})
        except Exception as error:  # One picture that trips a network must not end the desk.
            status, (data, media, _) = HTTPStatus.INTERNAL_SERVER_ERROR, _json({"error": f"failed: {error!r}"})
        # What was sent with a refused decision may not have been read.
        self.close_connection |= status != HTTPStatus.OK
        self.send_response(status)
        for name, value in (HEADERS | {"Cache-Control": "no-store"} | extra).items():
            self.send_header(name, value)
        self.send_header("Content-Type", media)
        self.send_header("Content-Length", str(len(data)))
        self.end_headers()
        self.wfile.write(data)

    def _is_local(self) -> bool:
        """Whether the browser was told to come here by this address, and by this page."""
        port = self.server.server_address[1]
        hosts = {f"{HOST}:{port}", f"localhost:{port}"}
        origin = self.headers.get("Origin")
        return self.headers.get("Host") in hosts and (origin is None or origin.removeprefix("http://") in hosts)


def _kind(name: str) -> str:
    return f"{KINDS[name.rpartition('.')[2]]}; charset=utf-8"


def _json(value: Any) -> Answer:
    return json.dumps(value).encode("ascii"), "application/json", {}


def make_server(desk: Desk, port: int = 0) -> tuple[ThreadingHTTPServer, str]:
    """A server that listens already, and the address with its token; call `serve_forever`, then `server_close`.

    Args:
        port: 0: any that is free.

    Raises:
        OSError: it is taken.
    """
    server = _Server(desk, secrets.token_urlsafe(24), port)
    return server, f"http://{HOST}:{server.server_address[1]}/{server.token}/"
