"""`error.availability` (reference §3.5): what machines read of why there is no endpoint."""

from collections.abc import Sequence

from gateway.errors import ApiError


def unavailable(
    status: int,
    code: str,
    slugs: Sequence[str],
    message: str,
    *,
    retry_after: float | None = None,
    **details: object,
) -> ApiError:
    """Details are members of the availability; empty ones are left out."""
    availability: dict[str, object] = {
        "code": code,
        "retryable": retry_after is not None,
        "requested_models": list(slugs),
        "docs_url": "",
    }
    if retry_after is not None:
        availability["retry_after"] = retry_after
    availability |= {name: value for name, value in details.items() if value}
    return ApiError(status, message, availability=availability, retry_after=retry_after)
