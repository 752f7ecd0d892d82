"""The admin's pages about money, and about organizations and keys with theirs."""

from datetime import UTC, datetime, timedelta
from uuid import UUID

import pytest
from django.apps import apps
from django.contrib.auth.models import Permission
from django.db import connection
from django.db.models import Manager, Model
from django.test import Client
from django.test.utils import CaptureQueriesContext
from django.urls import reverse

from accounts import keys, paging
from accounts.ids import uuid7
from accounts.models import ApiKey, AuditEvent, Membership, Organization, User
from billing import ledger
from billing.admin import generations
from billing.admin.ledger import LedgerTransactionAdmin
from billing.generations import first_id, public_id
from billing.models import Budget, Generation, Hold, LedgerTransaction, Wallet

pytestmark = [pytest.mark.thorough, pytest.mark.django_db]

LISTS = (
    *("accounts_organization", "accounts_apikey", "billing_wallet", "billing_ledgertransaction"),
    *("billing_generation", "billing_hold"),
)
READ_ONLY = LISTS[2:]


@pytest.fixture
def acme() -> Organization:
    """Has 10 USD, a member, a key of which 2 USD were used, an open hold and a generation."""
    return make("Acme")


def make(name: str) -> Organization:
    user = User.objects.create_user(f"{name.lower()}@example.com")
    organization = Organization.objects.create(name=name)
    Membership.objects.create(organization=organization, user=user, role="owner")
    key, _ = keys.issue(organization, name=f"{name}'s key", created_by=user)
    ledger.grant(organization, amount=10 * 10**9, reason=f"welcome, {name}", created_by=user)
    Wallet.objects.filter(organization=organization).update(spent=3 * 10**9, held=500_000_000)
    today = datetime.now(UTC).date()
    Budget.objects.create(id=key.pk, used=2 * 10**9, day=today, week=today, month=today)
    Hold.objects.create(
        generation=uuid7(), organization=organization, wallet_amount=5, list_amount=5, due_tick=1, budgets=[], record={}
    )
    generation(organization, key)
    return organization


def days_ago(days: int) -> UUID:
    return UUID(int=first_id(datetime.now(UTC) - timedelta(days=days)).int | 7 << 76 | 2 << 62 | 1)


def generation(organization: Organization, key: ApiKey | None = None, **fields: object) -> Generation:
    values = {"id": uuid7(), "outcome": "ok", "model": "acme/large", "provider": "acme", "charge": 1_500_000, **fields}
    now = datetime.now(UTC)
    key_id = key.pk if key else None
    return Generation.objects.create(organization_id=organization.pk, api_key_id=key_id, created_at=now, **values)


def url(name: str, page: str = "changelist", *args: object) -> str:
    return reverse(f"admin:{name}_{page}", args=args)


def text(client: Client, page: str) -> str:
    reply = client.get(page)
    assert reply.status_code == 200, page
    return reply.content.decode()


def staff(client: Client, *codenames: str) -> Client:
    user = User.objects.create_user("staff@example.com", is_staff=True)
    user.user_permissions.set(Permission.objects.filter(codename__in=codenames))
    client.force_login(user)
    return client


def first(name: str) -> str:
    app, model = name.split("_")
    rows: Manager[Model] = apps.get_model(app, model)._default_manager
    return str(rows.order_by("pk").values_list("pk", flat=True)[0])


# All pages


@pytest.mark.parametrize("name", LISTS)
def test_pages_open_and_show_no_key(root: Client, acme: Organization, name: str) -> None:
    _, token = keys.issue(acme, name="secret")
    for page in (url(name), url(name) + "?q=acme", url(name) + f"?q={acme.pk}", url(name, "change", first(name))):
        html = text(root, page)
        assert token not in html
        assert keys.digest(token) not in html


@pytest.mark.parametrize("name", LISTS)
def test_lists_have_no_query_per_row(root: Client, name: str) -> None:
    root.get(url(name))
    counts = []
    for more in (range(2), range(2, 9)):
        for number in more:
            make(f"Acme{number}")
        with CaptureQueriesContext(connection) as queries:
            text(root, url(name))
        counts.append(len(queries))
    assert counts[0] == counts[1]


def test_the_page_of_an_organization_has_no_query_per_row(root: Client, acme: Organization) -> None:
    counts = []
    for more in (range(2), range(2, 9)):
        for number in more:
            user = User.objects.create_user(f"user{number}@example.com")
            Membership.objects.create(organization=acme, user=user, role="viewer")
            keys.issue(acme, name=str(number), created_by=user)
        text(root, url("accounts_organization", "change", acme.pk))
        with CaptureQueriesContext(connection) as queries:
            text(root, url("accounts_organization", "change", acme.pk))
        counts.append(len(queries))
    assert counts[0] == counts[1]


@pytest.mark.parametrize("name", LISTS)
def test_staff_without_permission_sees_nothing(client: Client, acme: Organization, name: str) -> None:
    staff(client)
    assert client.get(url(name)).status_code == 403
    assert client.get(url(name, "change", first(name))).status_code == 403


@pytest.mark.parametrize("name", READ_ONLY)
def test_money_is_to_look_at(root: Client, acme: Organization, name: str) -> None:
    assert root.get(url(name, "add")).status_code == 403
    # How a wallet is billed can be changed (test_admin_markup.py), what it has cannot.
    if name != "billing_wallet":
        assert root.post(url(name, "change", first(name)), {"credit": "1"}).status_code == 403
    assert root.post(url(name, "delete", first(name)), {"post": "yes"}).status_code == 403
    assert "delete_selected" not in text(root, url(name))


# Organizations


def test_an_organization_is_found_by_name_member_and_id(root: Client, acme: Organization) -> None:
    make("Other")
    for term in ("acm", "acme@example", str(acme.pk)):
        html = text(root, url("accounts_organization") + f"?q={term}&is_personal__exact=0")
        assert "1 organization" in html, term
        for amount in ("10.00", "3.00", "0.50", "6.50"):
            assert f">{amount}<" in html


def test_the_page_of_an_organization_shows_members_keys_and_balance(root: Client, acme: Organization) -> None:
    html = text(root, url("accounts_organization", "change", acme.pk))
    assert "acme@example.com" in html
    assert acme.api_keys.get().label in html
    for amount in ("6.50", "2.00"):
        assert amount in html


def test_an_organization_without_a_wallet_has_nothing(root: Client) -> None:
    organization = Organization.objects.create(name="Empty")
    html = text(root, url("accounts_organization") + "?q=Empty")
    assert ">0.00<" in html
    assert "User.None" not in html
    text(root, url("accounts_organization", "change", organization.pk))


def members_form(
    organization: Organization, *roles: tuple[Membership | None, User, str], **more: str
) -> dict[str, str]:
    form = {
        "name": organization.name,
        "api_keys-TOTAL_FORMS": "0",
        "api_keys-INITIAL_FORMS": "0",
        "memberships-TOTAL_FORMS": str(len(roles)),
        "memberships-INITIAL_FORMS": str(sum(1 for membership, _, _ in roles if membership)),
    }
    for number, (membership, user, role) in enumerate(roles):
        prefix = f"memberships-{number}-"
        form |= {f"{prefix}user": str(user.pk), f"{prefix}role": role}
        form[f"{prefix}organization"] = "" if organization._state.adding else str(organization.pk)
        form[f"{prefix}id"] = str(membership.pk) if membership else ""
    return {**form, **more}


def test_members_come_and_go_with_events(root: Client, acme: Organization) -> None:
    owner = Membership.objects.get(organization=acme)
    bob = User.objects.create_user("bob@example.com")
    page = url("accounts_organization", "change", acme.pk)

    assert root.post(page, members_form(acme, (owner, owner.user, "owner"), (None, bob, "viewer"))).status_code == 302
    viewer = Membership.objects.get(organization=acme, user=bob)
    both = ((owner, owner.user, "owner"), (viewer, bob, "admin"))
    assert root.post(page, members_form(acme, *both)).status_code == 302
    assert root.post(page, members_form(acme, *both, **{"memberships-1-DELETE": "on"})).status_code == 302

    events = AuditEvent.objects.filter(target_type="accounts.membership").order_by("id")
    assert [(event.verb, event.details["role"]) for event in events] == [
        ("create", "viewer"),
        ("update", "admin"),
        ("delete", "admin"),
    ]
    assert {(event.details["user"], event.organization_id) for event in events} == {("bob@example.com", acme.pk)}
    assert list(acme.members.all()) == [owner.user]


def test_an_organization_keeps_an_owner(root: Client, acme: Organization) -> None:
    owner = Membership.objects.get(organization=acme)
    page = url("accounts_organization", "change", acme.pk)
    html = root.post(page, members_form(acme, (owner, owner.user, "viewer"))).content.decode()
    assert "needs an owner" in html
    assert Membership.objects.get(organization=acme).role == "owner"


def test_a_new_organization_has_an_owner(root: Client) -> None:
    user = User.objects.create_user("bob@example.com")
    form = members_form(Organization(name="New"), (None, user, "owner"))
    text(root, url("accounts_organization", "add"))
    assert root.post(url("accounts_organization", "add"), form).status_code == 302
    assert list(Organization.objects.get(name="New").members.all()) == [user]
    assert AuditEvent.objects.filter(verb="create").count() == 2


def test_organizations_are_never_deleted(root: Client, acme: Organization) -> None:
    assert root.post(url("accounts_organization", "delete", acme.pk), {"post": "yes"}).status_code == 403


# Keys


def test_keys_are_disabled_and_enabled_by_actions(root: Client, acme: Organization) -> None:
    key = acme.api_keys.get()
    deleted, _ = keys.issue(acme, name="deleted")
    ApiKey.objects.filter(pk=deleted.pk).update(deleted_at=datetime.now(UTC))
    for action in ("disable", "disable", "enable"):
        chosen = {"action": action, "_selected_action": [str(key.pk), str(deleted.pk)]}
        assert root.post(url("accounts_apikey"), chosen).status_code == 302
    key.refresh_from_db()
    deleted.refresh_from_db()
    assert (key.is_disabled, deleted.is_disabled) == (False, False)
    events = AuditEvent.objects.order_by("id")
    assert [event.verb for event in events] == ["disable", "enable"]
    assert {(event.target_id, event.organization_id) for event in events} == {(str(key.pk), acme.pk)}


def test_who_may_only_look_cannot_disable(client: Client, acme: Organization) -> None:
    staff(client, "view_apikey")
    key = acme.api_keys.get()
    client.post(url("accounts_apikey"), {"action": "disable", "_selected_action": [str(key.pk)]})
    key.refresh_from_db()
    assert not key.is_disabled


def test_a_limit_is_set_in_usd(root: Client, acme: Organization) -> None:
    key = acme.api_keys.get()
    form = {"name": key.name, "limit_nano": "12.000000001", "limit_reset": "daily"}
    assert root.post(url("accounts_apikey", "change", key.pk), form).status_code == 302
    key.refresh_from_db()
    assert (key.limit_nano, key.limit_reset) == (12_000_000_001, "daily")
    event = AuditEvent.objects.get()
    changed = {"limit_nano": [None, 12_000_000_001], "limit_reset": ["", "daily"]}
    assert (event.verb, event.details) == ("update", {"label": key.label, **changed})
    assert 'value="12.000000001"' in text(root, url("accounts_apikey", "change", key.pk))


@pytest.mark.parametrize("limit", ["-1", "1e3", "0.0000000001", "9" * 11])
def test_a_bad_limit_is_refused(root: Client, acme: Organization, limit: str) -> None:
    key = acme.api_keys.get()
    reply = root.post(url("accounts_apikey", "change", key.pk), {"name": key.name, "limit_nano": limit})
    assert reply.status_code == 200
    assert not AuditEvent.objects.exists()


def test_used_is_that_of_the_running_period(root: Client, acme: Organization) -> None:
    key = acme.api_keys.get()
    ApiKey.objects.filter(pk=key.pk).update(limit_reset="daily")
    Budget.objects.filter(pk=key.pk).update(used_day=1_250_000_000)
    assert ">1.25<" in text(root, url("accounts_apikey"))
    Budget.objects.filter(pk=key.pk).update(day=datetime.now(UTC).date() - timedelta(days=1))
    assert ">0.00<" in text(root, url("accounts_apikey"))


def test_a_deleted_key_is_to_look_at(root: Client, acme: Organization) -> None:
    key = acme.api_keys.get()
    ApiKey.objects.filter(pk=key.pk).update(deleted_at=datetime.now(UTC))
    text(root, url("accounts_apikey", "change", key.pk))
    assert root.post(url("accounts_apikey", "change", key.pk), {"name": "x"}).status_code == 403


@pytest.mark.parametrize(("state", "count"), [("live", 1), ("disabled", 1), ("expired", 1), ("deleted", 0), ("x", 3)])
def test_keys_by_state(root: Client, acme: Organization, state: str, count: int) -> None:
    now = datetime.now(UTC)
    disabled, expired = (keys.issue(acme, name=name)[0] for name in ("disabled", "expired"))
    ApiKey.objects.filter(pk=disabled.pk).update(is_disabled=True)
    ApiKey.objects.filter(pk=expired.pk).update(expires_at=now - timedelta(seconds=1))
    assert f"{count} api key" in text(root, url("accounts_apikey") + f"?state={state}").lower()


# Generations


def test_a_generation_is_found_by_its_public_id_whatever_the_filters(root: Client, acme: Organization) -> None:
    old = generation(acme, id=days_ago(60))
    html = text(root, url("billing_generation") + f"?outcome__exact=error&q={public_id(old.pk)}")
    assert "1 generation" in html
    assert public_id(old.pk) in html


def test_generations_are_found_by_organization_key_and_model(root: Client, acme: Organization) -> None:
    make("Other")
    Generation.objects.update(model="vendor/other")
    Generation.objects.filter(organization_id=acme.pk).update(model="vendor/special")
    key = acme.api_keys.get()
    one = Generation.objects.get(organization_id=acme.pk)
    for term in ("Acme", str(acme.pk), str(key.pk), "Acme's", "special", str(one.pk)):
        assert "1 generation" in text(root, url("billing_generation") + f"?q={term}"), term
    assert "0 generations" in text(root, url("billing_generation") + "?q=nothing")


def test_generations_are_filtered(root: Client, acme: Organization) -> None:
    generation(acme, outcome="error", provider="bravo")
    for query in ("outcome__exact=error", "provider=bravo", "since=day&provider=bravo"):
        assert "1 generation" in text(root, url("billing_generation") + f"?{query}"), query
    assert "2 generations" in text(root, url("billing_generation") + f"?organization_id={acme.pk}")


def test_what_no_index_knows_is_looked_for_among_the_newest(
    root: Client, acme: Organization, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(generations, "SEARCHED", 2)
    Generation.objects.all().delete()
    rows = sorted(generation(acme).pk for _ in range(4))
    Generation.objects.filter(pk__in=rows[:2]).update(outcome="error")

    def found(query: str) -> list[UUID]:
        return [row.pk for row in root.get(url("billing_generation") + query).context["cl"].result_list]

    assert found("?outcome__exact=error") == found("?q=acme/large&outcome__exact=error") == [rows[1]]
    assert found("?outcome__exact=error&since=ever") == rows[1::-1]
    # Its own rows an organization has in an index.
    assert found("") == found(f"?organization_id={acme.pk}") == rows[::-1]


def test_generations_older_than_a_week_are_shown_on_request(root: Client, acme: Organization) -> None:
    generation(acme, id=days_ago(8))
    for since, count in (("", "1 generation"), ("?since=month", "2 generations"), ("?since=ever", "2 generations")):
        assert count in text(root, url("billing_generation") + since)


def test_newest_generations_come_first_and_counting_ends(
    root: Client, acme: Organization, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(paging, "MAX_COUNTED", 3)
    newest = [generation(acme) for _ in range(5)]
    with CaptureQueriesContext(connection) as queries:
        html = text(root, url("billing_generation"))
    assert "3 generations" in html
    assert html.index(public_id(newest[4].pk)) < html.index(public_id(newest[3].pk))
    assert "Show counts" not in html
    assert not [query["sql"] for query in queries if "COUNT(" in query["sql"] and "LIMIT" not in query["sql"]]


# Ledger


def test_a_transaction_shows_its_entries(root: Client, acme: Organization) -> None:
    html = text(root, url("billing_ledgertransaction", "change", LedgerTransaction.objects.get().pk))
    assert ">10.00<" in html
    assert ">-10.00<" in html
    assert "1 ledger transaction" in text(root, url("billing_ledgertransaction") + "?q=welcome&kind__exact=grant")


def found_transactions(root: Client, **asked: str) -> list[int]:
    return [row.pk for row in root.get(url("billing_ledgertransaction"), asked).context["cl"].result_list]


def test_words_are_looked_for_among_the_newest_and_references_everywhere(
    root: Client, acme: Organization, monkeypatch: pytest.MonkeyPatch
) -> None:
    old, *new = [
        ledger.grant(acme, amount=1, reason=f"pilot {number}", reference=f"deal:{number}").pk for number in range(3)
    ]
    assert found_transactions(root, q="pilot") == found_transactions(root, q="DEAL:") == [*reversed(new), old]
    monkeypatch.setattr("billing.admin.ledger.SEARCHED", 2)
    assert found_transactions(root, q="pilot") == found_transactions(root, q="DEAL:") == new[::-1]
    assert found_transactions(root, q="deal:0") == [old]


def test_a_search_is_bounded_after_the_filters(
    root: Client, acme: Organization, monkeypatch: pytest.MonkeyPatch
) -> None:
    wanted = [ledger.correct(acme, amount=1, reason="").pk for _ in range(2)]
    for _ in range(3):
        ledger.grant(acme, amount=1, reason="")
    monkeypatch.setattr(paging, "MAX_COUNTED", 3)
    assert found_transactions(root, q="Acme", kind__exact="correction") == wanted[::-1]
    assert len(found_transactions(root, q="Acme")) == 3


def test_each_page_has_its_rows(root: Client, acme: Organization, monkeypatch: pytest.MonkeyPatch) -> None:
    every = [ledger.grant(acme, amount=1, reason="").pk for _ in range(6)]
    monkeypatch.setattr(LedgerTransactionAdmin, "list_per_page", 3)
    asked = {"q": "Acme", "kind__exact": "grant"}
    pages = [found_transactions(root, **asked, p=str(number)) for number in (1, 2, 3)]
    assert [len(page) for page in pages] == [3, 3, 1]
    assert [pk for page in pages for pk in page][:6] == every[::-1]


def test_a_kind_is_found_by_its_index(db: None) -> None:
    """Of a kind that is rare there is no need to read the rest."""
    found = LedgerTransaction.objects.filter(kind="refund").order_by("-id")[:5]
    with connection.cursor() as cursor:
        # Of an empty table nothing is faster than all of it.
        cursor.execute("SET LOCAL enable_seqscan = off")
    assert "billing_transaction_of_kind" in found.explain()
