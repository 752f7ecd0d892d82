"""`openrouter_metadata` (reference §2.9): how a request was routed, for clients that ask with a header."""

from gateway.errors import UPSTREAM, ApiError
from gateway.generation import Generation
from providers.errors import Kind

ANSWERED = 200


def beside(generation: Generation) -> dict[str, object]:
    """What an answer has beside its other members."""
    found = metadata(generation)
    return {} if found is None else {"openrouter_metadata": found}


def beside_error(error: ApiError) -> dict[str, object]:
    """Nothing of what went on inside when that is what failed."""
    return {} if error.routing is None or error.status == 500 else {"openrouter_metadata": error.routing}


def metadata(generation: Generation) -> dict[str, object] | None:
    """None where the client did not ask, or before a plan was made."""
    plan = generation.plan
    if plan is None or not generation.origin.wants_metadata:
        return None
    served = generation.endpoint
    requested = generation.request.chat.candidates[0]
    is_fallback = served is not None and plan.candidates and served.model != plan.candidates[0].model
    return {
        "requested": requested,
        "strategy": "fallback" if is_fallback else plan.strategy,
        "region": None,
        "summary": summary(generation),
        "attempt": len(generation.attempts),
        "is_byok": False,
        "endpoints": {
            "total": plan.considered,
            "available": [
                {
                    "provider": endpoint.provider.name,
                    "model": endpoint.model,
                    "selected": served is not None and endpoint.id == served.id,
                }
                for endpoint in plan.candidates
            ],
        },
        "attempts": [
            {"provider": one.provider_name, "model": one.model_permaslug, "status": one.status or status_of(one.error)}
            for one in generation.attempts
        ],
    }


def status_of(error: str | None) -> int:
    """Of an attempt to which no status came: what a client would be told."""
    return UPSTREAM[Kind(error)][0] if error else ANSWERED


def summary(generation: Generation) -> str:
    plan, served = generation.plan, generation.endpoint
    count = len(plan.candidates) if plan is not None else 0
    told = f"{count} endpoint{'' if count == 1 else 's'} could answer"
    if served is None:
        return f"{told}; none did"
    tried = len(generation.attempts)
    return f"{told}; {served.provider.name} did at attempt {tried}, with {served.model}"
