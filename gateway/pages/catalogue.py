"""Home, the models with filters and side by side, a model with its endpoints, rankings: for everybody."""

from collections.abc import Mapping
from typing import Any

from django.conf import settings
from django.http import Http404, HttpRequest, HttpResponse
from django.shortcuts import render
from django.utils.cache import patch_vary_headers
from django.views.decorators.http import require_safe
from msgspec import Struct

from accounts import access, visitors
from billing import usage
from billing.markups import load
from gateway.api.model_query import SORTS, select
from gateway.api.models import known
from gateway.customers import Customers
from gateway.errors import ApiError
from gateway.pages import speed, uptime
from gateway.pages.tenant import membership
from providers import loading
from providers.models import INPUT_MODALITIES, OUTPUT_MODALITIES, Uptime
from providers.pricing import Price
from providers.snapshot import Endpoint, Model, Snapshot

MAX_QUERY = 100
MAX_COMPARED = 4
MAX_RANKED = 50
EXAMPLE = "author/model"
# What the form offers of the API's filters, which the page's address may use all of.
CONTEXTS = (("32000", "32K"), ("128000", "128K"), ("200000", "200K"), ("1000000", "1M"))
PARAMETERS = ("tools", "reasoning", "structured_outputs", "response_format", "logprobs", "seed")
ORDERS = {
    "": "Newest",
    "most-popular": "Most used this week",
    "pricing-low-to-high": "Cheapest first",
    "pricing-high-to-low": "Dearest first",
    "context-high-to-low": "Longest context",
    "throughput-high-to-low": "Fastest",
    "latency-low-to-high": "Soonest first token",
}
SPANS = {"day": 1, "week": 7, "month": 30}


class Row(Struct, frozen=True):
    """A model as the list shows it."""

    slug: str
    name: str
    context_length: int
    routable: tuple[Endpoint, ...]
    cheapest: Price
    model: Model


@require_safe
def home(request: HttpRequest) -> HttpResponse:
    found = rows(catalogue(request))
    endpoints = [endpoint for row in found for endpoint in row.routable]
    context = {
        "public_url": settings.PUBLIC_URL,
        "example": example(catalogue(request)),
        "model_count": len(found),
        "endpoint_count": len(endpoints),
        "provider_count": len({endpoint.provider.slug for endpoint in endpoints}),
        "can_try": request.user.is_authenticated or bool(for_visitors(catalogue(request))),
    }
    return render(request, "pages/home.html", context)


@require_safe
def models(request: HttpRequest) -> HttpResponse:
    """The whole page, or its list alone when htmx asks while somebody types."""
    asked = {name: request.GET[name].strip()[:MAX_QUERY] for name in request.GET if request.GET[name].strip()}
    found = catalogue(request)
    problem = ""
    try:
        shown = select(found.models.values(), {"output_modalities": "all"} | asked, known(uptime.monitor(request)))
    except ApiError as error:
        shown, problem = [], error.message
    context = {
        "models": as_rows(shown),
        "asked": asked,
        "is_filtered": bool(asked.keys() - {"sort"}),
        "problem": problem,
        "orders": {name: label for name, label in ORDERS.items() if not name or name in SORTS},
        "inputs": INPUT_MODALITIES,
        "outputs": OUTPUT_MODALITIES,
        "contexts": CONTEXTS,
        "parameters": PARAMETERS,
        "providers": sorted(
            {(endpoint.provider.slug, endpoint.provider.name) for row in rows(found) for endpoint in row.routable}
        ),
        "authors": sorted({row.slug.partition("/")[0] for row in rows(found)}),
        "most": MAX_COMPARED,
    }
    template = "pages/models_list.html" if request.headers.get("HX-Request") else "pages/models.html"
    response = render(request, template, context)
    # A browser that goes back must not be given the list for the page.
    patch_vary_headers(response, ["HX-Request"])
    return response


@require_safe
def compare(request: HttpRequest) -> HttpResponse:
    """`models` names up to four."""
    found = catalogue(request).models
    chosen = [found[slug] for slug in dict.fromkeys(request.GET.getlist("models")) if slug in found]
    return render(request, "pages/compare.html", {"models": as_rows(chosen)[:MAX_COMPARED]})


@require_safe
def model(request: HttpRequest, slug: str) -> HttpResponse:
    found = catalogue(request).models.get(slug)
    if found is None:
        raise Http404
    endpoints = sorted(found.routable, key=lambda endpoint: (price_of(endpoint.price), endpoint.tag))
    ids = [endpoint.id for endpoint in endpoints]
    live, history = uptime.figures(request, ids), uptime.histories("endpoint", ids)
    day = Uptime.objects.last_day("endpoint")
    bars = speed.bars(found.slug)
    context = {
        "model": found,
        "endpoints": endpoints,
        "live": [(endpoint, live[endpoint.id], day.get(endpoint.id), history[endpoint.id]) for endpoint in endpoints],
        "bars": bars,
        "tokens_known": any(bar.tokens for bar in bars),
        "charts": speed.charts(endpoints),
        "public_url": settings.PUBLIC_URL,
        "may_create": request.user.is_authenticated and access.may_create_key(membership(request)),
    }
    return render(request, "pages/model.html", context)


@require_safe
def rankings(request: HttpRequest) -> HttpResponse:
    """By tokens of all organizations together."""
    span = request.GET.get("span", "week")
    span = span if span in SPANS else "week"
    tokens = usage.tokens_by_model(days=SPANS[span])
    return render(request, "pages/rankings.html", {"span": span, "spans": SPANS, **ranked(tokens, catalogue(request))})


def ranked(tokens: Mapping[str, int], found: Snapshot) -> dict[str, Any]:
    """Names and shares of what the catalogue knows; what is asked for by a name that it does not have is not told."""
    named = {slug: count for slug, count in tokens.items() if slug in found.models and count}
    total = sum(named.values())
    authors: dict[str, int] = {}
    for slug, count in named.items():
        author = slug.partition("/")[0]
        authors[author] = authors.get(author, 0) + count
    return {
        "models": [(found.models[slug], count, share(count, total)) for slug, count in most_first(named)],
        "authors": [(author, count, share(count, total)) for author, count in most_first(authors)],
    }


def most_first(counts: Mapping[str, int]) -> list[tuple[str, int]]:
    return sorted(counts.items(), key=lambda item: (-item[1], item[0]))[:MAX_RANKED]


def share(count: int, total: int) -> str:
    return f"{100 * count / total:.1f}"


def catalogue(request: HttpRequest) -> Snapshot:
    """What this process routes by; read from the tables where no process's services are (runserver, test client)."""
    state = getattr(request, "scope", {}).get("state", {})
    customers: Customers = state["services"].customers if "services" in state else Customers(loading.load(), load())
    return customers.everybody


def example(found: Snapshot) -> str:
    """A model to begin with: one that is free or cheap."""
    cheapest = min(rows(found), key=lambda row: (price_of(row.cheapest), row.slug), default=None)
    return cheapest.slug if cheapest else EXAMPLE


def rows(found: Snapshot) -> list[Row]:
    """The models that can be called, newest first."""
    return as_rows(sorted(found.models.values(), key=lambda model: (-model.released_at.timestamp(), model.slug)))


def for_visitors(found: Snapshot) -> list[Row]:
    """What they may try without an account: none unless somebody pays for it."""
    if visitors.payer() is None:
        return []
    return [row for row in rows(found) if any(one.provider.slug == visitors.PROVIDER for one in row.routable)]


def as_rows(models: list[Model]) -> list[Row]:
    return [row for model in models if (row := as_row(model))]


def as_row(model: Model) -> Row | None:
    routable = model.routable
    prices = [endpoint.price for endpoint in routable if endpoint.price]
    if not prices:
        return None
    return Row(model.slug, model.name, model.context_length, routable, min(prices, key=price_of), model)


def price_of(price: Price | None) -> int:
    return price.prompt + price.completion if price else 0
