"""OpenRouter's other paths say that they are not here; docs/compatibility.md lists them."""

import re

import httpx
import pytest

from gateway.api import inference_urls, urls
from tests.compatibility.absent import each

pytestmark = pytest.mark.thorough


def shape(path: str) -> str:
    """Whatever its variables are called."""
    return re.sub(r"<[^>]*>|{[^}]*}", "*", path)


@pytest.mark.parametrize(("method", "path"), each())
def test_it_is_404_in_the_envelope(api: httpx.Client, method: str, path: str) -> None:
    sent = re.sub(r"{[^}]*}", "some-1", path)
    response = api.request(method, httpx.URL(api.base_url).copy_with(path=sent))
    body = response.json()
    assert (response.status_code, body["error"]["message"]) == (404, f"There is no {method} {sent}.")
    if path.startswith("/api/v1/messages/"):
        assert (body["type"], body["error"]["type"]) == ("error", "not_found_error")
    else:
        assert (body["error"]["code"], body["error"]["metadata"]) == (404, {"error_type": "not_found"})
    assert response.headers["Content-Type"] == "application/json"
    assert response.headers["Access-Control-Allow-Origin"] == "*"


def test_what_is_served_is_not_listed() -> None:
    served = {f"/api/v1/{found.pattern}" for found in urls.urlpatterns}
    served |= {f"/{found.pattern}" for found in inference_urls.urlpatterns}
    assert {shape(path) for path in served} & {shape(path) for _, path in each()} == set()
    assert len(each()) == len(set(each()))
