"""OAuth PKCE: a person agrees on /auth, an application exchanges the code for a key that works."""

import hashlib
import re
from base64 import urlsafe_b64encode
from concurrent.futures import ThreadPoolExecutor
from datetime import timedelta
from typing import Any
from urllib.parse import parse_qs, urlencode, urlsplit

import httpx
import pytest
from django.core.cache import cache
from django.test import Client
from django.utils import timezone

from accounts import codes, keys
from accounts.models import ApiKey, AuditEvent, AuthorizationCode, Membership, User
from tests.services import Product
from tests.upstream import Upstream

pytestmark = pytest.mark.thorough

VERIFIER = "a-verifier-of-the-application-that-is-long-enough"
CHALLENGE = urlsafe_b64encode(hashlib.sha256(VERIFIER.encode()).digest()).rstrip(b"=").decode()
CALLBACK = "https://app.example/done?state=7"


@pytest.fixture
def alice(db: None) -> User:
    cache.clear()
    return User.objects.create_user("alice@example.com")


@pytest.fixture
def browser(alice: User) -> Client:
    client = Client()
    client.force_login(alice)
    return client


def link(**parameters: str) -> str:
    return f"/auth?{urlencode(parameters)}"


def agreed(client: Client, *, form: dict[str, str] | None = None, **parameters: str) -> Any:
    filled = {"name": "app", "limit": "", "limit_reset": "", "expires_at": ""} | (form or {})
    return client.post(link(**parameters), filled)


def code_of(response: Any) -> str:
    assert response.status_code == 302
    code: str = parse_qs(urlsplit(response["Location"]).query)["code"][0]
    return code


def exchanged(**body: str) -> Any:
    return Client().post("/api/v1/auth/keys", body, content_type="application/json")


def test_a_code_becomes_a_key_with_what_the_person_chose(browser: Client, alice: User) -> None:
    form = {"name": "My app", "limit": "5", "limit_reset": "monthly", "expires_at": "2099-01-01T00:00"}
    response = agreed(browser, form=form, callback_url=CALLBACK, code_challenge=CHALLENGE, code_challenge_method="S256")
    assert response["Location"].startswith(f"{CALLBACK}&code=")
    answer = exchanged(code=code_of(response), code_verifier=VERIFIER, code_challenge_method="S256")
    assert answer.status_code == 200, answer.content
    assert answer.json()["user_id"] == str(alice.pk)
    key = ApiKey.objects.live().get(hash=keys.digest(answer.json()["key"]))
    assert (key.name, key.limit_nano, key.limit_reset, key.is_management) == ("My app", 5 * 10**9, "monthly", False)
    assert (key.organization, key.created_by, key.expires_at.year) == (alice.personal_organization, alice, 2099)  # type: ignore[union-attr]
    event = AuditEvent.objects.get(target_id=str(key.pk))
    assert (event.verb, event.details["by"]) == ("create", "authorization code")


def test_a_code_works_once(browser: Client) -> None:
    code = code_of(agreed(browser, callback_url=CALLBACK))
    assert exchanged(code=code).status_code == 200
    assert exchanged(code=code).status_code == 403
    assert ApiKey.objects.count() == 1


@pytest.mark.parametrize(
    ("body", "status"),
    [
        ({}, 403),
        ({"code_verifier": "wrong"}, 403),
        ({"code_verifier": VERIFIER, "code_challenge_method": "plain"}, 400),
        ({"code_verifier": CHALLENGE}, 403),
        ({"code_verifier": VERIFIER}, 200),
    ],
)
def test_only_who_has_the_verifier_gets_the_key(browser: Client, body: dict[str, str], status: int) -> None:
    response = agreed(browser, callback_url=CALLBACK, code_challenge=CHALLENGE, code_challenge_method="S256")
    code = code_of(response)
    answer = exchanged(code=code, **body)
    assert answer.status_code == status
    if status != 200:
        assert answer.json()["error"]["code"] == status
        # The mistake has not used it up.
        assert exchanged(code=code, code_verifier=VERIFIER).status_code == 200


def test_a_plain_challenge_is_the_verifier(browser: Client) -> None:
    code = code_of(agreed(browser, callback_url=CALLBACK, code_challenge=VERIFIER))
    assert exchanged(code=code, code_verifier="other").status_code == 403
    assert exchanged(code=code, code_verifier=VERIFIER, code_challenge_method="plain").status_code == 200


def test_a_code_lives_ten_minutes(browser: Client) -> None:
    code = code_of(agreed(browser, callback_url=CALLBACK))
    AuthorizationCode.objects.update(expires_at=timezone.now() - timedelta(seconds=1))
    assert exchanged(code=code).status_code == 403
    codes.prune()
    assert not AuthorizationCode.objects.exists()


def test_without_a_callback_the_code_is_shown(browser: Client) -> None:
    page = agreed(browser, code_challenge=CHALLENGE, code_challenge_method="S256").content.decode()
    found = re.search(r'id="code"[^>]*>([\w-]{43})<', page)
    assert found
    assert exchanged(code=found[1], code_verifier=VERIFIER).status_code == 200


@pytest.mark.parametrize(
    ("parameters", "named"),
    [
        ({}, "code_challenge"),
        ({"callback_url": "http://app.example/"}, "callback_url"),
        ({"callback_url": "javascript:alert(1)"}, "callback_url"),
        ({"callback_url": "https://user@app.example/"}, "callback_url"),
        ({"callback_url": "https://app.example;script-src *"}, "callback_url"),
        ({"callback_url": "https://app.example:port/"}, "callback_url"),
        ({"callback_url": "https:///nowhere"}, "callback_url"),
        ({"callback_url": CALLBACK, "code_challenge": "x" * 129}, "code_challenge"),
        ({"callback_url": CALLBACK, "code_challenge": "x", "code_challenge_method": "md5"}, "code_challenge_method"),
    ],
)
def test_a_wrong_link_is_told_and_leads_nowhere(browser: Client, parameters: dict[str, str], named: str) -> None:
    for response in (browser.get(link(**parameters)), browser.post(link(**parameters), {"name": "app"})):
        assert response.status_code == 400
        assert named in response.content.decode()
    assert not AuthorizationCode.objects.exists()


@pytest.mark.parametrize("callback", ["http://localhost:3000/cb", "http://127.0.0.1:9/cb", "http://[::1]:9/cb"])
def test_a_program_on_the_persons_machine_may_ask(browser: Client, callback: str) -> None:
    assert agreed(browser, callback_url=callback)["Location"].startswith(f"{callback}?code=")


def test_the_form_may_lead_to_the_application_and_nowhere_else(browser: Client) -> None:
    response = browser.get(link(callback_url=CALLBACK))
    assert "https://app.example" in response.content.decode()
    policy = dict(part.strip().split(" ", 1) for part in response["Content-Security-Policy"].split(";"))
    assert policy["form-action"] == "'self' https://app.example"
    assert policy["script-src"] == "'self'"


def test_agreeing_takes_a_person_who_may_make_keys(alice: User) -> None:
    assert Client().get(link(callback_url=CALLBACK))["Location"].startswith("/login?next=/auth%3Fcallback_url")
    viewer = User.objects.create_user("eve@example.com")
    organization = alice.personal_organization
    Membership.objects.create(organization=organization, user=viewer, role=Membership.Role.VIEWER)
    client = Client()
    client.force_login(viewer)
    client.post("/organization", {"organization": str(organization.pk)})
    assert agreed(client, callback_url=CALLBACK).status_code == 403
    assert not AuthorizationCode.objects.exists()


def created(token: str, **body: Any) -> Any:
    headers = {"Authorization": f"Bearer {token}"}
    return Client().post("/api/v1/auth/keys/code", body, content_type="application/json", headers=headers)


def test_a_server_makes_a_code_with_its_key(alice: User) -> None:
    _, token = keys.issue(alice.personal_organization, name="server", created_by=alice)
    answer = created(token, callback_url=CALLBACK, limit=2.5, usage_limit_type="weekly", key_label="theirs")
    assert answer.status_code == 200, answer.content
    assert isinstance(answer.json()["data"]["app_id"], int)
    key = ApiKey.objects.get(hash=keys.digest(exchanged(code=answer.json()["data"]["id"]).json()["key"]))
    assert (key.name, key.limit_nano, key.limit_reset) == ("theirs", 2_500_000_000, "weekly")
    assert key.organization == alice.personal_organization


def test_a_limited_key_hands_out_none(alice: User) -> None:
    _, token = keys.issue(alice.personal_organization, name="server", limit_nano=1)
    assert created(token, callback_url=CALLBACK).status_code == 403


@pytest.mark.parametrize(
    ("body", "named"),
    [
        ({}, "callback_url"),
        ({"callback_url": "http://app.example"}, "callback_url"),
        ({"callback_url": CALLBACK, "limit": -1}, "limit"),
        ({"callback_url": CALLBACK, "usage_limit_type": "hourly"}, "usage_limit_type"),
        ({"callback_url": CALLBACK, "key_label": "x" * 101}, "key_label"),
        ({"callback_url": CALLBACK, "expires_at": "2001-01-01T00:00:00Z"}, "expires_at"),
        ({"callback_url": CALLBACK, "code_challenge_method": "md5"}, "code_challenge_method"),
    ],
)
def test_a_wrong_field_is_named(alice: User, body: dict[str, Any], named: str) -> None:
    _, token = keys.issue(alice.personal_organization, name="server")
    answer = created(token, **body)
    assert answer.status_code == 400
    assert answer.json()["error"]["message"].startswith(f"{named}:")


@pytest.mark.parametrize("path", ["/api/v1/auth/keys", "/api/v1/auth/keys/code"])
def test_another_method_is_405(db: None, path: str) -> None:
    assert Client().get(path).json()["error"]["code"] == 405


@pytest.fixture
def served_code(shared: Product) -> str:
    headers = {"Authorization": f"Bearer {shared.issue_key()}"}
    body = {"callback_url": "http://localhost:1/cb", "code_challenge": CHALLENGE, "code_challenge_method": "S256"}
    code: str = httpx.post(f"{shared.url}/api/v1/auth/keys/code", json=body, headers=headers).json()["data"]["id"]
    return code


def test_the_key_answers_requests(shared: Product, script: Upstream, served_code: str) -> None:
    """Through the running product, as an application without a browser has it."""
    key = httpx.post(f"{shared.url}/api/v1/auth/keys", json={"code": served_code, "code_verifier": VERIFIER}).json()
    answer = shared.ask(key["key"])
    assert answer.status_code == 200, answer.text


def test_exchanges_at_once_make_one_key(shared: Product, served_code: str) -> None:
    def exchange(_: int) -> int:
        body = {"code": served_code, "code_verifier": VERIFIER}
        return httpx.post(f"{shared.url}/api/v1/auth/keys", json=body).status_code

    with ThreadPoolExecutor(8) as pool:
        assert sorted(pool.map(exchange, range(8))) == [200] + [403] * 7
