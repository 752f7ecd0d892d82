"""The catalogue's admin pages: they open, ask a constant number of queries, and never show a secret."""

import datetime
from collections.abc import Iterator

import pytest
from django.contrib.auth import get_user_model
from django.contrib.auth.models import Permission
from django.db import connection
from django.test import Client
from django.test.utils import CaptureQueriesContext
from django.urls import reverse
from django.utils import timezone

from accounts.models import AuditEvent
from providers.importer import import_catalogue
from providers.loading import load
from providers.models import Credential, Endpoint, Model, Price, Provider

pytestmark = [pytest.mark.thorough, pytest.mark.django_db]

SECRET = "sk-secret-of-acme-WXYZ"
LISTS = ("provider", "credential", "model", "endpoint", "price")


def fill(providers: range) -> None:
    """A provider with a key, a model, an endpoint and a price for each number."""
    for number in providers:
        import_catalogue(
            f"""
providers:
  - {{slug: acme{number}, name: Acme {number}, wire: openai, base_url: "http://acme{number}/v1", api_key: {SECRET}}}
models:
  - slug: acme/model{number}
    name: Model {number}
    context_length: 8192
    input_modalities: [text, image]
    output_modalities: [text]
    endpoints:
      - {{provider: acme{number}, upstream_model: m, supported_parameters: [tools, seed],
         prices: {{prompt: "0.000001", completion: "0.000002"}}}}
      - {{provider: acme{number}, tag: acme{number}/turbo, upstream_model: mt}}
""",
            source="test",
        )


@pytest.fixture
def root(client: Client) -> Client:
    # No password: hashing one takes longer than the test.
    user = get_user_model().objects.create_superuser(email="root@example.com")
    client.force_login(user)
    return client


@pytest.fixture(autouse=True)
def catalogue(db: None) -> Iterator[None]:
    fill(range(2))
    yield
    # Whatever a test did: the stored ciphertext alone is not the secret.
    assert not Credential.objects.filter(sealed__contains=SECRET).exists()


def url(name: str, page: str, *args: object) -> str:
    return reverse(f"admin:providers_{name}_{page}", args=args)


def first(name: str) -> str:
    models = {"provider": Provider, "credential": Credential, "model": Model, "endpoint": Endpoint, "price": Price}
    return str(models[name]._default_manager.order_by("pk").values_list("pk", flat=True)[0])


@pytest.mark.parametrize("name", LISTS)
def test_pages_open_and_show_no_secret(root: Client, name: str) -> None:
    pages = [url(name, "changelist"), url(name, "changelist") + "?q=acme", url(name, "add")]
    for page in [*pages, url(name, "change", first(name))]:
        reply = root.get(page)
        assert reply.status_code == 200, page
        assert SECRET not in reply.content.decode()


@pytest.mark.parametrize("name", LISTS)
def test_list_pages_have_no_query_per_row(root: Client, name: str) -> None:
    root.get(url(name, "changelist"))  # content types and the session are cached by now
    counts = []
    for more in (range(2), range(2, 9)):
        fill(more)
        with CaptureQueriesContext(
            connection,
        ) as queries:
            assert root.get(url(name, "changelist")).status_code == 200
        counts.append(len(queries))
    assert counts[0] == counts[1]


@pytest.mark.parametrize("name", ["model", "endpoint", "provider"])
def test_autocomplete_has_no_query_per_row(root: Client, name: str) -> None:
    field = {"provider": ("endpoint", "provider"), "model": ("endpoint", "model"), "endpoint": ("price", "endpoint")}[
        name
    ]
    page = reverse("admin:autocomplete")
    asked = {"app_label": "providers", "model_name": field[0], "field_name": field[1], "term": "acme"}
    counts = []
    for more in (range(2), range(2, 9)):
        fill(more)
        with CaptureQueriesContext(connection) as queries:
            assert root.get(page, asked).status_code == 200
        counts.append(len(queries))
    assert counts[0] == counts[1]


def test_filters_and_search(root: Client) -> None:
    page = url("endpoint", "changelist")
    assert "2 endpoints" in root.get(page + "?priced=no").content.decode()
    assert "2 endpoints" in root.get(page + "?priced=yes").content.decode()
    assert "1 endpoint" in root.get(page + "?q=acme0/turbo").content.decode()
    assert "0.000001" in root.get(page).content.decode()


def test_list_shows_the_last_four_of_a_key(root: Client) -> None:
    assert "…WXYZ" in root.get(url("provider", "changelist")).content.decode()


def provider_form(provider: Provider, **changes: str) -> dict[str, str]:
    """What the browser sends from a provider's page."""
    return {
        "slug": provider.slug,
        "name": provider.name,
        "wire": "openai",
        "base_url": provider.base_url,
        "is_enabled": "on",
        "weight": "100",
        "quirks": "{}",
        "trains_on_data": "unknown",
        "datacenters": "US, DE",
        "credential-TOTAL_FORMS": "1",
        "credential-INITIAL_FORMS": "0",
        "credential-0-provider": str(provider.pk),
        **changes,
    }


def test_secret_is_set_by_the_provider_page(root: Client) -> None:
    provider = Provider.objects.create(slug="new", name="New", wire="openai", base_url="http://new/v1")

    form = provider_form(provider, **{"credential-0-secret": SECRET})
    reply = root.post(url("provider", "change", provider.pk), form, follow=True)

    assert reply.status_code == 200
    assert SECRET not in reply.content.decode()
    provider.refresh_from_db()
    assert provider.credential.secret() == SECRET
    assert provider.datacenters == ["US", "DE"]


def test_empty_secret_keeps_the_key(root: Client) -> None:
    provider = Provider.objects.get(slug="acme0")
    stored = {"credential-INITIAL_FORMS": "1", "credential-0-id": str(provider.credential.pk)}

    root.post(url("provider", "change", provider.pk), provider_form(provider, name="Acme Zero", **stored))

    provider = Provider.objects.get(slug="acme0")
    assert provider.name == "Acme Zero"
    assert provider.credential.secret() == SECRET


def test_secret_is_replaced_on_its_own_page(root: Client) -> None:
    credential = Credential.objects.get(provider__slug="acme0")
    root.post(url("credential", "change", credential.pk), {"secret": "sk-a-new-secret-0042"})
    credential.refresh_from_db()
    assert (credential.secret(), credential.hint) == ("sk-a-new-secret-0042", "0042")


def test_bad_base_url_is_refused(root: Client) -> None:
    provider = Provider.objects.get(slug="acme0")
    form = provider_form(provider, base_url="file:///etc/passwd")
    reply = root.post(url("provider", "change", provider.pk), form)
    assert "must be an http:// or https:// URL" in reply.content.decode().replace("&#x2F;", "/")


def test_changing_a_price_appends_a_row(root: Client) -> None:
    old = Price.objects.get(endpoint__tag="acme0")
    form = {"prompt": "0.000003", "completion": "0.000002", "source": "their letter", "as_of": "2026-11-22"}

    reply = root.post(url("price", "change", old.pk), form)

    assert reply.status_code == 302
    rows = list(Price.objects.filter(endpoint=old.endpoint).order_by("id"))
    assert [row.prompt for row in rows] == [1_000_000, 3_000_000]
    assert (rows[1].source, rows[1].as_of) == ("their letter", datetime.date(2026, 11, 22))
    assert rows[1].effective_from > rows[0].effective_from


def test_saving_a_price_unchanged_appends_nothing(root: Client) -> None:
    old = Price.objects.get(endpoint__tag="acme0")
    form = {"prompt": "0.000001", "completion": "0.000002", "source": old.source, "as_of": str(old.as_of)}
    root.post(url("price", "change", old.pk), form)
    assert Price.objects.filter(endpoint=old.endpoint).count() == 1


def test_a_price_with_overrides_and_discount_is_shown_as_it_was_written(root: Client) -> None:
    old = Price.objects.get(endpoint__tag="acme0")
    overrides = '[{"min_prompt_tokens": 200000, "prompt": "0.000004"}]'
    form = {"prompt": "0.000001", "completion": "0.000002", "audio": "0.00001", "source": "x", "as_of": "2026-11-22"}
    form |= {"discount": "0.125", "overrides": overrides}
    assert root.post(url("price", "change", old.pk), form).status_code == 302
    new = Price.objects.latest("id")
    assert (new.discount, new.audio) == (125_000, 10_000_000)
    assert new.overrides == [{"min_prompt_tokens": 200_000, "prompt": 4_000_000}]
    html = root.get(url("price", "change", new.pk)).content.decode().replace("&quot;", '"')
    assert '"prompt": "0.000004"' in html
    assert 'value="0.125"' in html
    root.post(url("price", "change", new.pk), form)
    assert Price.objects.latest("id") == new


@pytest.mark.parametrize(
    ("overrides", "reason"),
    [
        ('{"prompt": "1"}', "must be a list"),
        ("[7]", "must be an object"),
        ("[", "Enter a valid JSON"),
        ('[{"min_prompt_tokens": -1, "prompt": "1"}]', ">= 0"),
        ('[{"min_prompt_tokens": 1}]', "has no price"),
        ('[{"prompt": "1"}]', "has no condition"),
        ('[{"utc_days": ["x"], "prompt": "1"}]', "utc_days must be of monday"),
        ('[{"utc_days": 5, "prompt": "1"}]', "array"),
        ('[{"utc_start": -5, "utc_end": 5, "prompt": "1"}]', "must be a clock number"),
        ('[{"min_prompt_tokens": 1, "prompt": "1e-6"}]', "must be a decimal of USD"),
        ('[{"min_prompt_tokens": 1, "prompt": 0.5, "image": "1"}]', "image: not known"),
    ],
)
def test_bad_overrides_are_refused(root: Client, overrides: str, reason: str) -> None:
    old = Price.objects.get(endpoint__tag="acme0")
    form = {"prompt": "0.000001", "completion": "0.000002", "source": "x", "as_of": "2026-11-22"}
    reply = root.post(url("price", "change", old.pk), {**form, "overrides": overrides})
    assert reason in reply.content.decode().replace("&gt;", ">").replace("&#x27;", "'")
    assert Price.objects.filter(endpoint=old.endpoint).count() == 1


def test_a_price_that_has_ended_is_none(root: Client) -> None:
    old = Price.objects.get(endpoint__tag="acme0")
    form = {"prompt": "0.000001", "completion": "0.000002", "source": "x", "as_of": "2026-11-22", "is_end": "on"}
    root.post(url("price", "change", old.pk), form)
    html = root.get(url("endpoint", "changelist") + "?priced=no").content.decode()
    assert str(old.endpoint_id) in html


def test_price_with_an_exponent_is_refused(root: Client) -> None:
    old = Price.objects.get(endpoint__tag="acme0")
    form = {"prompt": "1e-6", "completion": "0.000002", "source": "x", "as_of": "2026-11-22"}
    reply = root.post(url("price", "change", old.pk), form)
    assert "must be a decimal of USD" in reply.content.decode()


def test_prices_cannot_be_deleted(root: Client) -> None:
    assert root.get(url("price", "delete", first("price"))).status_code == 403


def test_new_price_on_the_endpoint_page(root: Client) -> None:
    endpoint = Endpoint.objects.get(tag="acme0/turbo")
    form = {
        "model": str(endpoint.model_id),
        "provider": str(endpoint.provider_id),
        "tag": endpoint.tag,
        "upstream_model": "mt",
        "is_enabled": "on",
        "weight": "100",
        "quantization": "fp8",
        "supported_parameters": "tools, seed",
        "prices-TOTAL_FORMS": "1",
        "prices-INITIAL_FORMS": "0",
        "prices-0-endpoint": str(endpoint.pk),
        "prices-0-prompt": "0.0000005",
        "prices-0-completion": "0",
        "prices-0-source": "x",
        "prices-0-as_of": "2026-11-22",
        "prices-2-TOTAL_FORMS": "0",
        "prices-2-INITIAL_FORMS": "0",
    }

    reply = root.post(url("endpoint", "change", endpoint.pk), form)

    assert reply.status_code == 302
    endpoint.refresh_from_db()
    assert endpoint.supported_parameters == ["tools", "seed"]
    price = endpoint.prices.get()
    assert (price.prompt, price.completion, price.request) == (500_000, 0, None)


def test_staff_without_permission_sees_nothing(client: Client) -> None:
    user = get_user_model().objects.create_user(email="staff@example.com", is_staff=True)
    client.force_login(user)
    assert client.get(url("credential", "changelist")).status_code == 403


def test_a_refused_key_is_shown_and_switched_on_again(root: Client) -> None:
    provider = Provider.objects.get(slug="acme0")
    Provider.objects.filter(pk=provider.pk).update(refused_mark="mark", refused_at=timezone.now())
    page = reverse("admin:providers_provider_changelist")
    assert len(root.get(page, {"refused_at__isempty": "0"}).context["cl"].result_list) == 1
    root.post(page, {"action": "switch_key_on", "_selected_action": [provider.pk]})
    provider.refresh_from_db()
    assert (provider.refused_mark, provider.refused_at) == ("", None)
    assert AuditEvent.objects.filter(target_id=str(provider.pk), details__action__icontains="key").exists()


@pytest.mark.parametrize("action", ["enable", "disable", "drain", "fill"])
def test_who_may_only_look_switches_nothing(client: Client, action: str) -> None:
    staff = get_user_model().objects.create_user(email="staff@example.com", is_staff=True)
    staff.user_permissions.set(Permission.objects.filter(codename="view_provider"))
    client.force_login(staff)
    rows = Provider.objects.order_by("pk").values_list("pk", "is_enabled", "is_draining")
    before = list(rows)
    client.post(url("provider", "changelist"), {"action": action, "_selected_action": [pk for pk, *_ in before]})
    assert list(rows) == before
    assert not AuditEvent.objects.filter(target_type="providers.provider").exists()


def test_a_bulk_action_tells_of_the_rows_that_changed(root: Client) -> None:
    fill(range(2, 4))
    Provider.objects.filter(slug="acme2").update(is_enabled=False)
    form = {"action": "disable", "select_across": "1", "_selected_action": [first("provider")]}
    assert "3 providers changed" in root.post(url("provider", "changelist"), form, follow=True).content.decode()
    assert not Provider.objects.filter(is_enabled=True).exists()
    assert AuditEvent.objects.filter(verb="disable", target_type="providers.provider").count() == 3


def endpoint_form(endpoint: Endpoint, **changes: str) -> dict[str, str]:
    """What the browser sends from an endpoint's page."""
    prefixes = ("prices", "prices-2")
    return {
        "model": str(endpoint.model_id),
        "provider": str(endpoint.provider_id),
        "tag": endpoint.tag,
        "upstream_model": endpoint.upstream_model,
        "is_enabled": "on",
        "weight": "100",
        "quantization": endpoint.quantization,
        **{f"{prefix}-{name}_FORMS": "0" for prefix in prefixes for name in ("TOTAL", "INITIAL")},
        **changes,
    }


def test_limits_of_providers_and_endpoints(root: Client) -> None:
    limits = {"max_concurrency": "7", "queue_length": "0", "queue_wait_s": "3"}
    provider, endpoint = Provider.objects.get(slug="acme0"), Endpoint.objects.get(tag="acme0/turbo")
    stored = {"credential-INITIAL_FORMS": "1", "credential-0-id": str(provider.credential.pk)}
    root.post(url("provider", "change", provider.pk), provider_form(provider, **stored, **limits))
    root.post(url("endpoint", "change", endpoint.pk), endpoint_form(endpoint, **limits))
    for row in (provider, endpoint):
        row.refresh_from_db()
        assert (row.max_concurrency, row.queue_length, row.queue_wait_s) == (7, 0, 3)
    found = load({}).models["acme/model0"].endpoints[1]
    assert (found.max_concurrency, found.queue_length, found.queue_wait_s) == (7, 0, 3)
    assert (found.provider.max_concurrency, found.provider.queue_length, found.provider.queue_wait_s) == (7, 0, 3)
    # Nobody could ever be let in.
    reply = root.post(url("endpoint", "change", endpoint.pk), endpoint_form(endpoint, max_concurrency="0"))
    assert "greater than or equal to 1" in reply.content.decode()
    root.post(url("endpoint", "change", endpoint.pk), endpoint_form(endpoint, max_concurrency=""))
    endpoint.refresh_from_db()
    assert (endpoint.max_concurrency, endpoint.queue_length) == (None, None)
