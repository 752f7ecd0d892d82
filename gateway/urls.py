from django.contrib import admin
from django.urls import include, path
from drf_spectacular.views import SpectacularSwaggerSplitView

from gateway import backoffice, webhooks
from gateway.api import document
from gateway.pages.admin_login import LoginForm
from gateway.pages.limits import limited

handler400 = "gateway.errors.bad_request"
handler404 = "gateway.api.missing.not_found"
handler500 = "gateway.errors.server_error"

admin.site.site_header = admin.site.site_title = "Turnpike"
admin.site.index_title = "Back office"

admin.site.login_form = LoginForm
# The admin's own form is one more door to the same accounts.
admin.site.login = limited("login", address="20/m", email="10/5m")(admin.site.login)  # type: ignore[assignment, method-assign]

admin.site.admin_view = backoffice.admin_view  # type: ignore[method-assign, assignment]
admin.site.index = backoffice.index  # type: ignore[method-assign, assignment]

urlpatterns = [
    path("admin/", admin.site.urls),
    path("api/v1/", include("gateway.api.urls")),
    path("webhooks/stripe", webhooks.stripe, name="webhook-stripe"),
    path("openapi.json", document.as_json, name="openapi-json"),
    path("openapi.yaml", document.as_yaml, name="openapi-yaml"),
    path("docs", SpectacularSwaggerSplitView.as_view(url="/openapi.json"), name="api-docs"),
    path("", include("gateway.pages.urls")),
]
