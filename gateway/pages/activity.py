"""Activity: spend, requests and tokens over time, by model, key, member, provider or app; as CSV too."""

from typing import Any, cast

from django.contrib.auth.decorators import login_required
from django.http import HttpRequest, HttpResponse
from django.shortcuts import render
from django.utils.cache import patch_vary_headers
from django.views.decorators.http import require_safe
from msgspec import Struct

from accounts import access
from accounts.models import Membership
from billing.activity import APP_SPANS, SPANS, Activity, Group, Sums, activity, total
from billing.money import plain
from billing.sheets import sheet
from gateway.pages.chart import HEIGHT
from gateway.pages.tenant import membership

MEASURES = {"charge": "Spend", "requests": "Requests", "tokens": "Tokens"}
# So many have a colour of their own; the rest is one more.
COLOURED = 6


class Piece(Struct, frozen=True):
    """A part of one step's bar."""

    x: str
    y: str
    width: str
    height: str
    colour: int
    name: str
    at: Any
    value: int


class Asked(Struct, frozen=True):
    span: str
    group: Group
    measure: str


@login_required
@require_safe
def activity_page(request: HttpRequest) -> HttpResponse:
    member = membership(request)
    asked = asked_for(request)
    found = activity(member.organization_id, asked.span, asked.group)
    totals = found.totals()
    names = names_of(member, asked.group, list(totals))
    context = {
        "asked": asked,
        "spans": {name: span.label for name, span in SPANS.items() if asked.group != Group.APP or name in APP_SPANS},
        "groups": [group for group in Group if group != Group.APP or asked.span in APP_SPANS],
        "measures": MEASURES,
        "found": found,
        "all": total(list(totals.values())),
        "rows": [
            (number if number < COLOURED else COLOURED, names[name], sums)
            for number, (name, sums) in enumerate(totals.items())
        ],
        "pieces": pieces(found, totals, names, asked.measure),
    }
    template = "pages/activity_chart.html" if request.headers.get("HX-Request") else "pages/activity.html"
    response = render(request, template, context)
    patch_vary_headers(response, ["HX-Request"])
    return response


@login_required
@require_safe
def activity_csv(request: HttpRequest) -> HttpResponse:
    member = membership(request)
    asked = asked_for(request)
    found = activity(member.organization_id, asked.span, asked.group)
    names = names_of(member, asked.group, list(found.groups))
    titles = (
        *("from (UTC)", asked.group, "requests", "errors"),
        *("prompt tokens", "completion tokens", "spend (USD)"),
    )
    lines = [
        (
            *(f"{at:%Y-%m-%d %H:%M}", names[name], sums.requests, sums.errors),
            *(sums.prompt_tokens, sums.completion_tokens, plain(sums.charge)),
        )
        for number, at in enumerate(found.steps)
        for name, steps in sorted(found.groups.items())
        if (sums := steps[number]).requests
    ]
    return sheet(f"activity-{asked.span}-{asked.group}", titles, lines)


def asked_for(request: HttpRequest) -> Asked:
    """What is not known is as if it were not said."""
    span, group, measure = (request.GET.get(name, "") for name in ("span", "by", "show"))
    span = span if span in SPANS else "1mo"
    known = Group(group) if group in list(Group) else Group.MODEL
    if known == Group.APP and span not in APP_SPANS:
        known = Group.MODEL
    return Asked(span, known, measure if measure in MEASURES else "charge")


def names_of(member: Membership, group: Group, found: list[str]) -> dict[str, str]:
    """What people call them."""
    names: dict[str, str] = {}
    if group == Group.KEY:
        keys = access.all_keys_of(member.organization_id).filter(pk__in=filter(None, found))
        names = {str(key.pk): f"{key.name} (deleted)" if key.deleted_at else key.name for key in keys}
    elif group == Group.MEMBER:
        makers = access.all_keys_of(member.organization_id).filter(created_by_id__in=filter(None, found))
        names = dict(makers.values_list("created_by_id", "created_by__email").distinct())  # type: ignore[arg-type]
        names = {str(pk): email for pk, email in names.items()}
    missing = {Group.APP: "no name", Group.PROVIDER: "none answered"}.get(group, "unknown")
    plain_names = group in (Group.MODEL, Group.PROVIDER, Group.APP)
    return {name: names.get(name) or (name if plain_names else "") or missing for name in found}


def pieces(found: Activity, totals: dict[str, Sums], names: dict[str, str], measure: str) -> list[Piece]:
    """The bars of all steps, each piled up from its groups, the largest below."""
    width = 600 / len(found.steps)
    heights = [
        sum(value(steps[number], measure) for steps in found.groups.values()) for number in range(len(found.steps))
    ]
    most = max(heights, default=0) or 1
    drawn = []
    for number, at in enumerate(found.steps):
        top = float(HEIGHT)
        for colour, name in enumerate(totals):
            amount = value(found.groups[name][number], measure)
            if not amount:
                continue
            height = max(amount * HEIGHT / most, 0.8)
            top -= height
            drawn.append(
                Piece(
                    *(f"{number * width + 1:.2f}", f"{max(top, 0):.2f}", f"{width - 2:.2f}", f"{height:.2f}"),
                    *(min(colour, COLOURED), names[name], at, amount),
                )
            )
    return drawn


def value(sums: Sums, measure: str) -> int:
    return cast(int, getattr(sums, measure))
