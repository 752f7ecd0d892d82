from django.urls import path

from gateway.api import account, activity, keys, models, oauth

urlpatterns = [
    path("models", models.list_models, name="models"),
    path("models/count", models.count_models, name="models-count"),
    path("models/user", models.list_own_models, name="models-user"),
    path("model/<str:author>/<str:slug>", models.one_model, name="model"),
    path("embeddings/models", models.list_embedding_models, name="embedding-models"),
    path("endpoints/zdr", models.list_zdr_endpoints, name="zdr-endpoints"),
    path("models/<str:author>/<str:slug>/endpoints", models.list_endpoints, name="model-endpoints"),
    path("providers", models.list_providers, name="providers"),
    path("key", account.key, name="key"),
    path("auth/key", account.key, name="auth-key"),
    path("auth/keys", oauth.exchange, name="auth-keys"),
    path("auth/keys/code", oauth.create_code, name="auth-code"),
    path("keys", keys.KeyList.as_view(), name="keys"),
    path("keys/<str:hash>", keys.KeyDetail.as_view(), name="key-detail"),
    path("credits", account.credits, name="credits"),
    path("activity", activity.activity, name="activity"),
    path("generation/content", account.generation_content, name="generation-content"),
    path("generation", account.generation, name="generation"),
]
