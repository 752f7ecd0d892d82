from allauth.account.apps import AccountConfig
from django.apps import AppConfig


class GatewayConfig(AppConfig):
    name = "gateway"

    def ready(self) -> None:
        from gateway import checks  # noqa: F401  system checks register on import, once apps are loaded


class AddressesConfig(AccountConfig):  # type: ignore[misc]  # allauth has no types
    """allauth's own calls itself "Accounts" too."""

    verbose_name = "E-mail addresses"
