"""The public pages: home, models, a model; and what every page sends with it."""

import re
from datetime import UTC, datetime
from pathlib import Path

import pytest
from django.contrib.auth import get_user_model
from django.test import Client

from accounts.ids import uuid7
from billing.models import UsageDay
from gateway.local.environment import ROOT
from providers.importer import import_catalogue
from tests.gateway.conftest import catalogue

pytestmark = [pytest.mark.thorough, pytest.mark.django_db]


@pytest.fixture(autouse=True)
def imported(db: None) -> None:
    import_catalogue(catalogue("http://127.0.0.1:9/v1"), source="test")


@pytest.mark.parametrize("path", ["/", "/models", "/models/acme/three", "/models/compare", "/rankings"])
def test_works_for_everybody_and_for_reading_only(client: Client, path: str) -> None:
    response = client.get(path)
    assert response.status_code == 200
    assert client.post(path).status_code == 405


def test_home_says_what_can_be_called(client: Client) -> None:
    text = client.get("/").content.decode()
    assert '"model": "acme/one"' in text or "acme/" in text
    assert ">3</p>" in text


def test_models_are_searched_by_all_words(client: Client) -> None:
    found = client.get("/models", {"q": "ACME three"}).content.decode()
    assert "/models/acme/three" in found
    assert "/models/acme/one" not in found
    assert "No model matches" in client.get("/models", {"q": "nothing"}).content.decode()


ALL = -1


@pytest.mark.parametrize(
    ("query", "found"),
    [
        ("max_price=0.5", 0),
        ("max_price=1", ALL),
        ("context=9000", 0),
        ("supported_parameters=tools", ALL),
        ("providers=tertiary", 2),
        ("providers=tertiary&q=other", 1),
        ("input_modalities=audio", 0),
        ("sort=pricing-low-to-high", ALL),
    ],
)
def test_models_are_filtered_and_sorted(client: Client, query: str, found: int) -> None:
    found = client.get("/models").content.decode().count('name="models"') if found == ALL else found
    assert client.get(f"/models?{query}").content.decode().count('name="models"') == found


@pytest.mark.parametrize("query", ["sort=x", "context=x", "zdr=x", "input_modalities=smell"])
def test_a_filter_that_is_none_says_so(client: Client, query: str) -> None:
    response = client.get(f"/models?{query}")
    assert response.status_code == 200
    assert query.split("=")[0] in response.content.decode().split('role="alert"')[1]


def test_typing_gets_the_list_alone(client: Client) -> None:
    response = client.get("/models?q=three", headers={"HX-Request": "true"})
    assert "<html" not in response.content.decode()
    assert "acme/three" in response.content.decode()
    assert "HX-Request" in response["Vary"]


def test_models_stand_side_by_side(client: Client) -> None:
    text = client.get(
        "/models/compare?models=acme/one&models=acme/three&models=acme/none&models=acme/one"
    ).content.decode()
    assert text.count("/models/acme/one") == text.count("/models/acme/three") == 1
    assert "Secondary" in text


def test_a_model_page_has_code_to_begin_with(client: Client) -> None:
    text = client.get("/models/acme/one").content.decode()
    assert text.count("TURNPIKE_API_KEY") == 3
    assert "Sign up for a key" in text


def test_rankings_tell_of_what_the_catalogue_has(client: Client) -> None:
    day = datetime.now(UTC).date()
    sums = dict.fromkeys(
        ("requests", "errors", "reasoning_tokens", "cached_tokens", "charge", "list_charge", "cost"), 0
    )
    for model, tokens in (("acme/one", 300), ("acme/three", 100), ("private/nonsense", 999)):
        UsageDay.objects.create(
            day=day, model=model, organization_id=uuid7(), prompt_tokens=tokens, completion_tokens=0, **sums
        )
    text = client.get("/rankings?span=day").content.decode()
    assert "75.0 %" in text
    assert "25.0 %" in text
    assert "nonsense" not in text
    assert client.get("/rankings?span=x").status_code == 200


def test_a_query_is_shown_as_text(client: Client) -> None:
    assert "<b>x" not in client.get("/models", {"q": "<b>x"}).content.decode()


def test_prices_are_per_million_tokens(client: Client) -> None:
    text = client.get("/models/acme/one").content.decode()
    assert "$1.00" in text
    assert "$2.00" in text
    assert "$0.10" in text


@pytest.mark.parametrize("path", ["/models/acme/none", "/models/x", "/nowhere"])
def test_what_is_not_there_is_a_404_page(client: Client, path: str) -> None:
    response = client.get(path)
    assert response.status_code == 404
    assert "Not found" in response.content.decode()


@pytest.mark.parametrize(
    ("form", "status", "said"),
    [
        ({"login": "a" * 3_000_000}, 413, "What was sent is larger than this page takes."),
        ({f"field-{n}": "" for n in range(3100)}, 400, "Your browser sent something that this server does not take."),
    ],
)
def test_a_form_out_of_proportion_gets_a_page(client: Client, form: dict[str, str], status: int, said: str) -> None:
    response = client.post("/login", form)
    assert response.status_code == status
    assert said in response.content.decode()


def test_pages_allow_no_inline_script_or_style(client: Client) -> None:
    policy = client.get("/")["Content-Security-Policy"]
    assert "default-src 'none'" in policy
    assert "unsafe" not in policy


def templates() -> list[Path]:
    """Ours; the admin has a style of its own."""
    return [file for file in (ROOT / "templates").rglob("*.html") if "admin" not in file.parts]


def test_templates_hold_no_inline_script_or_style() -> None:
    for file in templates():
        assert not re.search(
            r"<style|\sstyle=|\son\w+=|<script(?![^>]*\s(src=|type=\"application/json))", file.read_text()
        ), file


def test_stylesheet_knows_the_classes_of_the_templates() -> None:
    sheet = (ROOT / "static/turnpike.css").read_text().replace("\\", "")
    for file in templates():
        for classes in re.findall(r'class="([^"]*)"', file.read_text()):
            for name in re.sub(r"{%.*?%}|{{.*?}}", " ", classes).split():
                assert f".{name}" in sheet, f"{name} in {file}: run bin/build-css"


def test_the_schedules_form_has_no_inline_script(client: Client) -> None:
    client.force_login(get_user_model().objects.create_superuser(email="root@example.com"))
    text = client.get("/admin/django_celery_beat/periodictask/add/").content.decode()
    assert not re.search(r"<script(?![^>]*\ssrc=)(?![^>]*application/json)", text)
