"""Tenant data is reached through the guards: no view names a table of tenants without one."""

import ast
from collections.abc import Iterator
from pathlib import Path

import pytest
from django.apps import apps
from django.db.models import Model

from accounts.models import Organization, User
from gateway.local.environment import ROOT

VIEWS = sorted([*(ROOT / "gateway/api").glob("*.py"), *(ROOT / "gateway/pages").glob("*.py")])
MANAGERS = ("objects", "_default_manager")
# What a guard takes as its first argument may name a table: it is narrowed to one organization at once.
GUARD = "in_organization"
# Signing up makes the first organization of a user, who has nothing yet.
ALLOWED = {("adapter.py", "Organization.objects.create_personal")}


def tenant_models() -> set[str]:
    def is_tenants(model: type[Model]) -> bool:
        names = {field.name for field in model._meta.get_fields()}
        return model in (Organization, User) or bool(names & {"organization", "organization_id"})

    ours = (model for app in ("accounts", "billing", "gateway") for model in apps.get_app_config(app).get_models())
    return {model.__name__ for model in ours if is_tenants(model)} | {"Budget", "LedgerEntry"}


def guarded(tree: ast.AST) -> set[ast.AST]:
    """Everything inside the first argument of a guard."""
    calls = (node for node in ast.walk(tree) if isinstance(node, ast.Call) and node.args)
    firsts = (call.args[0] for call in calls if ast.unparse(call.func).split(".")[-1] == GUARD)
    return {node for first in firsts for node in ast.walk(first)}


def unguarded(source: str) -> Iterator[str]:
    tree = ast.parse(source)
    inside, tenants = guarded(tree), tenant_models()
    parents = {child: parent for parent in ast.walk(tree) for child in ast.iter_child_nodes(parent)}
    managers = (node for node in ast.walk(tree) if isinstance(node, ast.Attribute) and node.attr in MANAGERS)
    for node in managers:
        if node not in inside and ast.unparse(node.value).split(".")[-1] in tenants:
            parent = parents[node]
            yield ast.unparse(parent if isinstance(parent, ast.Attribute) else node)


@pytest.mark.parametrize("file", VIEWS, ids=lambda file: f"{file.parent.name}/{file.name}")
def test_views_reach_tenants_through_guards(file: Path) -> None:
    found = {(file.name, text) for text in unguarded(file.read_text())}
    assert found <= ALLOWED, f"reach these through accounts/access.py: {sorted(found - ALLOWED)}"


@pytest.mark.parametrize(
    "source",
    [
        "ApiKey.objects.get(id=id)",
        "models.Wallet.objects.filter(organization=x).first()",
        "access.in_organization(rows, Generation.objects.first().organization_id)",
        "Organization._default_manager.all()",
        "Budget.objects.filter(pk=1)",
    ],
)
def test_it_finds_what_goes_past_them(source: str) -> None:
    assert list(unguarded(source))


def test_it_lets_through_what_is_narrowed_at_once() -> None:
    assert not list(unguarded("access.in_organization(Generation.objects.order_by('-id'), member.organization_id)"))
