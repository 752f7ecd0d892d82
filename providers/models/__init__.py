"""What can be called: providers, models, endpoints, credentials and prices."""

from providers.models.catalogue import (
    INPUT_MODALITIES,
    OUTPUT_MODALITIES,
    SERVICE_TIERS,
    Credential,
    Endpoint,
    Model,
    Provider,
    model_slug,
    slug,
    tag,
)
from providers.models.prices import Price, PriceMark
from providers.models.refreshes import Refresh
from providers.models.uptime import Incident, Probe, Uptime

__all__ = [
    "INPUT_MODALITIES",
    "OUTPUT_MODALITIES",
    "SERVICE_TIERS",
    "Credential",
    "Endpoint",
    "Incident",
    "Model",
    "Price",
    "PriceMark",
    "Probe",
    "Provider",
    "Refresh",
    "Uptime",
    "model_slug",
    "slug",
    "tag",
]
