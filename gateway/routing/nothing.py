"""No endpoint is left: which filter did it, and what to change."""

from collections.abc import Sequence

from gateway.errors import ApiError
from gateway.routing.filters import Filter
from gateway.routing.unavailable import unavailable
from providers.snapshot import Endpoint, Model

RETRY_AFTER_S = 30
# A longer list helps nobody.
NAMED = 12


def nothing_left(slugs: Sequence[str], models: Sequence[Model], filters: Sequence[Filter]) -> ApiError:
    """`models` are what the slugs stand for."""
    said = ", ".join(slugs)
    offered = [endpoint for model in models for endpoint in model.accepting]
    if not offered:
        if any(model.routable for model in models):
            text = f"{said} takes no new requests at the moment. Try again later, or ask another model."
            return unavailable(503, "temporarily_unavailable", slugs, text, retry_after=RETRY_AFTER_S)
        return unavailable(404, "no_endpoints", slugs, f"No endpoints found for {said}.")
    guilty = culprits(offered, filters)
    if not guilty:
        text = f"{said} is only served in service tiers here; name one with service_tier."
        return unavailable(404, "constraint_filtered", slugs, text, excluded_by=["service_tier"])
    for one in guilty:
        if one.is_of_path and not any(map(one.keeps, offered)):
            constraint = {"field": one.field, "detail": one.advice}
            return unavailable(400, "wrong_endpoint", slugs, f"{said}: {one.advice}.", constraint=constraint)
    names = list(dict.fromkeys(one.name for one in guilty))
    code = "privacy_restricted" if names[0].startswith("data_policy:") else "constraint_filtered"
    return unavailable(
        404,
        code,
        slugs,
        message(said, guilty, offered),
        excluded_by=names,
        affected_providers=sorted({endpoint.provider.slug for endpoint in offered}),
        constraint={"field": guilty[0].field, "detail": guilty[0].advice},
    )


def culprits(offered: Sequence[Endpoint], filters: Sequence[Filter]) -> list[Filter]:
    """The filters that leave nothing each by itself; else those that did it together."""
    alone = [one for one in filters if not any(map(one.keeps, offered))]
    if alone:
        return alone
    found = []
    left = list(offered)
    for one in filters:
        kept = list(filter(one.keeps, left))
        if len(kept) < len(left):
            found.append(one)
        left = kept
    return found


def message(said: str, guilty: Sequence[Filter], offered: Sequence[Endpoint]) -> str:
    tags = sorted({endpoint.tag for endpoint in offered})
    listed = ", ".join(tags[:NAMED]) + (" and more" if len(tags) > NAMED else "")
    why = "; and ".join(one.advice for one in guilty)
    match guilty[0].name:
        case "allowed_providers":
            begin = f"No allowed providers are available for the selected model {said}"
        case "data_policy:training" | "data_policy:zdr":
            begin = f"No endpoints found matching your data policy for {said}"
        case "require_parameters":
            begin = f"No endpoints found that can handle the requested parameters for {said}"
        case _:
            begin = f"No endpoints found for {said}"
    return f"{begin}: {why}. It is served by {listed}."
