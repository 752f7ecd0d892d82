"""Stripe Checkout: the hosted pages on which people pay or leave a card."""

from typing import Any

from django.conf import settings

from accounts.models import Organization, User
from billing.payments import amounts, client
from billing.payments.client import Session
from billing.payments.errors import NotAllowed, PaymentError
from billing.payments.models import CURRENCY, TopUp
from billing.payments.profiles import customer_of


def begin(organization: Organization, user: User, *, credit_cents: int, saves_card: bool) -> tuple[TopUp, str]:
    """A pending top-up and the address of the page where it is paid. Raises NotAllowed and PaymentError."""
    _demand_stripe()
    if not amounts.is_allowed(credit_cents):
        raise NotAllowed(
            f"A top-up is {amounts.usd(settings.TOPUP_MIN_CENTS)} at least"
            f" and {amounts.usd(settings.TOPUP_MAX_CENTS)} at most."
        )
    customer = customer_of(organization, email=user.email)
    # Ours is first: what Stripe is asked for later must always find its row.
    top_up = TopUp.objects.create(
        organization=organization,
        created_by=user,
        source=TopUp.Source.CHECKOUT,
        credit_cents=credit_cents,
        fee_cents=amounts.fee(credit_cents),
        saves_card=saves_card,
    )
    try:
        session = client.create_session(_payment(top_up, customer), key=str(top_up.pk))
    except PaymentError as error:
        TopUp.objects.filter(pk=top_up.pk).update(status=TopUp.Status.FAILED, error=str(error)[:500])
        raise
    top_up.stripe_session = session.id
    top_up.save(update_fields=["stripe_session"])
    return top_up, _address(session)


def begin_card(organization: Organization, user: User) -> str:
    """The address of the page where a card is left for later. Raises NotAllowed and PaymentError."""
    _demand_stripe()
    params = {
        "mode": "setup",
        "customer": customer_of(organization, email=user.email),
        "payment_method_types": ["card"],
        "metadata": {"organization": str(organization.pk)},
        "success_url": f"{settings.PUBLIC_URL}/credits/card/{{CHECKOUT_SESSION_ID}}",
        "cancel_url": f"{settings.PUBLIC_URL}/credits",
    }
    return _address(client.create_session(params))


def _demand_stripe() -> None:
    if not client.is_enabled():
        raise NotAllowed("Credit is not sold here.")


def _payment(top_up: TopUp, customer: str) -> dict[str, Any]:
    ours = {"top_up": str(top_up.pk)}
    intent: dict[str, Any] = {"metadata": ours}
    if top_up.saves_card:
        intent["setup_future_usage"] = "off_session"
    items = [_item("Credit", top_up.credit_cents)]
    if top_up.fee_cents:
        items.append(_item("Fee", top_up.fee_cents))
    return {
        "mode": "payment",
        "customer": customer,
        "client_reference_id": str(top_up.pk),
        "metadata": ours,
        "payment_intent_data": intent,
        "line_items": items,
        "success_url": f"{settings.PUBLIC_URL}/credits/top-ups/{top_up.pk}",
        "cancel_url": f"{settings.PUBLIC_URL}/credits",
    }


def _item(name: str, cents: int) -> dict[str, Any]:
    price = {"currency": CURRENCY, "unit_amount": cents, "product_data": {"name": name}}
    return {"quantity": 1, "price_data": price}


def _address(session: Session) -> str:
    if not session.url:
        raise PaymentError("The payment provider named no page to pay on.")
    return session.url
