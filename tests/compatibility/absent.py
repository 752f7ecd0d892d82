"""Paths that OpenRouter has and this product has not, by what they are for."""

ABSENT: dict[str, tuple[str, ...]] = {
    "feedback on a generation": ("POST /generation/feedback",),
    "reranking": ("POST /rerank",),
    "images": ("POST /images", "GET /images/models", "GET /images/models/{author}/{slug}/endpoints"),
    "videos": (
        "POST /videos",
        "GET /videos/{id}",
        "GET /videos/{id}/content",
        "GET /videos/models",
    ),
    "speech and transcription": ("POST /audio/speech", "POST /audio/transcriptions"),
    "own provider keys": ("GET POST /byok", "GET PATCH DELETE /byok/{id}"),
    "guardrails": (
        "GET POST /guardrails",
        "GET PATCH DELETE /guardrails/{id}",
        "GET POST /guardrails/{id}/assignments/keys",
        "POST /guardrails/{id}/assignments/keys/remove",
        "GET POST /guardrails/{id}/assignments/members",
        "POST /guardrails/{id}/assignments/members/remove",
        "GET /guardrails/assignments/keys",
        "GET /guardrails/assignments/members",
    ),
    "organizations (they have pages)": (
        "GET /organization/members",
        "GET PATCH /organization/settings",
        "GET POST /external-users",
        "GET PATCH DELETE /external-users/{id}",
    ),
    "workspaces": (
        "GET POST /workspaces",
        "GET PATCH DELETE /workspaces/{id}",
        "GET /workspaces/{id}/members",
        "POST /workspaces/{id}/members/add",
        "POST /workspaces/{id}/members/remove",
        "GET /workspaces/{id}/budgets",
        "GET PUT DELETE /workspaces/{id}/budgets/{interval}",
    ),
    "presets": (
        "GET /presets",
        "GET /presets/{slug}",
        "GET /presets/{slug}/versions",
        "GET /presets/{slug}/versions/{version}",
        "POST /presets/{slug}/chat/completions",
        "POST /presets/{slug}/messages",
        "POST /presets/{slug}/responses",
    ),
    "broadcast": (
        "GET POST /observability/destinations",
        "GET PATCH DELETE /observability/destinations/{id}",
    ),
    "analytics": ("GET /analytics/meta", "POST /analytics/query"),
    "SCIM and token exchange": (
        "GET /scim/groups",
        "GET POST /scim/group-mappings",
        "GET PATCH DELETE /scim/group-mappings/{id}",
        "GET POST /scim/sync-jobs",
        "GET /oauth/jwks",
        "POST /oauth/token",
    ),
    "files and containers": (
        "GET POST /files",
        "GET DELETE /files/{id}",
        "GET /files/{id}/content",
        "GET POST /containers/{id}/files",
        "POST /containers/{id}/files/{file}/promote",
    ),
    "batches": ("GET POST /batches", "GET DELETE /batches/{id}", "GET POST /api/beta/batches"),
    "public statistics": (
        "GET /datasets/rankings-daily",
        "GET /datasets/app-rankings",
        "GET /datasets/session-cost",
        "GET /benchmarks",
        "GET /classifications/task",
    ),
    "private endpoints": (
        "GET POST /private-endpoints",
        "GET PATCH DELETE /private-endpoints/{id}",
        "POST /private-endpoints/{id}/activate",
        "POST /private-endpoints/{id}/disable",
        "POST /private-endpoints/{id}/enable",
        "POST /private-endpoints/{id}/validate",
        "GET PUT /private-endpoints/{id}/pricing",
    ),
    "tools and secrets": ("GET /tools", "GET /tools/{name}", "GET POST /vault/{path}", "POST /systemone"),
    "decisions": ("POST /api/alpha/decisions",),
    "payment with Coinbase (ended there too, with 410)": ("POST /credits/coinbase",),
    "Anthropic's other paths": (
        "POST /messages/count_tokens",
        "GET POST /messages/batches",
    ),
}


def each() -> list[tuple[str, str]]:
    """Method and path, both as they are sent."""
    found = []
    for lines in ABSENT.values():
        for line in lines:
            *methods, path = line.split()
            whole = path if path.startswith("/api/") else f"/api/v1{path}"
            found += [(method, whole) for method in methods]
    return found


def table() -> str:
    rows = [f"| {what} | {', '.join(f'`{line}`' for line in lines)} |" for what, lines in ABSENT.items()]
    return "\n".join(["| for | paths |", "|---|---|", *rows, ""])
