"""Requests: their holds while they are open, their records when they are closed."""

from typing import ClassVar

from django.contrib.postgres.fields import ArrayField
from django.contrib.postgres.indexes import BrinIndex
from django.db import models
from django.utils import timezone

from accounts.models import Organization


class Hold(models.Model):
    """Credit set aside for the worst case of one generation; its row is the only right to charge."""

    generation = models.UUIDField(primary_key=True)
    organization = models.ForeignKey(Organization, models.DO_NOTHING, db_constraint=False, related_name="+")
    wallet_amount = models.BigIntegerField(help_text="Held of the wallet, nano-USD.")
    list_amount = models.BigIntegerField(help_text="Held of the budgets, nano-USD.")
    progress = models.BigIntegerField(default=0, db_default=0, help_text="Used so far, as last noted; nano-USD.")
    cost = models.BigIntegerField(null=True, help_text="What providers ask for it so far, as last noted; nano-USD.")
    due_tick = models.BigIntegerField(help_text="Expires when the tick has come this far.")
    budgets = ArrayField(models.UUIDField())
    idempotency = models.UUIDField(null=True, help_text="Of a request that is to be answered once.")
    record = models.JSONField(help_text="What the generation's row will say if its process never comes back.")

    class Meta:
        # No index but the key: the few thousand open holds are scanned by the tick, and touching stays a HOT update.
        indexes: ClassVar[list[models.Index]] = []

    def __str__(self) -> str:
        return f"hold of {self.generation}"


class Idempotency(models.Model):
    """A request that is to be answered once, and for 24 hours its answer. The till writes it with hold and charge."""

    id = models.UUIDField(primary_key=True, help_text="Made of the key and its Idempotency-Key.")
    organization_id = models.UUIDField()
    generation = models.UUIDField()
    body_hash = models.CharField(max_length=64)
    answer = models.TextField(null=True, help_text="Encrypted; empty when it was too large.")  # noqa: DJ001
    created_at = models.DateTimeField()
    closed_at = models.DateTimeField(null=True, db_index=True)

    def __str__(self) -> str:
        return f"idempotency of {self.generation}"


class Tick(models.Model):
    """The till's own clock, one row: it goes on while the till is up, never more than one tick in five seconds."""

    value = models.BigIntegerField(default=0, db_default=0)
    ticked_at = models.DateTimeField()

    def __str__(self) -> str:
        return f"tick {self.value}"


class Generation(models.Model):
    """One request by a client and its outcome. Partitioned by its id, a UUIDv7; slugs and amounts, no foreign keys."""

    class Outcome(models.TextChoices):
        OK = "ok"
        ERROR = "error"
        CANCELLED = "cancelled"
        EXPIRED = "expired", "Expired: its process never came back"

    id = models.UUIDField(primary_key=True)
    organization_id = models.UUIDField()
    api_key_id = models.UUIDField(null=True)
    api_type = models.CharField(max_length=16, db_default="completions")
    outcome = models.CharField(max_length=16, choices=Outcome.choices)
    requested_model = models.CharField(max_length=200, db_default="")
    model = models.CharField(max_length=200, db_default="")
    provider = models.CharField(max_length=64, db_default="", help_text="Slug.")
    provider_name = models.CharField(max_length=100, db_default="")
    endpoint_id = models.UUIDField(null=True)
    endpoint_tag = models.CharField(max_length=128, db_default="")
    price_id = models.BigIntegerField(null=True, help_text="The price row that the hold pinned.")

    charge = models.BigIntegerField(db_default=0, help_text="Taken from the wallet, nano-USD.")
    list_charge = models.BigIntegerField(db_default=0, help_text="Counted against budgets, nano-USD.")
    cost = models.BigIntegerField(db_default=0, help_text="What the attempts cost us upstream, nano-USD.")
    write_off = models.BigIntegerField(db_default=0, help_text="Used beyond hold and free credit, nano-USD.")
    is_estimated = models.BooleanField(db_default=False, help_text="The provider sent no usage.")

    prompt_tokens = models.IntegerField(db_default=0)
    completion_tokens = models.IntegerField(db_default=0)
    reasoning_tokens = models.IntegerField(db_default=0)
    cached_tokens = models.IntegerField(db_default=0)
    cache_write_tokens = models.IntegerField(db_default=0)
    # Of few rows only (gateway/particulars.py)
    media_prompt = models.IntegerField(null=True, help_text="Images, files, audio and videos of the prompt.")
    audio_prompt = models.IntegerField(null=True, help_text="Of these, audio.")
    media_completion = models.IntegerField(null=True, help_text="Images of the answer.")
    image_tokens = models.IntegerField(null=True, help_text="Of the answer.")
    cache_discount = models.BigIntegerField(null=True, help_text="Saved by the provider's cache, nano-USD.")
    service_tier = models.CharField(max_length=16, null=True)  # noqa: DJ001

    streamed = models.BooleanField(db_default=False)
    finish_reason = models.CharField(max_length=32, null=True)  # noqa: DJ001  the API tells null from a word
    native_finish_reason = models.CharField(max_length=64, null=True)  # noqa: DJ001
    latency_ms = models.IntegerField("latency (ms)", null=True, help_text="To the first token.")
    generation_ms = models.IntegerField("generation (ms)", null=True, help_text="To the end of the answer.")
    upstream_id = models.CharField(max_length=200, null=True)  # noqa: DJ001
    attempts = models.JSONField(db_default=models.Value([], output_field=models.JSONField()))
    error = models.CharField(max_length=500, db_default="")

    http_referer = models.CharField("HTTP referer", max_length=500, null=True)  # noqa: DJ001
    app_title = models.CharField(max_length=200, null=True)  # noqa: DJ001
    user_agent = models.CharField(max_length=500, null=True)  # noqa: DJ001
    session_id = models.CharField(max_length=256, null=True)  # noqa: DJ001
    external_user = models.CharField(max_length=256, null=True)  # noqa: DJ001
    created_at = models.DateTimeField()
    closed_at = models.DateTimeField(db_default=models.functions.Now())

    class Meta:
        indexes = [
            models.Index(fields=["organization_id", "-id"], name="billing_generation_of_org"),
            # Rows come in the order of closed_at, so block ranges find an hour, at next to no cost for the till.
            BrinIndex(fields=["closed_at"], name="billing_generation_closed_at", autosummarize=True),
        ]

    def __str__(self) -> str:
        return str(self.id)


class GenerationContent(models.Model):
    """What was asked and answered, of organizations that keep it (billing/contents.py)."""

    generation = models.UUIDField(primary_key=True)
    organization_id = models.UUIDField()
    sealed = models.TextField(help_text="Encrypted JSON.")
    created_at = models.DateTimeField(default=timezone.now, db_index=True)

    def __str__(self) -> str:
        return f"content of {self.generation}"
