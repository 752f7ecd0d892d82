"""Home, the list of models, and a model with its endpoints: for everybody, from the catalogue that requests run by."""

from django.conf import settings
from django.http import Http404, HttpRequest, HttpResponse
from django.shortcuts import render
from django.views.decorators.http import require_safe
from msgspec import Struct

from billing.markups import load
from gateway.customers import Customers
from providers import snapshot
from providers.pricing import Price
from providers.snapshot import Endpoint, Model, Snapshot

MAX_QUERY = 100
EXAMPLE = "author/model"


class Row(Struct, frozen=True):
    """A model as the list shows it."""

    slug: str
    name: str
    context_length: int
    routable: tuple[Endpoint, ...]
    cheapest: Price


@require_safe
def home(request: HttpRequest) -> HttpResponse:
    found = rows(catalogue(request))
    endpoints = [endpoint for row in found for endpoint in row.routable]
    example = min(found, key=lambda row: (price_of(row.cheapest), row.slug)).slug if found else EXAMPLE
    context = {
        "public_url": settings.PUBLIC_URL,
        "example": example,
        "model_count": len(found),
        "endpoint_count": len(endpoints),
        "provider_count": len({endpoint.provider.slug for endpoint in endpoints}),
    }
    return render(request, "pages/home.html", context)


@require_safe
def models(request: HttpRequest) -> HttpResponse:
    q = request.GET.get("q", "").strip()[:MAX_QUERY]
    words = q.lower().split()
    found = [row for row in rows(catalogue(request)) if all(word in f"{row.slug} {row.name}".lower() for word in words)]
    return render(request, "pages/models.html", {"models": found, "q": q})


@require_safe
def model(request: HttpRequest, slug: str) -> HttpResponse:
    found = catalogue(request).models.get(slug)
    if found is None:
        raise Http404
    endpoints = sorted(found.routable, key=lambda endpoint: (price_of(endpoint.price), endpoint.tag))
    return render(request, "pages/model.html", {"model": found, "endpoints": endpoints})


def catalogue(request: HttpRequest) -> Snapshot:
    """What this process routes by; read from the tables where no process's services are (runserver, test client)."""
    state = getattr(request, "scope", {}).get("state", {})
    customers: Customers = state["services"].customers if "services" in state else Customers(snapshot.load(), load())
    return customers.everybody


def rows(found: Snapshot) -> list[Row]:
    """The models that can be called, newest first."""
    callable_now = sorted(found.models.values(), key=lambda model: (-model.released_at.timestamp(), model.slug))
    return [row for model in callable_now if (row := as_row(model))]


def as_row(model: Model) -> Row | None:
    routable = model.routable
    prices = [endpoint.price for endpoint in routable if endpoint.price]
    if not prices:
        return None
    return Row(model.slug, model.name, model.context_length, routable, min(prices, key=price_of))


def price_of(price: Price | None) -> int:
    return price.prompt + price.completion if price else 0
