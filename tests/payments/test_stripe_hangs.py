"""While Stripe hangs, the tasks that ask it take one of the worker's slots, and only for a while."""

import json
import threading
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from datetime import timedelta
from typing import Any

import pytest
import stripe as library
from celery.exceptions import SoftTimeLimitExceeded
from django.db import connection
from django.utils import timezone

from accounts.models import Organization, User
from billing import tasks
from billing.payments import automatic, client, events, open, refunds
from billing.payments.errors import Away
from billing.payments.models import BillingProfile, Refund, StripeEvent, TopUp

pytestmark = [pytest.mark.thorough, pytest.mark.django_db]
LONG_AGO = timedelta(hours=1)
PAID = "checkout.session.completed"
Run = Callable[[], None]


@pytest.fixture(autouse=True)
def sold(settings: Any) -> None:
    settings.STRIPE_SECRET_KEY = "sk_of_nobody"


@pytest.fixture
def asked(monkeypatch: pytest.MonkeyPatch) -> list[str]:
    """What Stripe was asked; it is away."""
    asked: list[str] = []

    def be_away(*about: Any, **more: Any) -> None:
        asked.append(about[0])
        raise Away("no answer")

    for name in ("session", "intent", "intents", "create_intent", "refunds"):
        monkeypatch.setattr(client, name, be_away)
    return asked


@pytest.fixture
def waiting(organization: Organization, charlie: User) -> None:
    """Two of each kind."""
    for n, owner in enumerate((organization, charlie.personal_organization)):
        common = {"organization": owner, "credit_cents": 500, "created_at": timezone.now() - LONG_AGO}
        TopUp.objects.create(source="checkout", stripe_session=f"cs_{n}", **common)
        TopUp.objects.create(source="automatic", stripe_intent=f"pi_{n}", **common)
        BillingProfile.objects.create(organization=owner, stripe_customer=f"cus_{n}")
        returned = TopUp.objects.create(source="checkout", status="failed", stripe_intent=f"pi_paid_{n}", **common)
        Refund.objects.create(top_up=returned, credit_cents=100, created_at=timezone.now() - LONG_AGO)
        payload = json.dumps({"type": PAID, "data": {"object": {"id": f"cs_{n}"}}})
        StripeEvent.objects.create(id=f"evt_{n}", type=PAID, payload=payload)


def pay_waiting() -> None:
    refunds.pay_waiting(Refund.objects.waiting())


RUNS = pytest.mark.parametrize("run", [events.process_waiting, pay_waiting, automatic.run, open.look_after])


@RUNS
def test_after_the_first_that_is_not_answered_no_more_is_asked(waiting: None, asked: list[str], run: Run) -> None:
    run()
    assert len(asked) == 1


def test_a_refund_that_is_not_answered_is_the_last_that_is_asked_for(
    waiting: None, monkeypatch: pytest.MonkeyPatch
) -> None:
    tried: list[str] = []

    def be_away(params: Any, *, key: str) -> None:
        tried.append(key)
        raise Away("no answer")

    monkeypatch.setattr(client, "refunds", lambda intent: [])
    monkeypatch.setattr(client, "create_refund", be_away)
    pay_waiting()
    assert len(tried) == 1


def test_an_event_that_is_not_answered_does_not_keep_the_next_waiting(waiting: None, asked: list[str]) -> None:
    for _ in range(2):
        events.process_waiting()
    assert asked == ["cs_0", "cs_1"]


@RUNS
def test_the_time_limit_ends_the_run(waiting: None, monkeypatch: pytest.MonkeyPatch, run: Run) -> None:
    def be_late(*about: Any) -> None:
        raise SoftTimeLimitExceeded

    for name in ("session", "intent", "intents", "refunds"):
        monkeypatch.setattr(client, name, be_late)
    with pytest.raises(SoftTimeLimitExceeded):
        run()


def test_the_time_limit_is_not_taken_for_a_connection_that_failed() -> None:
    # What Stripe's library makes of all that is raised while it waits.
    failed: Any = library.APIConnectionError
    with pytest.raises(SoftTimeLimitExceeded), client._asking("/v1/refunds"):
        raise failed("A SoftTimeLimitExceeded was raised") from SoftTimeLimitExceeded()


def test_one_task_at_a_time_asks_stripe(monkeypatch: pytest.MonkeyPatch) -> None:
    begun: list[str] = []
    hangs, goes_on = threading.Event(), threading.Event()

    def hang() -> None:
        begun.append("payments")
        hangs.set()
        assert goes_on.wait(30)

    monkeypatch.setattr(events, "process_waiting", hang)
    monkeypatch.setattr(open, "look_after", lambda: begun.append("open"))
    monkeypatch.setattr(tasks, "OPEN_TOP_UPS_PATIENCE_S", 0, raising=False)
    with ThreadPoolExecutor(2) as workers:
        first = workers.submit(in_a_worker, tasks.payments)
        assert hangs.wait(10)
        try:
            workers.submit(in_a_worker, tasks.payments).result(5)
            workers.submit(in_a_worker, tasks.open_top_ups).result(5)
            assert begun == ["payments"]
        finally:
            goes_on.set()
        first.result(10)
    tasks.payments()
    tasks.open_top_ups()
    assert begun == ["payments", "payments", "open"]


def test_open_top_ups_wait_for_payments_that_take_no_longer_than_usual(monkeypatch: pytest.MonkeyPatch) -> None:
    hangs, begun = threading.Event(), threading.Event()

    def take_a_while() -> None:
        hangs.set()
        assert not begun.wait(0.5)

    monkeypatch.setattr(events, "process_waiting", take_a_while)
    monkeypatch.setattr(open, "look_after", begun.set)
    with ThreadPoolExecutor(1) as workers:
        payments = workers.submit(in_a_worker, tasks.payments)
        assert hangs.wait(10)
        tasks.open_top_ups()
        payments.result(10)
    assert begun.is_set()


def in_a_worker(task: Run) -> None:
    try:
        task()
    finally:
        connection.close()
