"""Lists of the admin as CSV: what the filters show, harmless to a spreadsheet, all of it or none."""

import csv
import io
from typing import Any

import pytest
from django.db import connection
from django.test import Client
from django.test.utils import CaptureQueriesContext

from accounts.models import Organization, User
from billing import ledger
from billing.admin import sheets
from billing.generations import public_id
from billing.models import Generation
from tests.accounts.test_admin_queries import money

pytestmark = [pytest.mark.thorough, pytest.mark.django_db]

ORGANIZATIONS, LEDGER, GENERATIONS = (
    "/admin/accounts/organization/",
    "/admin/billing/ledgertransaction/",
    "/admin/billing/generation/",
)


@pytest.fixture
def root(client: Client) -> Client:
    client.force_login(User.objects.create_superuser("root@example.com"))
    return client


def read(client: Client, path: str, **asked: Any) -> list[dict[str, str]]:
    response = client.get(f"{path}sheet.csv", asked)
    assert (response.status_code, response["Content-Type"]) == (200, "text/csv; charset=utf-8")
    return list(csv.DictReader(io.StringIO(response.content.decode("utf-8-sig"))))


def person(number: int, name: str = "Acme") -> Organization:
    user = User.objects.create_user(f"user{number}@example.com", name=name)
    organization = user.personal_organization
    money(number, user, organization)
    return organization


def test_organizations_with_their_money(root: Client) -> None:
    found = person(0, "=HYPERLINK(1)")
    ledger.grant(found, amount=2_500_000_000, reason="test")
    rows = read(root, ORGANIZATIONS, q="user0@example.com")
    assert len(rows) == 1
    assert (rows[0]["name"], rows[0]["spendable (USD)"], rows[0]["live keys"]) == ("'=HYPERLINK(1)", "2.5000001", "1")


def test_the_ledger_by_its_filters(root: Client) -> None:
    one, _ = person(0), person(1)
    ledger.correct(one, amount=-50, reason="slip", created_by=User.objects.first(), reference="x")
    assert len(read(root, LEDGER)) == 3
    [row] = read(root, LEDGER, kind__exact="correction", organization__id__exact=str(one.pk))
    assert (row["wallet (USD)"], row["reason"], row["organization id"]) == ("-0.00000005", "slip", str(one.pk))


def test_generations_by_their_filters(root: Client) -> None:
    one, two = person(0), person(1)
    Generation.objects.filter(organization_id=one.pk).update(charge=1_500_000_000, model="acme/two")
    [row] = read(root, GENERATIONS, organization_id=str(one.pk))
    assert row["generation"] == public_id(Generation.objects.get(organization_id=one.pk).pk)
    assert (row["charge (USD)"], row["model"], row["key"]) == ("1.50", "acme/two", "laptop")
    assert len(read(root, GENERATIONS)) == 2
    assert len(read(root, GENERATIONS, q=str(two.pk))) == 1


@pytest.mark.parametrize("path", [ORGANIZATIONS, LEDGER, GENERATIONS])
def test_more_rows_ask_no_more_queries_and_too_many_none(
    root: Client, path: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    counts = []
    for numbers in (range(2), range(2, 9)):
        for number in numbers:
            person(number)
        read(root, path)
        with CaptureQueriesContext(connection) as queries:
            read(root, path)
        counts.append(len(queries))
    assert counts[0] == counts[1]
    assert "Export these as CSV" in root.get(path).content.decode()
    monkeypatch.setattr(sheets, "MAX_ROWS", 5)
    response = root.get(f"{path}sheet.csv", {"q": ""}, follow=True)
    assert "There are more than 5 rows" in response.content.decode()


def test_bad_filters_lead_back_to_the_list(root: Client) -> None:
    assert root.get(f"{LEDGER}sheet.csv", {"created_at__gte": "x"}).status_code == 302


def test_it_is_for_who_may_look_at_the_list(client: Client) -> None:
    client.force_login(User.objects.create_user("staff@example.com", is_staff=True))
    for path in (ORGANIZATIONS, LEDGER, GENERATIONS):
        assert client.get(f"{path}sheet.csv").status_code == 403
