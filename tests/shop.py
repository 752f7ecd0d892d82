"""A person at a running product: logged in, and sending its forms as a browser does."""

import re

import httpx

from tests.services import Product

PASSWORD = "corridor-lantern-42"
USER = """
from accounts.models import User
from allauth.account.models import EmailAddress
user = User.objects.create_user("{email}", "{password}")
EmailAddress.objects.create(user=user, email=user.email, verified=True, primary=True)
"""


def logged_in(shop: Product, email: str) -> httpx.Client:
    shop.manage("shell", "-c", USER.format(email=email, password=PASSWORD))
    client = httpx.Client(base_url=shop.url, follow_redirects=True, timeout=30)
    assert post(client, "/login", login=email, password=PASSWORD).url.path == "/dashboard"
    return client


def post(client: httpx.Client, path: str, **fields: str) -> httpx.Response:
    """A form as a browser sends it."""
    page = client.get("/login" if path == "/login" else "/credits")
    token = re.search(r'name="csrfmiddlewaretoken" value="(\w+)"', page.text)
    assert token
    return client.post(
        path, data={**fields, "csrfmiddlewaretoken": token[1]}, headers={"Referer": str(client.base_url)}
    )
