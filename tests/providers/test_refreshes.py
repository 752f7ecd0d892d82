"""Refreshes of the catalogue in the admin: review change by change, upload and its errors, export and back."""

from pathlib import Path
from typing import Any

import pytest
from django.contrib.auth.models import Permission
from django.core.files.uploadedfile import SimpleUploadedFile
from django.core.management import call_command
from django.db import connection
from django.http import HttpResponse
from django.test import Client
from django.urls import reverse

from accounts.models import AuditEvent, User
from providers import refreshes
from providers.catalogue.exporting import export_catalogue
from providers.importer import import_catalogue
from providers.models import Credential, Endpoint, Model, Price, Provider, Refresh
from tests.gateway.conftest import catalogue

pytestmark = [pytest.mark.thorough, pytest.mark.django_db]

SHIPPED = Path(__file__).resolve().parents[2] / "providers" / "catalogue" / "catalogue.yaml"
SECRET = "sk-secret-of-somebody-0042"
BEFORE = """\
providers:
  - {slug: acme, name: Acme, wire: openai, base_url: "http://acme.example/v1", api_key_env: ACME_KEY}
models:
  - slug: acme/large
    name: Large
    context_length: 8192
    input_modalities: [text]
    output_modalities: [text]
    endpoints:
      - {provider: acme, upstream_model: large, prices: {prompt: "0.000001", completion: "0.000002"}}
      - {provider: acme, tag: acme/old, upstream_model: old, prices: {prompt: "0.000001", completion: "0.000002"}}
"""
# A dearer price, a longer context, an endpoint switched off, a price that ends, a new provider with a new model.
AFTER = """\
providers:
  - {slug: acme, name: Acme, wire: openai, base_url: "http://acme.example/v1", api_key_env: ACME_KEY}
  - {slug: beta, name: Beta, wire: openai, base_url: "http://beta.example/v1", api_key_env: BETA_KEY}
models:
  - slug: acme/large
    name: Large
    context_length: 16384
    input_modalities: [text]
    output_modalities: [text]
    endpoints:
      - {provider: acme, upstream_model: large, prices: {prompt: "0.000003", completion: "0.000002"}}
      - {provider: acme, tag: acme/old, upstream_model: old, enabled: false, prices: none}
  - slug: beta/new
    name: New
    context_length: 4096
    input_modalities: [text]
    output_modalities: [text]
    endpoints:
      - {provider: beta, upstream_model: new, prices: {prompt: "0", completion: "0"}}
"""
CHANGES = {
    "provider added beta",
    "model changed acme/large",
    "price changed acme/large at acme",
    "endpoint disabled acme/large at acme/old",
    "price ended acme/large at acme/old",
    "model added beta/new",
    "endpoint added beta/new at beta",
    "price added beta/new at beta",
}
UPLOAD = "/admin/providers/refresh/upload/"


@pytest.fixture
def root(client: Client) -> Client:
    import_catalogue(BEFORE, source="first.yaml")
    client.force_login(User.objects.create_superuser("root@example.com"))
    return client


def upload(client: Client, text: str | bytes, button: str = "review", name: str = "new.yaml") -> Any:
    content = text if isinstance(text, bytes) else text.encode()
    return client.post(UPLOAD, {"file": SimpleUploadedFile(name, content), button: "1"}, follow=True)


def proposed(client: Client, text: str = AFTER) -> tuple[Refresh, dict[str, str]]:
    """The refresh, and the marks of its changes by what they are."""
    assert upload(client, text).status_code == 200
    refresh = Refresh.objects.get(state="open")
    return refresh, marks_of(client, refresh)


def marks_of(client: Client, refresh: Refresh) -> dict[str, str]:
    page = client.get(page_of(refresh))
    assert page.status_code == 200
    return {f"{one['kind']} {one['verb']} {one['name']}": one["mark"] for one in page.context["changes"]}


def page_of(refresh: Refresh) -> str:
    return reverse("admin:providers_refresh_change", args=[refresh.pk])


def decide(client: Client, refresh: Refresh, verb: str, *marks: str) -> HttpResponse:
    found: HttpResponse = client.post(page_of(refresh), {"change": marks, verb: "1"}, follow=True)  # type: ignore[assignment]
    assert found.status_code == 200
    return found


def prompt() -> int:
    return Price.objects.current().get(endpoint__tag="acme").prompt


def test_a_proposal_changes_nothing_and_says_what_it_would(root: Client) -> None:
    refresh, marks = proposed(root)
    assert set(marks) == CHANGES
    assert (prompt(), Provider.objects.count(), Model.objects.get().context_length) == (1_000_000, 1, 8192)
    assert refresh.summary == {"provider": 1, "model": 2, "endpoint": 2, "price": 3}
    page = root.get(page_of(refresh)).content.decode()
    assert "<del>0.000001</del> <ins>0.000003</ins>" in page
    assert "<del>8192</del> <ins>16384</ins>" in page
    assert str(refresh.proposed_by) == "root@example.com"


def test_one_change_is_accepted_and_the_rest_waits(root: Client) -> None:
    refresh, marks = proposed(root)
    decide(root, refresh, "accept", marks["price changed acme/large at acme"])
    assert (prompt(), Model.objects.get().context_length) == (3_000_000, 8192)
    assert set(marks_of(root, refresh)) == CHANGES - {"price changed acme/large at acme"}
    event = AuditEvent.objects.get(verb="accept")
    assert (event.target_id, str(event.actor)) == (str(refresh.pk), "root@example.com")
    assert event.details["changes"] == ["price acme/large at acme"]
    assert Price.objects.filter(endpoint__tag="acme").count() == 2


def test_what_a_change_needs_comes_with_it(root: Client) -> None:
    refresh, marks = proposed(root)
    decide(root, refresh, "accept", marks["price added beta/new at beta"])
    endpoint = Endpoint.objects.get(tag="beta")
    assert (endpoint.provider.slug, endpoint.model.slug, endpoint.prices.get().prompt) == ("beta", "beta/new", 0)
    assert set(marks_of(root, refresh)) == {name for name in CHANGES if "beta" not in name}


def test_what_needs_a_rejected_change_goes_with_it(root: Client) -> None:
    refresh, marks = proposed(root)
    decide(root, refresh, "reject", marks["provider added beta"])
    left = marks_of(root, refresh)
    # A model without an endpoint may still come.
    assert set(left) == {name for name in CHANGES if "beta" not in name or name == "model added beta/new"}
    decide(root, refresh, "accept", *left.values())
    refresh.refresh_from_db()
    assert refresh.state == "closed"
    assert not Provider.objects.filter(slug="beta").exists()
    assert not Endpoint.objects.get(tag="acme/old").is_enabled
    assert AuditEvent.objects.get(verb="reject").details["endpoint"] == 1
    page = root.get(page_of(refresh)).content.decode()
    assert page.count("<td>rejected</td>") == 3
    assert page.count("<td>accepted</td>") == len(left)


def test_all_accepted_is_the_same_as_an_import(root: Client) -> None:
    refresh, marks = proposed(root)
    decide(root, refresh, "accept", *marks.values())
    refresh.refresh_from_db()
    assert refresh.state == "closed"
    assert not import_catalogue(AFTER, source="new.yaml")


def test_who_looked_at_other_changes_decides_nothing(root: Client) -> None:
    refresh, marks = proposed(root)
    mark = marks["price changed acme/large at acme"]
    # Meanwhile somebody puts in another price.
    import_catalogue(BEFORE.replace('"0.000001"', '"0.000002"', 1), source="letter")
    page = decide(root, refresh, "accept", mark, marks["provider added beta"]).content.decode()
    assert "Nothing was done" in page
    assert (prompt(), Provider.objects.count()) == (2_000_000, 1)
    assert "<del>0.000002</del> <ins>0.000003</ins>" in page


def test_a_closed_refresh_stays_closed(root: Client) -> None:
    refresh, marks = proposed(root)
    decide(root, refresh, "reject", *marks.values())
    assert "It is closed" in decide(root, refresh, "accept", *marks.values()).content.decode()
    assert prompt() == 1_000_000


def test_a_newer_file_of_the_name_replaces_the_older(root: Client) -> None:
    first, _ = proposed(root)
    second, marks = proposed(root, AFTER.replace("0.000003", "0.000004"))
    first.refresh_from_db()
    assert (first.state, second.state) == ("replaced", "open")
    assert "price changed acme/large at acme" in marks


def test_a_file_without_changes_is_not_kept(root: Client) -> None:
    assert "would change nothing" in upload(root, BEFORE).content.decode()
    assert not Refresh.objects.exists()


def test_a_file_that_waits_may_hold_no_key(root: Client) -> None:
    text = BEFORE.replace("api_key_env: ACME_KEY", f"api_key: {SECRET}")
    page = upload(root, text).content.decode()
    assert "new.yaml:2: providers[0].api_key: must not stand" in page
    assert not Refresh.objects.exists()
    assert "1 credential rows" in upload(root, text, "import").content.decode()
    assert Credential.objects.get().secret() == SECRET


def test_the_lines_of_a_bad_file_are_told_and_nothing_applied(root: Client) -> None:
    bad = AFTER.replace('"0.000003"', "0.000003").replace("name: Beta, ", "")
    for button in ("review", "import"):
        page = upload(root, bad, button).content.decode()
        assert "new.yaml:3: providers[1].name: is missing" in page
        assert "new.yaml:11: models[0].endpoints[0].prices.prompt: must be" in page
    assert (Provider.objects.count(), Refresh.objects.count()) == (1, 0)
    assert "new.yaml:1: file: is empty" in upload(root, "# nothing\n").content.decode()
    assert "new.yaml:2: file: is not UTF-8" in upload(root, b"a: 1\nb: \xff\n").content.decode()


def test_an_upload_is_imported_at_once(root: Client) -> None:
    page = upload(root, AFTER, "import").content.decode()
    assert "3 price rows" in page
    assert prompt() == 3_000_000
    assert str(AuditEvent.objects.get(verb="import", target_id="new.yaml").actor) == "root@example.com"


def test_the_command_proposes_too(root: Client, tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    file = tmp_path / "catalogue.yaml"
    file.write_text(AFTER)
    call_command("import_catalogue", "--review", str(file))
    refresh = Refresh.objects.get()
    assert f"8 changes wait for review: http://127.0.0.1:8000{page_of(refresh)}" in capsys.readouterr().out
    assert prompt() == 1_000_000
    assert "catalogue.yaml" in root.get(reverse("admin:providers_refresh_changelist")).content.decode()


def test_who_may_only_look_decides_nothing(root: Client, client: Client) -> None:
    refresh, marks = proposed(root)
    staff = User.objects.create_user("staff@example.com", is_staff=True)
    staff.user_permissions.set(Permission.objects.filter(codename="view_refresh"))
    client.force_login(staff)
    assert 'name="accept"' not in client.get(page_of(refresh)).content.decode()
    assert client.post(page_of(refresh), {"change": list(marks.values()), "accept": "1"}).status_code == 403
    for path in (UPLOAD, "/admin/providers/refresh/export/"):
        assert client.get(path).status_code == 403
    assert prompt() == 1_000_000


# Export


def test_an_export_read_again_changes_nothing(root: Client) -> None:
    import_catalogue(SHIPPED.read_text(), source="shipped")
    import_catalogue(catalogue("http://127.0.0.1:9/v1"), source="test")
    import_catalogue(AFTER.replace('prompt: "0", ', RICH), source="rich")
    Model.objects.filter(slug="acme/large").update(is_enabled=False)
    response = root.get("/admin/providers/refresh/export/")
    text = response.content.decode()
    assert response["Content-Disposition"].endswith('.yaml"')
    assert "secret-key" not in text
    assert not import_catalogue(text, source="again")


RICH = """prompt: "0.00000125", discount: "0.1", audio: "0.00001", overrides: [
        {min_prompt_tokens: 200000, prompt: "0.0000025"},
        {utc_start: 1630, utc_end: 30, utc_days: [saturday, sunday], prompt: "0.0000006"}], """


def test_an_export_makes_the_same_catalogue_elsewhere(root: Client) -> None:
    import_catalogue(AFTER.replace('prompt: "0", ', RICH), source="rich")
    text = export_catalogue()
    with connection.cursor() as cursor:
        # Prices cannot be deleted.
        cursor.execute("SET CONSTRAINTS ALL IMMEDIATE; TRUNCATE providers_provider, providers_model CASCADE")
    import_catalogue(text, source="other name")
    # Where there never was a price none has ended.
    assert export_catalogue() == text.replace("    prices: none\n", "")


def test_a_row_that_no_file_can_say_is_named(root: Client) -> None:
    Provider.objects.update(max_concurrency=0)
    page = root.get("/admin/providers/refresh/export/", follow=True).content.decode()
    assert "cannot be said in a file: providers[0].max_concurrency" in page


def test_rejected_changes_do_not_come_back_by_themselves(root: Client) -> None:
    refresh, marks = proposed(root)
    decide(root, refresh, "reject", marks["price changed acme/large at acme"])
    refresh.refresh_from_db()
    assert marks["price changed acme/large at acme"] not in {one.mark for one in refreshes.open_changes(refresh)}


def test_thousands_of_changes_are_decided_in_turns(root: Client) -> None:
    rows = "".join(
        f"  - {{slug: beta/m{n}, name: M, context_length: 8192, input_modalities: [text], output_modalities: [text],\n"
        f'     endpoints: [{{provider: acme, upstream_model: m{n}, prices: {{prompt: "0", completion: "0"}}}}]}}\n'
        for n in range(700)
    )
    refresh, first = proposed(root, BEFORE + rows)
    assert "2100 changes to decide on, the first 2000 of them here" in root.get(page_of(refresh)).content.decode()
    decide(root, refresh, "accept", *first.values())
    decide(root, refresh, "accept", *marks_of(root, refresh).values())
    refresh.refresh_from_db()
    assert (refresh.state, Price.objects.filter(endpoint__model__slug__startswith="beta/").count()) == ("closed", 700)
