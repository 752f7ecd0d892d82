"""Promotional codes: made in the admin, redeemed once by an organization and as often as they allow; they expire."""

from datetime import timedelta
from typing import Any

import pytest
from django.test import Client
from django.utils import timezone

from accounts.models import AuditEvent, Organization, User
from billing import ledger, promo
from billing.models import Promotion
from billing.payments.models import NANO_PER_CENT, PromoCode
from tests.payments.conftest import accounts, browser_of, credit_cents, verified

pytestmark = [pytest.mark.thorough, pytest.mark.usefixtures("at_ease")]
ADD = {"code": "welcome-2026", "amount_nano": "5", "max_uses": "2", "credit_days": "30"}


@pytest.fixture
def code(root: Client) -> PromoCode:
    response = root.post("/admin/billing/promocode/add/", ADD)
    assert response.status_code == 302, response.context["adminform"].form.errors
    return PromoCode.objects.get()


def redeem(browser: Client, code: str) -> str:
    return browser.post("/credits/redeem", {"code": code}, follow=True).content.decode()


def test_a_code_gives_credit_that_expires(browser: Client, code: PromoCode, organization: Organization) -> None:
    assert (code.code, code.amount_nano, code.created_by_id is None) == ("WELCOME-2026", 5 * 10**9, False)
    shown = redeem(browser, " Welcome-2026 ")
    assert "$5.00 of credit added" in shown
    assert "promotional, spent first" in shown
    assert accounts(organization) == {"promotional": 500, "grants": -500}
    given = Promotion.objects.get()
    assert given.expires_at
    assert abs(given.expires_at - timezone.now() - timedelta(days=30)) < timedelta(minutes=1)
    Promotion.objects.update(expires_at=timezone.now())
    ledger.expire_promotions()
    assert accounts(organization) == {}
    verified()


def test_once_for_an_organization_and_as_often_as_it_allows(browser: Client, code: PromoCode) -> None:
    redeem(browser, code.code)
    assert "redeemed this code already" in redeem(browser, code.code)
    others = [User.objects.create_user(f"user{number}@example.com") for number in range(2)]
    assert "added" in redeem(browser_of(others[0]), code.code)
    assert "used up" in redeem(browser_of(others[1]), code.code)
    code.refresh_from_db()
    assert code.uses == 2
    assert Promotion.objects.count() == 2


@pytest.mark.parametrize(
    "change", [{"is_disabled": True}, {"expires_at": timezone.now() - timedelta(days=1)}], ids=["disabled", "expired"]
)
def test_not_any_more(browser: Client, code: PromoCode, organization: Organization, change: dict[str, Any]) -> None:
    PromoCode.objects.update(**change)
    assert "does not exist, has expired or has been used up" in redeem(browser, code.code)
    assert credit_cents(organization) == 0


@pytest.mark.parametrize("typed", ["", "nonsense", "' OR 1=1", "x" * 500, "WELCOME_2026", "\x00"])
def test_wrong_ones(browser: Client, code: PromoCode, organization: Organization, typed: str) -> None:
    assert "added" not in redeem(browser, typed)
    assert credit_cents(organization) == 0


def test_guessing_is_slow(browser: Client, code: PromoCode) -> None:
    statuses = [browser.post("/credits/redeem", {"code": f"guess-{number}"}).status_code for number in range(25)]
    assert statuses[0] == 200
    assert statuses[-1] == 429


def test_developers_do_not_redeem(code: PromoCode, bob: User, organization: Organization) -> None:
    assert browser_of(bob, organization).post("/credits/redeem", {"code": code.code}).status_code == 403
    assert credit_cents(organization) == 0


def test_in_one_transaction(code: PromoCode, organization: Organization, alice: User) -> None:
    """What fails after the use was counted gives it back."""
    promo.redeem(organization, alice, code.code)
    with pytest.raises(promo.NotRedeemable):
        promo.redeem(organization, alice, code.code)
    code.refresh_from_db()
    assert (code.uses, credit_cents(organization)) == (1, 5 * 10**9 // NANO_PER_CENT)


@pytest.mark.parametrize(
    "fields",
    [{"code": "a b"}, {"code": "abc"}, {"amount_nano": "0"}, {"amount_nano": "-1"}, {"max_uses": "-1"}],
    ids=str,
)
def test_the_admin_refuses(root: Client, fields: dict[str, str]) -> None:
    assert root.post("/admin/billing/promocode/add/", {**ADD, **fields}).status_code == 200
    assert not PromoCode.objects.exists()


def test_the_admin_changes_what_has_not_been_promised(root: Client, code: PromoCode, browser: Client) -> None:
    redeem(browser, code.code)
    path = f"/admin/billing/promocode/{code.pk}/change/"
    rest = {"redemptions-TOTAL_FORMS": "0", "redemptions-INITIAL_FORMS": "0"}
    assert root.post(path, {**rest, "max_uses": "0"}).status_code == 200
    given = {**rest, "max_uses": "9", "is_disabled": "on", "amount_nano": "99", "code": "OTHER"}
    assert root.post(path, given).status_code == 302
    code.refresh_from_db()
    assert (code.max_uses, code.uses, code.amount_nano, code.is_disabled) == (9, 1, 5 * 10**9, True)
    assert root.post(f"/admin/billing/promocode/{code.pk}/delete/", {"post": "yes"}).status_code == 403
    assert AuditEvent.objects.filter(target_type="billing.promocode").count() == 2
