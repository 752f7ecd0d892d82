"""Vendors that answer with recorded payloads, for the whole folder."""

from collections.abc import Iterator

import pytest

from tests.compatibility import vendors
from tests.compatibility.vendors import Running


@pytest.fixture(scope="session")
def vendor() -> Iterator[Running]:
    with vendors.running() as process:
        yield process
