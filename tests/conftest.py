"""Servers for every test, and `product`: a factory of gateways that run as they do in production."""

from collections.abc import Callable, Iterator
from contextlib import ExitStack
from functools import partial
from typing import Any

import pytest
from django.contrib.auth import get_user_model
from django.core.cache import cache
from django.db import connections
from django.test import Client
from playwright.sync_api import Browser

from tests import browsing, isolation
from tests import mailbox as mailboxes
from tests.mailbox import Mailbox
from tests.services import TEMPLATE, Product, Servers, running


@pytest.hookimpl(trylast=True)
def pytest_collection_modifyitems(items: list[pytest.Item]) -> None:
    """Files that take long come first: at the end none of the processes is alone with one."""
    long = {item.path for item in items if any(map(item.get_closest_marker, ("slow", "thorough")))}
    items.sort(key=lambda item: item.path not in long)


@pytest.fixture(scope="session")
def servers() -> Iterator[Servers]:
    servers = Servers(isolation.DIRECTORY)
    try:
        servers.start()
        yield servers
    finally:
        servers.stop()


@pytest.fixture(scope="session")
def django_db_modify_db_settings(servers: Servers) -> None:
    """pytest-django's database is a copy of the migrated one."""
    connections["default"].settings_dict["TEST"]["TEMPLATE"] = TEMPLATE


@pytest.fixture
def root(db: None) -> Client:
    """A superuser's browser."""
    client = Client()
    client.force_login(get_user_model().objects.create_superuser("root@example.com"))
    return client


@pytest.fixture
def at_ease(db: None, settings: Any) -> None:
    """Nothing counted by limits yet; hashing that takes no time; links that lead to turnpike.example."""
    cache.clear()
    settings.PASSWORD_HASHERS = ["django.contrib.auth.hashers.MD5PasswordHasher"]
    settings.PUBLIC_URL = "https://turnpike.example"


@pytest.fixture
def product(servers: Servers) -> Iterator[Callable[..., Product]]:
    """`product(catalogue=…, env=…, web=…, worker=…)` starts a gateway for this test; as often as it needs."""
    with ExitStack() as stack:
        start = partial(running, servers)
        yield lambda **options: stack.enter_context(start(**options))


@pytest.fixture(scope="module")
def chromium() -> Iterator[Browser]:
    with browsing.launched() as browser:
        yield browser


@pytest.fixture(scope="module")
def mailbox() -> Iterator[tuple[Mailbox, int]]:
    with mailboxes.running() as box:
        yield box
