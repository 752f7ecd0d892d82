from django.urls import include, path

from gateway.pages import catalogue, consent, dashboard, keys, tenant

urlpatterns = [
    path("", catalogue.home, name="home"),
    path("models", catalogue.models, name="page-models"),
    path("models/<path:slug>", catalogue.model, name="page-model"),
    path("dashboard", dashboard.dashboard, name="dashboard"),
    path("activity", dashboard.activity, name="page-activity"),
    path("activity/<str:public>", dashboard.generation, name="page-generation"),
    path("credits", dashboard.credits, name="page-credits"),
    path("keys", keys.key_list, name="page-keys"),
    path("keys/new", keys.new_key, name="page-key-new"),
    path("keys/<str:hash>", keys.key_detail, name="page-key"),
    path("keys/<str:hash>/delete", keys.delete_key, name="page-key-delete"),
    path("auth", consent.authorize, name="authorize"),
    path("organization", tenant.choose_organization, name="choose-organization"),
    path("", include("gateway.pages.account_urls")),
]
