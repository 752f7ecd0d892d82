"""An organization's side of payments: its customer at Stripe and its card."""

from django.db import transaction

from accounts.models import Organization
from billing.payments import client
from billing.payments.errors import PaymentError
from billing.payments.models import BillingProfile

CARD_FIELDS = ("payment_method", "card_brand", "card_last4", "card_expiry")


def profile_of(organization: Organization) -> BillingProfile:
    return BillingProfile.objects.get_or_create(organization=organization)[0]


def shown_profile(organization: Organization) -> BillingProfile:
    """For pages that only look: nothing is written."""
    found = BillingProfile.objects.filter(organization=organization).first()
    return found or BillingProfile(organization=organization)


def customer_of(organization: Organization, *, email: str) -> str:
    """The organization's customer at Stripe, made when there is none yet."""
    profile = profile_of(organization)
    if profile.stripe_customer:
        return profile.stripe_customer
    made = client.create_customer(organization.pk, name=organization.name, email=email)
    # Two at once have asked with the same key and been given the same customer; the first to write stays.
    BillingProfile.objects.filter(pk=profile.pk, stripe_customer=None).update(stripe_customer=made)
    profile.refresh_from_db()
    return profile.stripe_customer or made


def remember_card(organization: Organization, payment_method: str) -> bool:
    """Makes it the organization's card, if Stripe says that it is a card of its customer."""
    profile = profile_of(organization)
    found = client.method(payment_method)
    if found.card is None or not profile.stripe_customer or found.customer != profile.stripe_customer:
        return False
    card = found.card
    BillingProfile.objects.filter(pk=profile.pk).update(
        payment_method=found.id,
        card_brand=card.brand,
        card_last4=card.last4,
        card_expiry=f"{card.exp_month:02}/{card.exp_year}",
        failures=0,
        retry_at=None,
    )
    return True


def remember_setup(session_id: str) -> str:
    """The card that was left on a page of Stripe's. Stripe says whose customer left it."""
    session = client.session(session_id)
    profile = BillingProfile.objects.select_related("organization").filter(stripe_customer=session.customer).first()
    if session.mode != "setup" or not session.customer or profile is None or not session.setup_intent:
        return "not a session of ours"
    done = client.setup(session.setup_intent)
    if done.status != "succeeded" or not done.payment_method:
        return "no card was left"
    is_kept = remember_card(profile.organization, done.payment_method)
    return "card kept" if is_kept else "not a card of this customer"


def forget_card(organization: Organization) -> None:
    """Automatic top-ups end with it."""
    with transaction.atomic():
        profile = BillingProfile.objects.select_for_update().get(organization=organization)
        known = profile.payment_method
        for name in CARD_FIELDS:
            setattr(profile, name, "")
        profile.is_automatic = False
        profile.save(update_fields=[*CARD_FIELDS, "is_automatic"])
    if known:
        try:
            client.detach(known)
        except PaymentError:
            # Stripe may still have it, but nothing here can charge it any more.
            return
