"""manage.py issue_key."""

from typing import Any

import pytest
from django.core.management import CommandError, call_command

from accounts import keys
from accounts.models import ApiKey, User
from billing.models import LedgerEntry, Wallet
from tests.services import Product
from tests.upstream import Upstream

pytestmark = pytest.mark.thorough


def test_the_key_is_all_of_stdout_and_works_at_once(shared: Product, script: Upstream) -> None:
    done = shared.manage("issue_key", "--email", "Grace@Example.com", "--credits", "0.5")
    key = done.stdout.removesuffix("\n")
    assert keys.is_well_formed(key)
    assert done.stderr == ""
    assert shared.ask(key).status_code == 200
    with shared.api(key) as api:
        credits = api.get("/credits").json()["data"]
    assert credits == {"total_credits": 0.5, "total_usage": pytest.approx(0.000018)}


def test_a_mistake_is_one_line_on_stderr(shared: Product) -> None:
    done = shared.manage("issue_key", "--email", "nobody", check=False)
    assert done.returncode == 1
    assert done.stdout == ""
    assert done.stderr == "CommandError: --email: 'nobody' is not an e-mail address.\n"


def issue(capsys: pytest.CaptureFixture[str], **options: Any) -> str:
    call_command("issue_key", **{"email": "heidi@example.com"} | options)
    return capsys.readouterr().out.strip()


@pytest.mark.django_db
def test_credits_are_granted_each_time_by_a_posting(capsys: pytest.CaptureFixture[str]) -> None:
    first, second = issue(capsys, credits="1.5"), issue(capsys, credits="0.000000001")
    assert first != second
    organization = User.objects.get(email="heidi@example.com").personal_organization
    assert Wallet.objects.get(organization=organization).credit == 1_500_000_001
    entries = LedgerEntry.objects.filter(organization=organization)
    assert sorted(entries.values_list("account", "amount")) == [
        ("grants", -1_500_000_000),
        ("grants", -1),
        ("wallet", 1),
        ("wallet", 1_500_000_000),
    ]


@pytest.mark.django_db
def test_without_credits_only_a_key_is_made(capsys: pytest.CaptureFixture[str]) -> None:
    key = ApiKey.objects.get(hash=keys.digest(issue(capsys)))
    assert key.organization == User.objects.get(email="heidi@example.com").personal_organization
    assert key.is_management is False
    assert LedgerEntry.objects.count() == 0


@pytest.mark.django_db
def test_a_management_key(capsys: pytest.CaptureFixture[str]) -> None:
    assert ApiKey.objects.get(hash=keys.digest(issue(capsys, management=True))).is_management is True


@pytest.mark.django_db
def test_the_key_itself_is_stored_nowhere(capsys: pytest.CaptureFixture[str]) -> None:
    token = issue(capsys)
    row = ApiKey.objects.filter(hash=keys.digest(token)).values().get()
    assert token not in str(row)
    assert row["label"] == f"{token[:12]}...{token[-3:]}"


@pytest.mark.django_db
@pytest.mark.parametrize("email", ["", "nobody", "a@b", "a b@example.com", "a@example.com\nb@example.com"])
def test_a_bad_email_changes_nothing(email: str) -> None:
    with pytest.raises(CommandError, match="--email"):
        call_command("issue_key", email=email, credits="5")
    assert User.objects.count() == ApiKey.objects.count() == 0


@pytest.mark.django_db
@pytest.mark.parametrize(
    "credits", ["0", "-1", "five", "", "NaN", "Infinity", "1e30", "0.0000000001", "$5", "1000000001"]
)
def test_bad_credits_change_nothing(credits: str) -> None:
    with pytest.raises(CommandError, match="--credits"):
        call_command("issue_key", email="ivan@example.com", credits=credits)
    assert User.objects.count() == ApiKey.objects.count() == 0
