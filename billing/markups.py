"""What customers pay on top of list prices, as gateway processes keep it in memory. Markups are in millionths."""

from uuid import UUID

from django.conf import settings
from msgspec import Struct

from billing.models import Markup

Own = dict[str, int]
"""By model; "" is every model without one of its own."""


class Markups(Struct, frozen=True):
    default: int = 0
    of_models: Own = {}
    of_organizations: dict[UUID, Own] = {}

    def on(self, model: str, own: Own) -> int:
        """The organization's for the model, the organization's, the model's, or everybody's."""
        for found in (own.get(model), own.get(""), self.of_models.get(model)):
            if found is not None:
                return found
        return self.default


def load() -> Markups:
    of_models: Own = {}
    of_organizations: dict[UUID, Own] = {}
    for organization, model, millionths in Markup.objects.values_list("organization_id", "model", "millionths"):
        own = of_models if organization is None else of_organizations.setdefault(organization, {})
        own[model] = millionths
    return Markups(of_models.pop("", settings.MARKUP_MILLIONTHS), of_models, of_organizations)
