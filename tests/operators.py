"""An operator at the admin of a running product, as a browser would be: a session, its cookies, its forms' token."""

from typing import Any

import httpx

from tests.services import Product

LOG_IN = """
from importlib import import_module
from django.conf import settings
from django.contrib.auth import BACKEND_SESSION_KEY, HASH_SESSION_KEY, SESSION_KEY
from accounts.models import User
user = User.objects.filter(email="root@example.com").first() or User.objects.create_superuser("root@example.com")
store = import_module(settings.SESSION_ENGINE).SessionStore()
store[SESSION_KEY] = str(user.pk)
store[BACKEND_SESSION_KEY] = settings.AUTHENTICATION_BACKENDS[0]
store[HASH_SESSION_KEY] = user.get_session_auth_hash()
store.create()
print(store.session_key)
"""


class Operator:
    def __init__(self, product: Product) -> None:
        self.session = product.manage("shell", "--verbosity", "0", "-c", LOG_IN).stdout.split()[-1]
        self.client = httpx.Client(base_url=product.url, cookies={"sessionid": self.session}, timeout=30)

    def page(self, path: str) -> str:
        response = self.client.get(path)
        assert response.status_code == 200, f"{path}: {response.status_code}"
        return response.text

    def post(self, path: str, data: dict[str, Any] | None = None, files: Any = None) -> httpx.Response:
        if "csrftoken" not in self.client.cookies:
            self.page("/admin/password_change/")
        token = {"X-CSRFToken": self.client.cookies["csrftoken"]}
        return self.client.post(path, data=data, files=files, headers=token)

    def act(self, path: str, action: str, *ids: object) -> None:
        """A bulk action of a list."""
        response = self.post(path, {"action": action, "_selected_action": [str(one) for one in ids]})
        assert response.status_code == 302, response.text
