"""Everything that moves money, in any order hypothesis thinks of, with replies lost and calls repeated.

A model beside it knows what each call must answer and what every sum must be after each step; after each posting and
at the end the whole book is proved (billing/verification.py).
"""

import json
from datetime import UTC, datetime
from typing import Any
from uuid import UUID

import pytest
from django.db import connection, transaction
from hypothesis import HealthCheck, Phase, settings
from hypothesis import strategies as st
from hypothesis.stateful import (
    RuleBasedStateMachine,
    initialize,
    invariant,
    precondition,
    rule,
    run_state_machine_as_test,
)

from accounts import keys
from accounts.ids import uuid7
from accounts.models import Organization
from billing import ledger
from billing.errors import NotRefundable
from billing.verification import findings

AMOUNT = st.integers(0, 1000)
WHICH = st.integers(0, 10**6)
# How often the same call is made: its replies before the last one got lost.
TIMES = st.integers(1, 3)


class Tenant:
    """An organization as it must be."""

    def __init__(self) -> None:
        self.row = Organization.objects.create(name="machine")
        self.key, _ = keys.issue(self.row, name="k")
        ledger.grant(self.row, amount=1, reason="machine")
        self.credit = 1
        self.spent = 0
        self.used = 0
        self.open: dict[UUID, int] = {}
        self.noted: dict[UUID, int] = {}
        self.closed: dict[UUID, tuple[int, int]] = {}
        self.expired: set[UUID] = set()

    @property
    def held(self) -> int:
        return sum(self.open.values())

    @property
    def free(self) -> int:
        return self.credit - self.spent - self.held

    def close(self, generation: UUID, amount: int) -> tuple[int, int]:
        """What is charged, and what is written off."""
        charge = min(amount, self.open[generation] + max(self.free, 0))
        del self.open[generation], self.noted[generation]
        self.spent += charge
        self.used += amount
        self.closed[generation] = charge, amount - charge
        return self.closed[generation]


def lasting(results: list[dict[str, Any]]) -> list[dict[str, Any]]:
    """A repeated refusal is asked anew: it tells what is free and held at that moment, the rest stays as it was."""
    momentary = ("free", "held")
    return [
        {name: told for name, told in result.items() if result["status"] != "refused" or name not in momentary}
        for result in results
    ]


class Money(RuleBasedStateMachine):
    @initialize()
    def begin(self) -> None:
        self.before = transaction.savepoint()
        self.tenants = [Tenant(), Tenant()]

    def teardown(self) -> None:
        if hasattr(self, "before"):
            prove()
            transaction.savepoint_rollback(self.before)

    # What is asked of the till

    def call(self, tenant: Tenant, times: int, *items: dict[str, Any]) -> list[dict[str, Any]]:
        parts = [{"organization": str(tenant.row.pk), "budgets": [str(tenant.key.pk)], "items": items}]
        results = [json.loads(value("SELECT till(%s)", json.dumps(parts))) for _ in range(times)]
        assert all(lasting(result) == lasting(results[0]) for result in results), results
        found: list[dict[str, Any]] = results[0]
        return found

    @rule(which=WHICH, least=AMOUNT, more=AMOUNT, share=st.integers(1, 4), limit=st.none() | AMOUNT, times=TIMES)
    def admit(self, which: int, least: int, more: int, share: int, limit: int | None, times: int) -> None:
        tenant = self.tenants[which % 2]
        item = asked(tenant, least, least + more, share, limit)
        room = least + more if limit is None else limit - tenant.held - tenant.used
        want = min(least + more, max(least, tenant.free // share if tenant.free > 0 else 0))
        [result] = self.call(tenant, times, item)
        if least > tenant.free:
            assert (result["status"], result["by"], result["free"]) == ("refused", "credits", tenant.free)
        elif limit is not None and (least > room or room <= 0):
            assert (result["status"], result["by"], result["free"]) == ("refused", str(tenant.key.pk), room)
        else:
            assert result == {"status": "granted", "amount": min(want, room)}
            generation = UUID(item["generation"])
            tenant.open[generation], tenant.noted[generation] = result["amount"], 0

    @rule(which=WHICH, amounts=st.lists(AMOUNT, min_size=2, max_size=6), times=TIMES)
    def admit_many(self, which: int, amounts: list[int], times: int) -> None:
        tenant = self.tenants[which % 2]
        items = [asked(tenant, amount, amount, 1, None) for amount in amounts]
        for item, result in zip(items, self.call(tenant, times, *items), strict=True):
            assert (result["status"] == "granted") == (item["least"] <= tenant.free)
            if result["status"] == "granted":
                generation = UUID(item["generation"])
                tenant.open[generation], tenant.noted[generation] = result["amount"], 0

    def some_hold(self, which: int) -> tuple[Tenant, UUID]:
        tenant = next(one for one in (self.tenants[which % 2], *self.tenants) if one.open)
        return tenant, list(tenant.open)[which % len(tenant.open)]

    def has_holds(self) -> bool:
        return any(tenant.open for tenant in self.tenants)

    @precondition(has_holds)
    @rule(which=WHICH, least=AMOUNT, more=AMOUNT, times=TIMES)
    def extend(self, which: int, least: int, more: int, times: int) -> None:
        tenant, generation = self.some_hold(which)
        item = {"op": "extend", "generation": str(generation), "least": least, "want": least + more}
        before, free = tenant.open[generation], tenant.free
        [result] = self.call(tenant, times, item | counted(tenant))
        if least - before > free:
            assert (result["status"], result["free"]) == ("refused", free)
        else:
            tenant.open[generation] = max(before, min(least + more, before + free))
            assert result == {"status": "granted", "amount": tenant.open[generation]}

    @precondition(has_holds)
    @rule(which=WHICH, progress=AMOUNT)
    def touch(self, which: int, progress: int) -> None:
        tenant, generation = self.some_hold(which)
        value("SELECT count(*) FROM till_touch(%s)", json.dumps([{"id": str(generation), "progress": progress}]))
        tenant.noted[generation] = max(tenant.noted[generation], progress)

    @precondition(has_holds)
    @rule(which=WHICH, amount=st.integers(0, 3000), times=TIMES)
    def settle(self, which: int, amount: int, times: int) -> None:
        tenant, generation = self.some_hold(which)
        [result] = self.call(tenant, times, used(generation, amount))
        charge, write_off = tenant.close(generation, amount)
        assert result == {"status": "done", "charge": charge, "write_off": write_off}

    @precondition(has_holds)
    @rule(which=WHICH, amount=AMOUNT)
    def settle_and_lose_the_request(self, which: int, amount: int) -> None:
        tenant, generation = self.some_hold(which)
        with transaction.atomic():
            self.call(tenant, 1, used(generation, amount))
            transaction.set_rollback(True)

    @rule(which=WHICH, amount=AMOUNT)
    def settle_what_is_closed(self, which: int, amount: int) -> None:
        tenant = self.tenants[which % 2]
        generation = list(tenant.closed)[which % len(tenant.closed)] if tenant.closed else uuid7()
        [result] = self.call(tenant, 1, used(generation, amount))
        if generation in tenant.closed and generation not in tenant.expired:
            assert (result["charge"], result["write_off"]) == tenant.closed[generation]
        else:
            assert result == {"status": "gone"}

    @rule(which=WHICH, times=TIMES)
    def extend_what_is_closed(self, which: int, times: int) -> None:
        tenant = self.tenants[which % 2]
        generation = list(tenant.closed)[which % len(tenant.closed)] if tenant.closed else uuid7()
        item = {"op": "extend", "generation": str(generation), "least": 0, "want": 10}
        [result] = self.call(tenant, times, item | counted(tenant))
        assert result == {"status": "gone"}

    @precondition(has_holds)
    @rule(which=WHICH)
    def expire(self, which: int) -> None:
        """All but one that is touched in time."""
        _, kept = self.some_hold(which)
        value("UPDATE billing_tick SET value = value + 12 RETURNING value")
        value("SELECT count(*) FROM till_touch(%s)", json.dumps([{"id": str(kept), "progress": 0}]))
        while value("SELECT till_expire()"):
            pass
        for one in self.tenants:
            for generation in [found for found in one.open if found != kept]:
                one.expired.add(generation)
                one.close(generation, min(one.noted[generation], one.open[generation]))

    # The book

    @rule()
    def post(self) -> None:
        ledger.post_usage()
        prove()

    @rule(which=WHICH, amount=st.integers(1, 3000), times=TIMES)
    def top_up(self, which: int, amount: int, times: int) -> None:
        tenant, reference = self.tenants[which % 2], f"machine:{uuid7()}"
        for _ in range(times):
            if not ledger.is_posted(reference):
                ledger.top_up(tenant.row, amount=amount, reference=reference)
        tenant.credit += amount

    @rule(which=WHICH, amount=st.integers(1, 3000), refused=st.booleans())
    def refund(self, which: int, amount: int, refused: bool) -> None:
        tenant, reference = self.tenants[which % 2], f"machine:{uuid7()}"
        if amount > tenant.free:
            with pytest.raises(NotRefundable):
                ledger.refund(tenant.row, amount=amount, reference=reference)
            return
        ledger.refund(tenant.row, amount=amount, reference=reference)
        if refused:
            ledger.refund_refused(reference)
        else:
            ledger.refund_paid(reference)
            tenant.credit -= amount

    # What holds at every moment

    @invariant()
    def every_sum_is_as_it_must_be(self) -> None:
        for tenant in getattr(self, "tenants", []):
            with connection.cursor() as cursor:
                cursor.execute(SUMS, {"id": tenant.row.pk, "budget": tenant.key.pk})
                found = cursor.fetchone()
            charged = sum(charge for charge, _ in tenant.closed.values())
            written_off = sum(rest for _, rest in tenant.closed.values())
            wallet = (tenant.credit, tenant.spent, tenant.held)
            book = (tenant.held, charged, written_off, tenant.credit - tenant.spent)
            # A budget has no row before the till first needs it.
            budget = (tenant.held, tenant.used) if found[7] is not None else (None, None)
            assert found == (*wallet, *book, *budget)
            assert tenant.free >= 0


SUMS = """
    SELECT w.credit, w.spent, w.held,
        (SELECT coalesce(sum(wallet_amount), 0) FROM billing_hold WHERE organization_id = %(id)s),
        (SELECT coalesce(sum(charge), 0) FROM billing_generation WHERE organization_id = %(id)s),
        (SELECT coalesce(sum(write_off), 0) FROM billing_generation WHERE organization_id = %(id)s),
        (SELECT sum(amount) FROM billing_ledgerentry WHERE organization_id = %(id)s AND account = 'wallet')
            - w.unposted_charge,
        (SELECT held FROM billing_budget WHERE id = %(budget)s),
        (SELECT used FROM billing_budget WHERE id = %(budget)s)
    FROM billing_wallet w WHERE organization_id = %(id)s
"""


def prove() -> None:
    with connection.cursor() as cursor:
        assert list(findings(cursor)) == []


def asked(tenant: Tenant, least: int, want: int, share: int, limit: int | None) -> dict[str, Any]:
    record = {"created_at": datetime.now(UTC).isoformat(), "api_key_id": str(tenant.key.pk)}
    item = {"op": "admit", "generation": str(uuid7()), "key": str(tenant.key.pk), "least": least, "want": want}
    return item | {
        "share": share,
        "budgets": [str(tenant.key.pk)],
        "limits": [limit],
        "windows": [None],
        "record": record,
    }


def counted(tenant: Tenant) -> dict[str, Any]:
    return {"budgets": [str(tenant.key.pk)], "limits": [None], "windows": [None]}


def used(generation: UUID, amount: int) -> dict[str, Any]:
    item = {"op": "settle", "generation": str(generation), "charge": amount, "list": amount, "cost": amount}
    return item | {"record": {"outcome": "ok"}}


def value(query: str, *parameters: str) -> Any:
    with connection.cursor() as cursor:
        cursor.execute(query, parameters)
        row = cursor.fetchone()
    return row and row[0]


@pytest.mark.slow
@pytest.mark.timeout(600)
@pytest.mark.django_db
def test_money_is_right_after_every_step_in_any_order() -> None:
    how = settings(
        max_examples=8,
        phases=(Phase.generate,),
        stateful_step_count=20,
        deadline=None,
        suppress_health_check=list(HealthCheck),
        database=None,
        print_blob=True,
    )
    run_state_machine_as_test(Money, settings=how)
