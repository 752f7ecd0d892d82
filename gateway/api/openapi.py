"""The OpenAPI document: each view says of itself what it does by `describe`; types that read bodies become schemas."""

from collections.abc import Callable, Iterable
from typing import Any, TypeVar

import msgspec
from drf_spectacular.utils import OpenApiParameter, OpenApiResponse, extend_schema
from msgspec import Struct

from gateway.api.shapes.envelope import Error

Described = TypeVar("Described", bound=Callable[..., Any])
Shape = type[Struct]
JSON = "application/json"
REF = "#/components/schemas/{name}"

_used: set[Shape] = {Error}


def describe(
    tag: str,
    summary: str,
    answer: Shape | None,
    *,
    body: Shape | None = None,
    query: Iterable[OpenApiParameter] = (),
    status: int = 200,
    is_public: bool = False,
    error: Shape = Error,
    more: dict[tuple[int, str], Any] | None = None,
    **rest: Any,
) -> Callable[[Described], Described]:
    """`answer` comes with `status`; `more` are other (status, media type) answers."""
    responses: dict[Any, Any] = {"default": OpenApiResponse(response=ref(error), description="An error.")}
    responses[status, JSON] = ref(answer) if answer else OpenApiResponse(description="Done.")
    responses |= more or {}

    def decorate(view: Described) -> Described:
        extended: Described = extend_schema(
            tags=[tag],
            summary=summary,
            description=view.__doc__ or f"{summary}.",
            request={JSON: ref(body)} if body else None,
            responses=responses,
            parameters=list(query),
            auth=[] if is_public else [{"key": []}],  # type: ignore[list-item]
            **rest,
        )(view)
        return extended

    return decorate


def text(name: str, description: str, **more: Any) -> OpenApiParameter:
    return OpenApiParameter(name, str, description=description, **more)


def ref(shape: Shape) -> dict[str, Any]:
    _used.add(shape)
    return {"$ref": REF.format(name=shape.__name__)}


def components(result: dict[str, Any], generator: object, request: object, public: bool) -> dict[str, Any]:
    """A postprocessing hook: the schemas that `ref` has pointed to, and those within them."""
    _, found = msgspec.json.schema_components(sorted(_used, key=lambda shape: shape.__name__), ref_template=REF)
    bearer = {"type": "http", "scheme": "bearer", "description": "An API key, `sk-tp-v1-…`."}
    result["components"] = {"schemas": dict(sorted(found.items())), "securitySchemes": {"key": bearer}}
    return result
