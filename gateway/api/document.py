"""/openapi.json, /openapi.yaml and the page that shows them. Made once by each process: code does not change in it."""

from functools import cache
from typing import Any

import msgspec
from django.http import HttpRequest, HttpResponse
from django.urls import include, path
from django.views.decorators.http import require_safe
from drf_spectacular.generators import SchemaGenerator
from drf_spectacular.renderers import OpenApiYamlRenderer

from gateway.api import inference_urls

YAML = "application/yaml; charset=utf-8"


@cache
def document() -> dict[str, Any]:
    served = [path("api/v1/", include("gateway.api.urls")), *inference_urls.urlpatterns]
    found: dict[str, Any] = SchemaGenerator(patterns=served).get_schema(request=None, public=True)  # type: ignore[no-untyped-call]
    return found


@require_safe
def as_json(request: HttpRequest) -> HttpResponse:
    return HttpResponse(msgspec.json.encode(document()), content_type="application/json")


@require_safe
def as_yaml(request: HttpRequest) -> HttpResponse:
    return HttpResponse(OpenApiYamlRenderer().render(document()), content_type=YAML)  # type: ignore[no-untyped-call]
