"""A Stripe of the tests' own on a real socket: what the product asks of it, idempotency keys, and signed events.

It runs in the test's process, so that a test can say what has become of a payment.
"""

import hashlib
import hmac
import itertools
import json
import re
import threading
import time
from collections.abc import Iterator
from contextlib import contextmanager
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from typing import Any
from urllib.parse import parse_qsl, urlsplit

SECRET = "whsec_of_the_tests"
KEY = "sk_test_of_the_tests"
Row = dict[str, Any]


class Stripe:
    def __init__(self) -> None:
        self.rows: dict[str, dict[str, Row]] = {}
        self.asked: list[tuple[str, str]] = []
        self.answers_by_key: dict[str, tuple[int, Row]] = {}
        # Statuses to answer the next requests of a path with; 0 drops the connection after the work is done.
        self.failures: dict[str, list[int]] = {}
        self.number = itertools.count(1)
        self.lock = threading.Lock()
        self.url = ""
        self.put("payment_methods", id="pm_card", customer=None)
        self.put("payment_methods", id="pm_declined", customer=None)
        self.put("payment_methods", id="pm_asks", customer=None)
        for method in self.rows["payment_methods"].values():
            method |= {"type": "card", "card": {"brand": "visa", "last4": "4242", "exp_month": 12, "exp_year": 2031}}

    # What tests do

    def put(self, kind: str, **row: Any) -> Row:
        rows = self.rows.setdefault(kind, {})
        return rows.setdefault(row["id"], row)

    def new_id(self, prefix: str) -> str:
        return f"{prefix}_{next(self.number):06}"

    def pay(self, session_id: str, method: str = "pm_card") -> Row:
        """Somebody paid on the hosted page."""
        session = self.rows["checkout/sessions"][session_id]
        data = session.pop("payment_intent_data", {})
        if data.get("setup_future_usage"):
            self.rows["payment_methods"][method]["customer"] = session["customer"]
        intent = self.put(
            "payment_intents", id=self.new_id("pi"), status="succeeded", amount=session["amount_total"],
            currency=session["currency"], customer=session["customer"], payment_method=method,
            metadata=data.get("metadata", {}),
        )  # fmt: skip
        session |= {"payment_status": "paid", "status": "complete", "payment_intent": intent["id"]}
        return intent

    def leave_card(self, session_id: str, method: str = "pm_card") -> None:
        session = self.rows["checkout/sessions"][session_id]
        self.rows["payment_methods"][method]["customer"] = session["customer"]
        setup = self.put(
            "setup_intents", id=self.new_id("seti"), status="succeeded", customer=session["customer"],
            payment_method=method,
        )  # fmt: skip
        session |= {"status": "complete", "setup_intent": setup["id"]}

    def dispute(self, intent: Row, status: str = "needs_response", amount: int | None = None) -> Row:
        return self.put(
            "disputes", id=self.new_id("dp"), status=status, payment_intent=intent["id"],
            amount=amount or intent["amount"], currency="usd", reason="fraudulent",
        )  # fmt: skip

    def fail(self, path: str, *statuses: int) -> None:
        self.failures[path] = list(statuses)

    def count(self, path: str, method: str = "POST") -> int:
        return self.asked.count((method, path))

    def event(self, kind: str, row: Row, **more: Any) -> bytes:
        about = {"object": "event", "id": self.new_id("evt"), "type": kind, "created": int(time.time())}
        return json.dumps({**about, "data": {"object": row}, **more}).encode()

    # What the product asks

    def answer(self, method: str, path: str, params: Row, key: str | None) -> tuple[int, Row]:
        with self.lock:
            self.asked.append((method, path))
            if self.failures.get(path) and self.failures[path][0]:
                status = self.failures[path].pop(0)
                return status, {"error": {"type": "api_error", "message": f"told to answer {status}"}}
            if key and key in self.answers_by_key:
                return self.answers_by_key[key]
            found = self._work(method, path.removeprefix("/v1/"), params)
            if key:
                self.answers_by_key[key] = found
            return found

    def _work(self, method: str, path: str, params: Row) -> tuple[int, Row]:
        kind, id = self._split(path)
        if id is None:
            return getattr(self, f"_{method.lower()}_{kind.replace('/', '_')}")(params)  # type: ignore[no-any-return]
        id, _, verb = id.partition("/")
        row = self.rows.get(kind, {}).get(id)
        if row is None:
            return 404, {"error": {"type": "invalid_request_error", "message": f"No such {kind}: {id}"}}
        if verb == "detach":
            row["customer"] = None
        if verb == "cancel":
            row["status"] = "canceled"
        return 200, row

    @staticmethod
    def _split(path: str) -> tuple[str, str | None]:
        for kind in ("checkout/sessions", "payment_intents", "payment_methods", "setup_intents", "refunds", "disputes"):
            if path.startswith(f"{kind}/"):
                return kind, path.removeprefix(f"{kind}/")
        return path, None

    def _post_customers(self, params: Row) -> tuple[int, Row]:
        return 200, self.put("customers", id=self.new_id("cus"), **params)

    def _post_checkout_sessions(self, params: Row) -> tuple[int, Row]:
        items = list(params.pop("line_items", {}).values())
        cents = sum(int(item["price_data"]["unit_amount"]) * int(item["quantity"]) for item in items)
        id = self.new_id("cs_test")
        return 200, self.put(
            "checkout/sessions", id=id, status="open", payment_status="unpaid", url=f"{self.url}/pay/{id}",
            amount_total=cents or None, currency="usd" if items else None, payment_intent=None, setup_intent=None,
            **params,
        )  # fmt: skip

    def _post_payment_intents(self, params: Row) -> tuple[int, Row]:
        chosen = params["payment_method"]
        status = {"pm_declined": "requires_payment_method", "pm_asks": "requires_action"}.get(chosen, "succeeded")
        intent = self.put(
            "payment_intents", id=self.new_id("pi"), status=status, amount=int(params["amount"]),
            **{name: params[name] for name in ("currency", "customer", "payment_method", "metadata")},
        )  # fmt: skip
        if status == "requires_payment_method":
            error = {"type": "card_error", "code": "card_declined", "message": "Your card was declined."}
            return 402, {"error": {**error, "payment_intent": intent}}
        return 200, intent

    def _get_payment_intents(self, params: Row) -> tuple[int, Row]:
        rows = self.rows.get("payment_intents", {}).values()
        return 200, {"data": [row for row in rows if row["customer"] == params["customer"]]}

    def _post_refunds(self, params: Row) -> tuple[int, Row]:
        intent = self.rows["payment_intents"][params["payment_intent"]]
        gone = sum(
            row["amount"] for row in self.rows.get("refunds", {}).values() if row["payment_intent"] == intent["id"]
        )
        if gone + int(params["amount"]) > intent["amount"]:
            error = {"type": "invalid_request_error", "message": "Refund amount is greater than unrefunded amount."}
            return 400, {"error": error}
        return 200, self.put(
            "refunds", id=self.new_id("re"), status="succeeded", amount=int(params["amount"]), currency="usd",
            payment_intent=intent["id"], metadata=params.get("metadata", {}),
        )  # fmt: skip

    def _get_refunds(self, params: Row) -> tuple[int, Row]:
        rows = self.rows.get("refunds", {}).values()
        return 200, {"data": [row for row in rows if row["payment_intent"] == params["payment_intent"]]}


def signed(payload: bytes, *, secret: str = SECRET, at: float | None = None) -> str:
    moment = int(time.time() if at is None else at)
    mark = hmac.new(secret.encode(), f"{moment}.".encode() + payload, hashlib.sha256).hexdigest()
    return f"t={moment},v1={mark}"


def unflattened(text: str) -> Row:
    """`a[b][0]=c` as Stripe reads it, lists as dicts by number."""
    tree: Row = {}
    for name, value in parse_qsl(text, keep_blank_values=True):
        *path, last = re.findall(r"[^\[\]]+", name)
        inner = tree
        for part in path:
            inner = inner.setdefault(part, {})
        inner[last] = value
    return tree


@contextmanager
def running() -> Iterator[Stripe]:
    stripe = Stripe()

    class Handler(BaseHTTPRequestHandler):
        protocol_version = "HTTP/1.1"

        def do_GET(self) -> None:
            self.reply("GET", urlsplit(self.path).query)

        def do_POST(self) -> None:
            self.reply("POST", self.rfile.read(int(self.headers.get("Content-Length") or 0)).decode())

        def reply(self, method: str, text: str) -> None:
            path = urlsplit(self.path).path
            if KEY not in self.headers.get("Authorization", ""):
                status, row = 401, {"error": {"type": "invalid_request_error", "message": "Invalid API Key"}}
            else:
                status, row = stripe.answer(method, path, unflattened(text), self.headers.get("Idempotency-Key"))
            if stripe.failures.get(path) and stripe.failures[path][0] == 0:
                stripe.failures[path].pop(0)
                self.close_connection = True
                return
            body = json.dumps(row).encode()
            self.send_response(status)
            self.send_header("Content-Type", "application/json")
            self.send_header("Content-Length", str(len(body)))
            self.end_headers()
            self.wfile.write(body)

        def log_message(self, format: str, *args: Any) -> None:
            pass

    server = ThreadingHTTPServer(("127.0.0.1", 0), Handler)
    stripe.url = f"http://127.0.0.1:{server.server_port}"
    threading.Thread(target=server.serve_forever, args=(0.05,), daemon=True).start()
    try:
        yield stripe
    finally:
        server.shutdown()
        server.server_close()
