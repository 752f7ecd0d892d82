from django.urls import path

from gateway.pages import catalogue

urlpatterns = [
    path("", catalogue.home, name="home"),
    path("models", catalogue.models, name="page-models"),
    path("models/<path:slug>", catalogue.model, name="page-model"),
]
