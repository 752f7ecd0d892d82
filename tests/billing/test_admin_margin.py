"""The admin's margin report: charges against costs by organization, model and provider."""

from datetime import UTC, date, datetime, timedelta
from typing import Any
from uuid import UUID

import pytest
from django.contrib.auth.models import Permission
from django.db import connection
from django.test import Client
from django.test.utils import CaptureQueriesContext

from accounts.ids import uuid7
from accounts.models import Organization, User
from billing.models import UsageDay

pytestmark = pytest.mark.thorough

PAGE = "/admin/billing/usageday/"
KINDS = ("prompt", "completion", "reasoning", "cached")
TODAY = datetime.now(UTC).date()


def used(organization: UUID, day: date = TODAY, **fields: Any) -> None:
    given: dict[str, Any] = dict.fromkeys(("list_charge", *(f"{kind}_tokens" for kind in KINDS)), 0)
    given |= {"model": "acme/one", "provider": "acme", "provider_name": "Acme", "requests": 3, "errors": 1}
    given |= {"charge": 1_500_000_000, "cost": 1_000_000_000}
    UsageDay.objects.create(organization_id=organization, day=day, api_key_id=uuid7(), **given | fields)


def cells(client: Client, query: str = "") -> list[list[str]]:
    """The table's rows, the total last."""
    html = client.get(PAGE + query).content.decode()
    table = html[html.index('id="result_list"') :]
    body = table[table.index("<tbody>") : table.index("</table>")]
    lines = body.replace("</th>", "</td>").split("<tr>")[1:]
    return [[cell.rsplit(">", 1)[-1] for cell in line.split("</td>")[:-1]] for line in lines]


@pytest.fixture
def acme(db: None) -> Organization:
    acme, other = Organization.objects.create(name="Acme Ltd"), Organization.objects.create(name="Other")
    used(acme.pk)
    used(acme.pk, TODAY - timedelta(days=1), write_off=5)
    used(other.pk, model="acme/two", provider="beta", charge=2_000_000_000, cost=2_500_000_000)
    used(other.pk, provider="", charge=0, cost=7)
    used(other.pk, TODAY - timedelta(days=40), charge=9_000_000_000)
    return acme


DASH = "\N{EN DASH}"
TOTAL = ["Total", "12", "4", "5.00", "4.500000007", "0.499999993", "10.0", "0.000000005"]


def test_by_organization_for_thirty_days(root: Client, acme: Organization) -> None:
    assert cells(root) == [
        ["Acme Ltd", "6", "2", "3.00", "2.00", "1.00", "33.3", "0.000000005"],
        ["Other", "6", "2", "2.00", "2.500000007", "-0.500000007", "-25.0", "0.00"],
        TOTAL,
    ]


def test_by_model_and_by_provider(root: Client, acme: Organization) -> None:
    assert [row[0] for row in cells(root, "?by=model")] == ["acme/one", "acme/two", "Total"]
    assert cells(root, "?by=provider")[2] == [
        "none answered",
        "3",
        "1",
        "0.00",
        "0.000000007",
        "-0.000000007",
        "–",
        "0.00",
    ]
    assert cells(root, "?by=provider")[-1] == TOTAL


def test_of_a_period(root: Client, acme: Organization) -> None:
    yesterday, long_ago = TODAY - timedelta(days=1), TODAY - timedelta(days=40)
    assert cells(root, f"?since={yesterday}&until={yesterday}")[0][:4] == ["Acme Ltd", "3", "1", "1.50"]
    assert cells(root, f"?since={long_ago}&until={TODAY}")[0][:4] == ["Other", "9", "3", "11.00"]
    assert cells(root, f"?since={TODAY}&until={yesterday}")[-1][:4] == ["Total", "0", "0", "0.00"]


@pytest.mark.parametrize("query", ["?by=colour", "?since=x", "?until=2026-02-30"])
def test_what_makes_no_sense_is_named(root: Client, acme: Organization, query: str) -> None:
    reply = root.get(PAGE + query)
    assert reply.status_code == 200
    assert "errorlist" in reply.content.decode()
    assert "result_list" not in reply.content.decode()


def test_the_queries_and_rows_are_bounded(root: Client, acme: Organization) -> None:
    def queries() -> int:
        with CaptureQueriesContext(
            connection,
        ) as counted:
            root.get(PAGE)
        return len(counted)

    before = queries()
    for number in range(205):
        used(uuid7(), charge=number)
    assert queries() == before
    assert len(cells(root)) == 201
    assert "The first 200" in root.get(PAGE).content.decode()


def test_who_may_not_see_it_does_not(client: Client, acme: Organization) -> None:
    user = User.objects.create_user("staff@example.com", is_staff=True)
    client.force_login(user)
    assert client.get(PAGE).status_code == 403
    user.user_permissions.add(Permission.objects.get(codename="view_usageday"))
    assert client.get(PAGE).status_code == 200
    assert client.get(f"{PAGE}add/").status_code == 403


def test_it_reads_no_sums_but_totals(root: Client, acme: Organization) -> None:
    """There is one sum for each key, model and endpoint of a day."""
    for by in ("organization", "model", "provider"):
        with CaptureQueriesContext(connection) as queries:
            assert root.get(PAGE, {"by": by}).status_code == 200
        assert not [query for query in queries if "billing_usageday" in query["sql"]]
