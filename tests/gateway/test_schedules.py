"""Celery's schedules in the admin: the pages open, and a running beat takes what is changed there."""

from collections.abc import Callable

import httpx
import pytest
from django.test import Client
from django.urls import reverse

from accounts.models import User
from tests.gateway.conftest import catalogue
from tests.services import Product
from tests.waiting import until

PAGES = ("periodictask", "intervalschedule", "crontabschedule", "clockedschedule", "solarschedule")
# The last month's, if it is there: it is made two months ahead.
PARTITIONS = """
    SELECT c.relname FROM pg_class c WHERE c.relname =
        'billing_generation_' || to_char((now() AT TIME ZONE 'UTC') + interval '2 months', 'YYYY_MM')
"""
ROOT = "root@example.com", "correct horse battery"


@pytest.mark.django_db
@pytest.mark.parametrize("name", PAGES)
def test_pages_of_schedules_open(client: Client, name: str) -> None:
    client.force_login(User.objects.create_superuser("root@example.com"))
    for page in ("changelist", "add"):
        assert client.get(reverse(f"admin:django_celery_beat_{name}_{page}")).status_code == 200


class Browser:
    """A superuser at the admin of a running gateway."""

    def __init__(self, gateway: Product) -> None:
        self.client = httpx.Client(base_url=f"{gateway.url}/admin/", headers={"Origin": gateway.url}, timeout=30)
        self.client.get("login/")
        self.post("login/", username=ROOT[0], password=ROOT[1])

    def post(self, path: str, **data: str) -> None:
        data["csrfmiddlewaretoken"] = self.client.cookies["csrftoken"]
        assert self.client.post(path, data=data).status_code == 302, path


def wait_for_row(gateway: Product, query: str) -> str:
    return str(until(lambda: gateway.sql(query), 30, query)[0][0])


@pytest.mark.thorough
def test_a_running_beat_takes_a_changed_interval(product: Callable[..., Product]) -> None:
    environment = {"DJANGO_SUPERUSER_PASSWORD": ROOT[1]}
    gateway = product(catalogue=catalogue("http://127.0.0.1:9/v1"), env=environment, worker=True)
    gateway.manage("createsuperuser", "--noinput", "--email", ROOT[0])
    # Its interval is an hour; what it makes is missing from now on.
    task = wait_for_row(gateway, "SELECT id FROM django_celery_beat_periodictask WHERE name = 'partitions'")
    partition = wait_for_row(gateway, PARTITIONS)
    gateway.sql(f"DROP TABLE {partition}")
    browser = Browser(gateway)
    formset = {"periodictask_set-TOTAL_FORMS": "0", "periodictask_set-INITIAL_FORMS": "0"}
    browser.post("django_celery_beat/intervalschedule/add/", every="1", period="seconds", **formset)
    interval = wait_for_row(gateway, "SELECT id FROM django_celery_beat_intervalschedule WHERE every = 1")

    browser.post(
        f"django_celery_beat/periodictask/{task}/change/",
        name="partitions",
        task="billing.tasks.partitions",
        regtask="billing.tasks.partitions",
        enabled="on",
        interval=str(interval),
        args="[]",
        kwargs="{}",
        headers="{}",
        queue="slow",
    )

    assert wait_for_row(gateway, PARTITIONS) == partition
