"""verify_ledger: quiet when all is well, and each check catches what somebody past all guards would do."""

import json
import os
from collections.abc import Iterator
from datetime import UTC, datetime, timedelta
from typing import Any

import pytest
from django.db import connection
from django.utils import timezone

from accounts import audit, keys
from accounts.ids import uuid7
from accounts.models import ApiKey, Organization, User
from billing import ledger, tasks
from billing.models import LedgerTransaction, UsageMark, Wallet
from billing.verification import figures, findings
from tests.billing.conftest import Book
from tests.services import Servers, manage

pytestmark = pytest.mark.thorough


def sql(statement: str) -> None:
    with connection.cursor() as cursor:
        cursor.execute(statement)


def off() -> list[str]:
    with connection.cursor() as cursor:
        return sorted({finding.check for finding in findings(cursor)})


def till(organization: Organization, key: ApiKey, *items: dict[str, Any]) -> list[dict[str, Any]]:
    batch = [{"organization": str(organization.pk), "budgets": [str(key.pk)], "items": items}]
    with connection.cursor() as cursor:
        cursor.execute("SELECT till(%s)", [json.dumps(batch)])
        results: list[dict[str, Any]] = json.loads(cursor.fetchone()[0])
    return results


def admitted(organization: Organization, key: ApiKey, amount: int) -> str:
    id = str(uuid7())
    record = {"requested_model": "acme/one", "created_at": datetime.now(UTC).isoformat(), "api_key_id": str(key.pk)}
    asked = {"op": "admit", "generation": id, "key": str(key.pk), "least": amount, "want": amount, "share": 1}
    asked |= {"budgets": [str(key.pk)], "limits": [None], "windows": [None], "record": record}
    assert till(organization, key, asked)[0]["status"] == "granted"
    return id


def settled(organization: Organization, key: ApiKey, held: int, amount: int) -> None:
    id = admitted(organization, key, held)
    told = {
        "op": "settle",
        "generation": id,
        "charge": amount,
        "list": amount,
        "cost": amount,
        "record": {"outcome": "ok"},
    }
    assert till(organization, key, told)[0]["status"] == "done"


@pytest.fixture
def world(db: None) -> Organization:
    """Alice has paid, was promised, used, was written off and refunded; part of it is posted, part summed up by day."""
    alice = User.objects.create_user("alice@example.com")
    organization = alice.personal_organization
    key, _ = keys.issue(organization, name="k", created_by=alice)
    ledger.top_up(organization, amount=10_000, fee=500, reference="payment")
    ledger.promotion(organization, amount=1_000, expires_at=timezone.now() + timedelta(days=1), reason="")
    ledger.promotion(organization, amount=11_000, expires_at=None, reason="")
    settled(organization, key, 700, 600)
    settled(organization, key, 100, 22_000)
    ledger.grant(organization, amount=5_000, reason="")
    ledger.promotion(organization, amount=900, expires_at=None, reason="")
    tasks.post()
    sql("UPDATE billing_generation SET closed_at = closed_at - interval '3 days'")
    tasks.usage()
    UsageMark.objects.update(rolled_up_until=timezone.now() - timedelta(days=1))
    settled(organization, key, 700, 650)
    admitted(organization, key, 90)
    ledger.refund(organization, amount=1_000, fee=50, reference="refund")
    ledger.refund_paid("refund")
    ledger.dispute(organization, amount=100, reference="dispute")
    return organization


def test_nothing_is_off(world: Organization) -> None:
    assert off() == []
    tasks.post()
    tasks.usage()
    assert off() == []


def test_the_figures(world: Organization) -> None:
    with connection.cursor() as cursor:
        found = figures(cursor)
    assert (found.credit, found.spent, found.held) == (26_800, 22_650, 90)
    assert (found.spendable, found.unposted) == (4_060, 0)
    assert (found.open_holds, found.closing_records, found.wallets) == (1, 3, 1)
    assert found.accounts["payment_clearing"] == -10_500 + 1_050
    assert sum(found.accounts.values()) == 0


# Triggers, constraints and all do not stop who replicates.
BREAKS = {
    "UPDATE billing_wallet SET credit = credit + 1": ["credit"],
    "UPDATE billing_wallet SET spent = spent - 1": ["charges", "spent"],
    "UPDATE billing_wallet SET unposted_charge = 1": ["spent"],
    "UPDATE billing_wallet SET unposted_charge = -1": ["spent", "unposted"],
    "UPDATE billing_wallet SET unposted_cost = 1": ["cost"],
    "UPDATE billing_wallet SET unposted_write_off = 1": ["write-offs"],
    "UPDATE billing_wallet SET held = 0": ["held"],
    "DELETE FROM billing_wallet": ["charges", "credit", "held", "spent"],
    "DELETE FROM billing_hold": ["budgets", "held"],
    "UPDATE billing_hold SET wallet_amount = 91": ["held"],
    "UPDATE billing_hold SET list_amount = 91": ["budgets"],
    "DELETE FROM billing_budget": ["budgets", "limits"],
    "UPDATE billing_budget SET used = used - 1": ["limits"],
    "UPDATE billing_generation SET list_charge = 0 WHERE closed_at > now() - interval '1 day'": ["limits"],
    "UPDATE billing_usageday SET list_charge = list_charge + 1": ["limits", "roll-ups"],
    "UPDATE billing_hold SET due_tick = due_tick + 1": ["due"],
    "UPDATE billing_tick SET value = value + 30": ["due"],
    "UPDATE billing_hold SET generation = (SELECT min(id::text)::uuid FROM billing_generation)": ["one end"],
    "UPDATE billing_generation SET charge = charge + 1 WHERE closed_at > now() - interval '1 day'": ["charges"],
    "UPDATE billing_generation SET charge = charge + 1 WHERE closed_at < now() - interval '1 day'": ["roll-ups"],
    "DELETE FROM billing_generation WHERE closed_at < now() - interval '1 day'": ["roll-ups"],
    "DELETE FROM billing_generation WHERE closed_at > now() - interval '1 day'": ["charges", "cost", "limits"],
    "UPDATE billing_usageday SET charge = charge + 1": ["charges", "roll-ups"],
    "UPDATE billing_usageday SET prompt_tokens = prompt_tokens + 1": ["roll-ups"],
    "UPDATE billing_usagetotal SET cost = cost + 1 WHERE by = 'model'": ["roll-ups"],
    "DELETE FROM billing_usagetotal": ["roll-ups"],
    "UPDATE billing_promotion SET remaining = 1": ["promotional"],
    "DELETE FROM billing_promotion": ["promotional"],
    "UPDATE billing_ledgerentry SET amount = amount + 1 WHERE account = 'fees'": ["balanced"],
    "UPDATE billing_ledgerentry SET amount = 2 * amount WHERE account LIKE 'provider%'": ["cost"],
    "DELETE FROM billing_ledgerentry WHERE account = 'grants'": ["balanced"],
    "DELETE FROM billing_ledgerentry WHERE amount IN (5000, -5000)": ["balanced", "credit"],
    "UPDATE billing_ledgerentry SET account = 'disputes' WHERE account = 'refunds' AND amount > 0": ["under way"],
    "DELETE FROM billing_ledgertransaction WHERE kind = 'top_up'": ["credit", "organizations"],
    "UPDATE billing_ledgertransaction SET organization_id = gen_random_uuid() WHERE kind = 'top_up'": ["organizations"],
    "ALTER TABLE billing_ledgerentry DISABLE TRIGGER ledger_is_final": ["triggers"],
    "ALTER TABLE billing_ledgerentry DISABLE TRIGGER ledger_is_balanced": ["triggers"],
    "ALTER TABLE billing_usageday DISABLE TRIGGER usage_totals_delete": ["triggers"],
    "DROP TRIGGER ledger_is_final ON billing_ledgertransaction": ["triggers"],
}


@pytest.mark.parametrize("statement", BREAKS)
def test_whatever_is_broken_is_found(world: Organization, statement: str) -> None:
    tasks.post()
    connection.check_constraints()
    sql("SET LOCAL session_replication_role = replica")
    sql(statement)
    assert off() == BREAKS[statement]


def test_a_wallet_below_zero_has_a_reason(db: None) -> None:
    organization = Organization.objects.create(name="test")
    ledger.promotion(organization, amount=100, expires_at=None, reason="")
    Wallet.objects.update(held=101)
    assert off() == ["held", "overdrawn"]
    Wallet.objects.update(billing=Wallet.Billing.UNLIMITED)
    assert off() == ["held"]
    Wallet.objects.update(billing=Wallet.Billing.PREPAID)
    audit.record(None, audit.Verb.UPDATE, Wallet.objects.get(), organization_id=organization.pk)
    assert off() == ["held"]


def test_a_dispute_is_a_reason(db: None) -> None:
    organization = Organization.objects.create(name="test")
    ledger.dispute(organization, amount=100, reference="dispute")
    assert off() == []


def test_dropped_months_are_in_the_roll_ups(world: Organization) -> None:
    tasks.post()
    sql("DELETE FROM billing_generation WHERE closed_at < now() - interval '1 day'")
    assert off() == ["roll-ups"]
    sql("UPDATE billing_usageday SET day = day - 1000")
    assert off() == []


def test_a_transaction_without_entries_is_found(world: Organization) -> None:
    LedgerTransaction.objects.create(kind="grant", organization=world)
    assert off() == ["balanced"]


# The command


@pytest.fixture
def own(servers: Servers) -> Iterator[Book]:
    book = Book(servers.new_database())
    yield book
    book.close()


def test_the_command_says_what_is_off_and_ends_with_1(own: Book) -> None:
    environment = {**os.environ, "DATABASE_URL": own.url}
    healthy = manage(environment, "verify_ledger", check=False)
    assert (healthy.returncode, healthy.stdout.splitlines()[-1]) == (0, "All checks passed.")
    account = own.account(1_500_000_000)
    broken = manage(environment, "verify_ledger", check=False)
    assert broken.returncode == 1
    assert f"OFF credit: {account.organization}" in broken.stdout
    assert "1500000000 and 0" in broken.stdout
    assert "1 differences" in broken.stderr
