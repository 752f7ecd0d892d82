from django.urls import include, path

from gateway.pages import catalogue, dashboard, tenant

urlpatterns = [
    path("", catalogue.home, name="home"),
    path("models", catalogue.models, name="page-models"),
    path("models/<path:slug>", catalogue.model, name="page-model"),
    path("dashboard", dashboard.dashboard, name="dashboard"),
    path("organization", tenant.choose_organization, name="choose-organization"),
    path("", include("gateway.pages.account_urls")),
]
