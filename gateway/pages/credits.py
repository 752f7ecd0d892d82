"""Credits: balance, buying, the card, codes, when mail is sent, and the ledger's entries of the wallet."""

from typing import Any
from uuid import UUID

from django.contrib import messages
from django.contrib.auth.decorators import login_required
from django.db import transaction
from django.db.models import QuerySet
from django.forms import Form
from django.http import Http404, HttpRequest, HttpResponse
from django.shortcuts import get_object_or_404, redirect, render
from django.views.decorators.cache import never_cache
from django.views.decorators.http import require_POST, require_safe

from accounts import access, audit
from accounts.audit import Verb
from accounts.models import Membership
from accounts.roles import Right
from billing import promo
from billing.models import LedgerEntry, Promotion
from billing.money import usd
from billing.payments import amounts, checkout, client, profiles
from billing.payments.errors import Mismatch, NotAllowed, PaymentError
from billing.payments.fulfilment import note_mismatch, settle
from billing.payments.models import TopUp
from billing.wallets import wallet_of
from gateway.pages.credit_forms import AlertForm, AutomaticForm, BuyForm, RedeemForm
from gateway.pages.limits import limited
from gateway.pages.paging import page_of
from gateway.pages.tenant import membership, user_of

# Both are owed to the organization.
OWN = (LedgerEntry.Account.WALLET, LedgerEntry.Account.PROMOTIONAL)


@login_required
@require_safe
def credits(request: HttpRequest) -> HttpResponse:
    return page(request, membership(request))


@login_required
@require_POST
@limited("top-up", user="30/h")
def buy(request: HttpRequest) -> HttpResponse:
    """To Stripe's page, by one of ours: the content security policy lets forms lead nowhere else."""
    member = payer(request)
    form = BuyForm(request.POST)
    if not form.is_valid():
        return page(request, member, buy=form)
    wanted = form.cleaned_data
    try:
        top_up, address = checkout.begin(
            member.organization, user_of(request), credit_cents=wanted["amount"], saves_card=wanted["saves_card"]
        )
    except (NotAllowed, PaymentError) as error:
        messages.error(request, str(error))
        return redirect("page-credits")
    details = {"credit": amounts.usd(top_up.credit_cents), "fee": amounts.usd(top_up.fee_cents)}
    audit.record(request, Verb.CREATE, top_up, organization_id=member.organization_id, details=details)
    return render(request, "pages/checkout.html", {"address": address, "top_up": top_up, **details})


@login_required
@never_cache
@require_safe
def top_up(request: HttpRequest, id: UUID) -> HttpResponse:
    """Where people come back to: what Stripe says is asked at once, the webhook may come later."""
    found = top_up_of(membership(request), id)
    try:
        settle(found)
    except Mismatch as error:
        note_mismatch(found, error)
    except PaymentError:
        # The webhook or the task will know.
        pass
    if found.status == TopUp.Status.PAID:
        messages.success(request, f"{amounts.usd(found.credit_cents)} of credit added. Thank you.")
    elif found.status == TopUp.Status.PENDING:
        messages.info(request, "The payment is not confirmed yet. Credit is added as soon as it is.")
    else:
        messages.error(request, f"No credit was added. {found.error}")
    return redirect("page-credits")


@login_required
@require_POST
@limited("card", user="20/h")
def card(request: HttpRequest) -> HttpResponse:
    member = payer(request)
    try:
        address = checkout.begin_card(member.organization, user_of(request))
    except (NotAllowed, PaymentError) as error:
        messages.error(request, str(error))
        return redirect("page-credits")
    return render(request, "pages/checkout.html", {"address": address})


@login_required
@never_cache
@require_safe
def card_left(request: HttpRequest, session: str) -> HttpResponse:
    """Stripe says whose card it is; a session of another organization changes nothing of this one."""
    membership(request)
    if not client.is_enabled():
        raise Http404
    try:
        profiles.remember_setup(session)
    except PaymentError:
        messages.info(request, "The card is not confirmed yet.")
    return redirect("page-credits")


@login_required
@require_POST
def remove_card(request: HttpRequest) -> HttpResponse:
    member = payer(request)
    profile = profiles.shown_profile(member.organization)
    if profile.payment_method:
        audit.record(
            request, Verb.DELETE, profile, organization_id=member.organization_id, details={"card": profile.card}
        )
        profiles.forget_card(member.organization)
    return redirect("page-credits")


@login_required
@require_POST
def automatic(request: HttpRequest) -> HttpResponse:
    member = payer(request)
    profile = profiles.profile_of(member.organization)
    form = AutomaticForm(request.POST, profile=profile)
    if not form.is_valid():
        return page(request, member, automatic=form)
    found = form.cleaned_data
    profile.is_automatic = found["is_automatic"]
    profile.threshold_cents, profile.amount_cents = found["threshold"], found["amount"]
    profile.failures, profile.retry_at = 0, None
    changed = ["is_automatic", "threshold_cents", "amount_cents", "failures", "retry_at"]
    return save(request, member, profile, form, changed)


@login_required
@require_POST
def alert(request: HttpRequest) -> HttpResponse:
    member = payer(request)
    profile = profiles.profile_of(member.organization)
    form = AlertForm(request.POST, profile=profile)
    if not form.is_valid():
        return page(request, member, alert=form)
    profile.low_balance_cents = form.cleaned_data["low_balance"]
    profile.low_balance_mailed_at = None
    return save(request, member, profile, form, ["low_balance_cents", "low_balance_mailed_at"])


@login_required
@require_POST
@limited("redeem", user="20/h", address="60/h")
def redeem(request: HttpRequest) -> HttpResponse:
    member = payer(request)
    form = RedeemForm(request.POST)
    if form.is_valid():
        try:
            given = promo.redeem(member.organization, user_of(request), form.cleaned_data["code"])
        except promo.NotRedeemable as error:
            form.add_error("code", str(error))
        else:
            messages.success(request, f"${usd(given)} of credit added.")
            return redirect("page-credits")
    return page(request, member, redeem=form)


def page(request: HttpRequest, member: Membership, **bound: Form) -> HttpResponse:
    """The forms of the page, of which at most one has been sent."""
    profile = profiles.shown_profile(member.organization)
    shown = page_of(entries(member), request.GET.get("before", ""))
    context: dict[str, Any] = {
        "organization": member.organization,
        "may_pay": access.may(member, Right.PAY),
        "has_stripe": client.is_enabled(),
        "fee": amounts.described_fee(),
        "profile": profile,
        "buy": BuyForm(),
        "automatic": AutomaticForm(profile=profile),
        "alert": AlertForm(profile=profile),
        "redeem": RedeemForm(),
        "wallet": wallet_of(member.organization_id),
        "promotions": promotions(member),
        "entries": shown.rows,
        "more": shown.more,
        "is_first": shown.is_first,
        **bound,
    }
    return render(request, "pages/credits.html", context)


def entries(member: Membership) -> QuerySet[LedgerEntry]:
    """Newest first."""
    own = access.in_organization(LedgerEntry.objects.filter(account__in=OWN), member.organization_id)
    return own.select_related("transaction__top_up").order_by("-id")


def promotions(member: Membership) -> list[Promotion]:
    left = access.in_organization(Promotion.objects.filter(remaining__gt=0), member.organization_id)
    return list(left.order_by("expires_at", "id"))


def top_up_of(member: Membership, id: UUID) -> TopUp:
    found = access.in_organization(TopUp.objects.select_related("organization"), member.organization_id)
    return get_object_or_404(found, pk=id)


def payer(request: HttpRequest) -> Membership:
    member = membership(request)
    access.demand(member, Right.PAY)
    return member


def save(request: HttpRequest, member: Membership, profile: Any, form: Form, changed: list[str]) -> HttpResponse:
    with transaction.atomic():
        profile.save(update_fields=changed)
        audit.record(request, Verb.UPDATE, profile, organization_id=member.organization_id, details=audit.changes(form))
    messages.success(request, "Saved.")
    return redirect("page-credits")
