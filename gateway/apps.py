from allauth.account.apps import AccountConfig
from django.apps import AppConfig


class GatewayConfig(AppConfig):
    name = "gateway"

    def ready(self) -> None:
        # System checks register on import, once apps are loaded; tasks are queued by the application that is there.
        from gateway import celery, checks  # noqa: F401


class AddressesConfig(AccountConfig):  # type: ignore[misc]  # allauth has no types
    """allauth's own calls itself "Accounts" too."""

    verbose_name = "E-mail addresses"
