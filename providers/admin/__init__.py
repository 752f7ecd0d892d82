"""The catalogue in Django's admin. Secrets are write-only; prices are a history that only grows."""

from providers.admin import endpoints, models, prices, providers, refreshes

__all__ = ["endpoints", "models", "prices", "providers", "refreshes"]
