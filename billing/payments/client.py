"""The one door to Stripe: what we ask of it, its answers as structs, its failures as our errors."""

import logging
from collections.abc import Iterator
from contextlib import contextmanager
from functools import cache
from typing import TYPE_CHECKING, Any, Generic, TypeVar
from urllib.parse import quote
from uuid import UUID

import msgspec
from celery.exceptions import SoftTimeLimitExceeded
from django.conf import settings
from msgspec import Struct, field

from billing.payments.errors import Away, BadSignature, Declined, Rejected

if TYPE_CHECKING:
    import stripe

logger = logging.getLogger(__name__)

# Stripe answers within a second or two; a page waits for it.
TIMEOUT_S = (5, 20)
Answer = TypeVar("Answer", bound=Struct)


class Named(Struct, frozen=True):
    """Anything that Stripe knows by an id."""

    id: str


class Intent(Named, frozen=True):
    status: str
    amount: int
    currency: str
    customer: str | None = None
    payment_method: str | None = None
    metadata: dict[str, str] = field(default_factory=dict)


class Setup(Named, frozen=True):
    status: str
    payment_method: str | None = None


class Session(Named, frozen=True):
    mode: str
    payment_status: str
    status: str | None = None
    url: str | None = None
    amount_total: int | None = None
    currency: str | None = None
    customer: str | None = None
    payment_intent: str | None = None
    setup_intent: str | None = None
    metadata: dict[str, str] = field(default_factory=dict)


class Card(Struct, frozen=True):
    brand: str
    last4: str
    exp_month: int
    exp_year: int


class Method(Named, frozen=True):
    customer: str | None = None
    card: Card | None = None


class Refund(Named, frozen=True):
    amount: int
    status: str | None = None
    failure_reason: str | None = None
    metadata: dict[str, str] = field(default_factory=dict)


class Dispute(Named, frozen=True):
    amount: int
    currency: str
    status: str
    payment_intent: str | None = None
    reason: str = ""


class Listed(Struct, Generic[Answer], frozen=True):
    data: list[Answer]


def is_enabled() -> bool:
    return bool(settings.STRIPE_SECRET_KEY)


def create_customer(organization_id: UUID, *, name: str, email: str) -> str:
    params = {"name": name, "email": email, "metadata": {"organization": str(organization_id)}}
    return _post("/v1/customers", params, Named, key=f"customer:{organization_id}").id


def create_session(params: dict[str, Any], *, key: str | None = None) -> Session:
    return _post("/v1/checkout/sessions", params, Session, key=key)


def session(id: str) -> Session:
    return _get(f"/v1/checkout/sessions/{_quoted(id)}", Session)


def create_intent(params: dict[str, Any], *, key: str) -> Intent:
    return _post("/v1/payment_intents", params, Intent, key=key)


def intent(id: str) -> Intent:
    return _get(f"/v1/payment_intents/{_quoted(id)}", Intent)


def intents(customer: str) -> list[Intent]:
    """The customer's latest."""
    return _get("/v1/payment_intents", Listed[Intent], {"customer": customer, "limit": 100}).data


def cancel_intent(id: str) -> Intent:
    return _post(f"/v1/payment_intents/{_quoted(id)}/cancel", {}, Intent)


def setup(id: str) -> Setup:
    return _get(f"/v1/setup_intents/{_quoted(id)}", Setup)


def method(id: str) -> Method:
    return _get(f"/v1/payment_methods/{_quoted(id)}", Method)


def detach(id: str) -> None:
    _post(f"/v1/payment_methods/{_quoted(id)}/detach", {}, Named)


def create_refund(params: dict[str, Any], *, key: str) -> Refund:
    return _post("/v1/refunds", params, Refund, key=key)


def refund(id: str) -> Refund:
    return _get(f"/v1/refunds/{_quoted(id)}", Refund)


def refunds(intent_id: str) -> list[Refund]:
    """Stripe allows no more than a few of one payment."""
    return _get("/v1/refunds", Listed[Refund], {"payment_intent": intent_id, "limit": 100}).data


def dispute(id: str) -> Dispute:
    return _get(f"/v1/disputes/{_quoted(id)}", Dispute)


def verify(payload: bytes, signature: str) -> None:
    """Raises BadSignature, also for what was signed more than 5 minutes ago."""
    import stripe

    try:
        text = payload.decode()
        stripe.WebhookSignature.verify_header(text, signature, settings.STRIPE_WEBHOOK_SECRET, tolerance=300)
    except (ValueError, stripe.SignatureVerificationError) as error:
        raise BadSignature(str(error)) from None


def _quoted(id: str) -> str:
    return quote(id, safe="")


def _get(path: str, answer: type[Answer], params: dict[str, Any] | None = None) -> Answer:
    with _asking(path):
        return _read(_client().raw_request("get", path, **(params or {})), answer)


def _post(path: str, params: dict[str, Any], answer: type[Answer], *, key: str | None = None) -> Answer:
    with _asking(path):
        options: Any = {"idempotency_key": key} if key else {}
        return _read(_client().raw_request("post", path, **params, **options), answer)


def _read(response: "stripe.StripeResponse", answer: type[Answer]) -> Answer:
    try:
        return msgspec.json.decode(response.body, type=answer)
    except msgspec.MsgspecError as error:
        raise Away(f"Stripe's answer cannot be read: {error}") from None


@cache
def _client() -> "stripe.StripeClient":
    # Half a second and 30 MB that a process which never speaks to Stripe does without.
    import stripe

    return stripe.StripeClient(
        settings.STRIPE_SECRET_KEY,
        base_addresses={"api": settings.STRIPE_API_BASE} if settings.STRIPE_API_BASE else None,
        http_client=stripe.RequestsClient(timeout=TIMEOUT_S),
        max_network_retries=2,
    )


@contextmanager
def _asking(path: str) -> Iterator[None]:
    import stripe

    try:
        yield
    except stripe.CardError as error:
        raise Declined(_said(error), _intent_of(error)) from None
    except (stripe.AuthenticationError, stripe.PermissionError) as error:
        # The operator's to mend; what waits goes on after that.
        logger.error("Stripe refuses our key for %s: %s", path, type(error).__name__)
        raise Away("Payments are not possible at the moment.") from None
    except (stripe.APIConnectionError, stripe.RateLimitError, stripe.IdempotencyError) as error:
        if isinstance(error.__cause__, SoftTimeLimitExceeded):
            # Stripe's library takes whatever is raised while it waits for a failed connection.
            raise error.__cause__ from None
        logger.warning("Stripe did not answer %s: %s", path, error)
        raise Away("The payment provider does not answer at the moment.") from None
    except stripe.StripeError as error:
        status = error.http_status or 500
        logger.warning("Stripe answered %s with %s: %s", path, status, error)
        if status >= 500 or status == 409:
            raise Away("The payment provider does not answer at the moment.") from None
        if status == 402:
            raise Declined(_said(error), _intent_of(error)) from None
        raise Rejected(_said(error)) from None


def _said(error: "stripe.StripeError") -> str:
    return (error.user_message or "The payment provider refused.")[:500]


def _intent_of(error: "stripe.StripeError") -> str | None:
    body: Any = error.json_body
    found = body.get("error", {}) if isinstance(body, dict) else {}
    named = found.get("payment_intent") if isinstance(found, dict) else None
    return named.get("id") if isinstance(named, dict) else None
