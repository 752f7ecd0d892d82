"""Receipts as PDF, transactions and usage as CSV: exact, harmless to a spreadsheet, of one organization alone."""

import csv
import io
import re
import zlib
from datetime import UTC, date
from typing import Any

import pytest
from django.test import Client
from django.utils import timezone

from accounts import keys
from accounts.models import Organization, User
from billing import ledger
from billing.models import UsageDay
from billing.payments.models import Refund, TopUp
from gateway.pages import exports
from tests.payments.conftest import browser_of
from tests.stripe_server import Stripe

pytestmark = [pytest.mark.thorough, pytest.mark.django_db]


def words(pdf: bytes) -> str:
    """What it shows: its streams hold the text in brackets."""
    streams = re.findall(rb"stream\r?\n(.*?)\r?\nendstream", pdf, re.DOTALL)
    shown = b"".join(zlib.decompress(stream) for stream in streams if stream[:1] == b"x")
    return " ".join(part.decode("latin-1") for part in re.findall(rb"\((.*?)\) ?Tj", shown))


def rows(client: Client, path: str) -> list[dict[str, str]]:
    response = client.get(path)
    assert response.status_code == 200
    assert response["Content-Disposition"].startswith("attachment")
    text = response.content.decode()
    assert text[0] == "\ufeff"
    return list(csv.DictReader(io.StringIO(text[1:])))


def test_a_receipt(stripe: Stripe, browser: Client, paid: TopUp, settings: Any) -> None:
    settings.RECEIPT_ISSUER = "Acme Inc.\n1 Main Street"
    response = browser.get(f"/credits/top-ups/{paid.pk}/receipt.pdf")
    assert (response.status_code, response["Content-Type"]) == (200, "application/pdf")
    assert response.content.startswith(b"%PDF-")
    shown = words(response.content)
    for word in (
        "Acme Inc.",
        "1 Main Street",
        paid.receipt_number,
        "$10.00",
        "alice@example.com",
        str(paid.stripe_intent),
    ):
        assert word in shown
    assert paid.receipt_number in response["Content-Disposition"]
    assert response.content == browser.get(f"/credits/top-ups/{paid.pk}/receipt.pdf").content
    assert f"/credits/top-ups/{paid.pk}/receipt.pdf" in browser.get("/credits").content.decode()


def test_a_receipt_tells_of_fee_and_refund(stripe: Stripe, browser: Client, buy: Any, settings: Any) -> None:
    settings.TOPUP_FEE_FIXED_CENTS = 50
    top_up = buy(browser)
    stripe.pay(top_up.stripe_session)
    browser.get(f"/credits/top-ups/{top_up.pk}")
    Refund.objects.create(top_up=top_up, credit_cents=300, status="paid", reason="x")
    Refund.objects.create(top_up=top_up, credit_cents=700, status="refused", reason="x")
    shown = words(browser.get(f"/credits/top-ups/{top_up.pk}/receipt.pdf").content)
    for word in ("$0.50", "$10.50", "-$3.00"):
        assert word in shown
    assert "$7.00" not in shown


@pytest.mark.parametrize("name", ["Ærø & Søn", "株式会社", "(a) \\ b", "x" * 200, "\U0001f600"])
def test_a_receipt_for_any_name(stripe: Stripe, browser: Client, paid: TopUp, name: str) -> None:
    Organization.objects.filter(pk=paid.organization_id).update(name=name)
    assert browser.get(f"/credits/top-ups/{paid.pk}/receipt.pdf").status_code == 200


def test_no_receipt_before_it_is_paid(stripe: Stripe, browser: Client, buy: Any) -> None:
    assert browser.get(f"/credits/top-ups/{buy(browser).pk}/receipt.pdf").status_code == 404


def test_transactions(stripe: Stripe, browser: Client, paid: TopUp, charlie: User, alice: User) -> None:
    ledger.grant(paid.organization, amount=1_234_567_890_123, reason='=HYPERLINK("http://evil")', created_by=alice)
    ledger.correct(paid.organization, amount=-1, reason="-2+3")
    ledger.promotion(paid.organization, amount=5, expires_at=None, reason="@code")
    found = rows(browser, "/credits/transactions.csv")
    assert [(row["kind"], row["credit"], row["amount (USD)"], row["reason"]) for row in found] == [
        ("promotion", "promotional", "0.000000005", "'@code"),
        ("correction", "paid", "-0.000000001", "'-2+3"),
        ("grant", "paid", "1234.567890123", '\'=HYPERLINK("http://evil")'),
        ("top_up", "paid", "10.00", "Card payment"),
    ]
    assert found[-1]["receipt"] == paid.receipt_number
    assert rows(browser_of(charlie), "/credits/transactions.csv") == []


def test_a_period_of_days(stripe: Stripe, browser: Client, paid: TopUp) -> None:
    today = timezone.now().astimezone(UTC).date().isoformat()
    for query, count in (
        (f"from={today}", 1),
        (f"to={today}", 1),
        ("to=2020-01-01", 0),
        ("from=2999-12-31", 0),
        ("to=9999-12-31", 1),
    ):
        assert len(rows(browser, f"/credits/transactions.csv?{query}")) == count
    for query in ("from=yesterday", "to=2026-13-01", "from=%00"):
        assert browser.get(f"/credits/transactions.csv?{query}").status_code == 404


def test_usage(browser: Client, alice: User, organization: Organization, charlie: User) -> None:
    key, _ = keys.issue(organization, name="+laptop", created_by=alice)
    numbers = dict.fromkeys(
        ("errors", "completion_tokens", "reasoning_tokens", "cached_tokens", "list_charge", "cost"), 1
    )
    for owner, charge in ((organization.pk, 21), (charlie.personal_organization.pk, 99)):
        UsageDay.objects.create(
            day=date(2026, 11, 1), organization_id=owner, api_key_id=key.pk, model="acme/one", provider="acme",
            provider_name="Acme", requests=3, prompt_tokens=1234, charge=charge, **numbers,
        )  # fmt: skip
    (row,) = rows(browser, "/credits/usage.csv")
    assert (row["day (UTC)"], row["model"], row["requests"]) == ("2026-11-01", "acme/one", "3")
    assert (row["prompt tokens"], row["charge (USD)"]) == ("1234", "0.000000021")
    assert row["key"] == f"'+laptop ({key.label})"
    assert rows(browser, "/credits/usage.csv?from=2026-11-02") == []
    assert len(rows(browser, "/credits/usage.csv?to=2026-11-01")) == 1


def test_a_sheet_does_not_end_early_without_a_word(
    browser: Client, organization: Organization, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(exports, "MAX_ROWS", 2)
    for _ in range(3):
        ledger.grant(organization, amount=1, reason="x")
    assert browser.get("/credits/transactions.csv").status_code == 404
