"""What beat sends: tasks that exist, on queues that workers take from, which may run twice."""

from typing import Any

import pytest
from django.apps import apps
from django.conf import settings

from accounts.models import Organization
from billing import ledger
from billing.models import Generation, Tick, Usage, UsageApp, UsageMark, Wallet
from gateway.celery import app
from providers.models import PriceMark

SCHEDULE: dict[str, dict[str, Any]] = settings.CELERY_BEAT_SCHEDULE
# Said anew by each run, and nothing else follows from them.
MARKS = (UsageMark, PriceMark)

app.loader.import_default_modules()


def contents() -> dict[str, list[str]]:
    """Every row of every table; sums are replaced by new rows, so their own ids do not count."""
    found = {}
    for model in apps.get_models():
        names = [field.attname for field in model._meta.concrete_fields]
        if issubclass(model, Usage | UsageApp):
            names.remove("id")
        if model not in MARKS:
            found[model._meta.label] = sorted(map(repr, model._default_manager.values_list(*names)))
    return found


@pytest.mark.parametrize("name", SCHEDULE)
def test_it_exists_on_a_queue_that_is_served(name: str) -> None:
    assert SCHEDULE[name]["task"] in app.tasks
    options = SCHEDULE[name].get("options", {})
    assert options.get("queue", settings.CELERY_TASK_DEFAULT_QUEUE) in ("urgent", "default", "slow")
    # The scheduler of the database knows no other name for it.
    assert options.keys() <= {"queue", "expire_seconds"}


@pytest.mark.django_db
@pytest.mark.parametrize("name", SCHEDULE)
def test_twice_changes_nothing(name: str) -> None:
    organization = Organization.objects.create(name="test")
    ledger.grant(organization, amount=100, reason="test")
    Wallet.objects.update(spent=18, unposted_charge=18, unposted_cost=18)
    Generation.objects.create(
        id=organization.pk, organization_id=organization.pk, outcome="ok", charge=18, created_at=organization.created_at
    )
    task = app.tasks[SCHEDULE[name]["task"]]
    task()
    after = contents()
    task()
    assert contents() == after
    assert Tick.objects.get().value <= 1
