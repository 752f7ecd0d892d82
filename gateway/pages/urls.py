from django.urls import include, path

from gateway.pages import catalogue, consent, credits, dashboard, exports, keys, tenant

urlpatterns = [
    path("", catalogue.home, name="home"),
    path("models", catalogue.models, name="page-models"),
    path("models/<path:slug>", catalogue.model, name="page-model"),
    path("dashboard", dashboard.dashboard, name="dashboard"),
    path("activity", dashboard.activity, name="page-activity"),
    path("activity/<str:public>", dashboard.generation, name="page-generation"),
    path("credits", credits.credits, name="page-credits"),
    path("credits/buy", credits.buy, name="page-buy"),
    path("credits/top-ups/<uuid:id>", credits.top_up, name="page-top-up"),
    path("credits/top-ups/<uuid:id>/receipt.pdf", exports.receipt, name="page-receipt"),
    path("credits/card", credits.card, name="page-card"),
    path("credits/card/remove", credits.remove_card, name="page-card-remove"),
    path("credits/card/<str:session>", credits.card_left, name="page-card-left"),
    path("credits/automatic", credits.automatic, name="page-automatic"),
    path("credits/alert", credits.alert, name="page-alert"),
    path("credits/redeem", credits.redeem, name="page-redeem"),
    path("credits/transactions.csv", exports.transactions, name="page-transactions-csv"),
    path("credits/usage.csv", exports.usage, name="page-usage-csv"),
    path("keys", keys.key_list, name="page-keys"),
    path("keys/new", keys.new_key, name="page-key-new"),
    path("keys/<str:hash>", keys.key_detail, name="page-key"),
    path("keys/<str:hash>/delete", keys.delete_key, name="page-key-delete"),
    path("auth", consent.authorize, name="authorize"),
    path("organization", tenant.choose_organization, name="choose-organization"),
    path("", include("gateway.pages.account_urls")),
]
