"""Servers for every test, and `product`: a factory of gateways that run as they do in production."""

from collections.abc import Callable, Iterator
from contextlib import ExitStack
from functools import partial

import pytest
from django.db import connections

from tests import isolation
from tests.services import TEMPLATE, Product, Servers, running


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
def product(servers: Servers) -> Iterator[Callable[..., Product]]:
    """`product(catalogue=…, env=…, web=…, worker=…)` starts a gateway for this test; as often as it needs."""
    with ExitStack() as stack:
        start = partial(running, servers)
        yield lambda **options: stack.enter_context(start(**options))
