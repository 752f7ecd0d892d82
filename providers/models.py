"""What can be called: providers, models, endpoints, credentials and prices."""

from datetime import timedelta
from typing import Any, ClassVar

from django.core.validators import MinValueValidator, RegexValidator
from django.db import models
from django.utils import timezone

from accounts.encryption import ring
from accounts.ids import uuid7
from accounts.models import User
from providers.preferences import QUANTIZATIONS
from providers.rates import AMOUNTS, MILLION
from providers.statistics import uptime

slug = RegexValidator(r"^[a-z0-9][a-z0-9._-]*$", "Lower-case letters, digits, dot, dash and underscore.")
model_slug = RegexValidator(
    r"^[a-z0-9][a-z0-9._-]*/[a-z0-9][a-z0-9._-]*(:[a-z0-9-]+)?$", "author/slug, with an optional :variant."
)
tag = RegexValidator(r"^[a-z0-9][a-z0-9._-]*(/[a-z0-9._-]+)?$", "The provider's slug, or slug/variant.")

INPUT_MODALITIES = ("text", "image", "file", "audio", "video")
SERVICE_TIERS = ("flex", "priority")
OUTPUT_MODALITIES = ("text", "image", "embeddings", "audio", "video", "rerank", "speech", "transcription")


class Steered(models.Model):
    """What an operator turns by hand; every gateway process follows within a second."""

    weight = models.PositiveIntegerField(
        default=100,
        db_default=100,
        help_text="Per cent of the share that its price gives it in the draw; 0: only when others fail.",
    )
    is_draining = models.BooleanField(
        default=False,
        db_default=False,
        help_text="Takes no new requests; those under way go on, and it stays in the catalogue.",
    )
    max_concurrency = models.PositiveIntegerField(
        null=True,
        blank=True,
        validators=[MinValueValidator(1)],
        help_text="Requests in flight at once, over all processes. Empty: no limit.",
    )
    queue_length = models.PositiveIntegerField(
        null=True,
        blank=True,
        help_text="Of each process, requests that wait beyond that limit; 0: none. Empty: QUEUE_LENGTH.",
    )
    queue_wait_s = models.PositiveIntegerField(
        "queue wait (seconds)", null=True, blank=True, help_text="How long they wait at most. Empty: QUEUE_WAIT_S."
    )

    class Meta:
        abstract = True


class Provider(Steered):
    """A company or server that answers: where it is, how it speaks, what it does with data."""

    slug = models.CharField(max_length=64, unique=True, validators=[slug])
    name = models.CharField(max_length=100)
    wire = models.CharField(max_length=32, help_text="The wire format it speaks; one adapter a wire.")
    base_url = models.CharField(max_length=500, help_text="May hold ${VARIABLE}; a missing variable switches it off.")
    api_key_env = models.CharField(
        max_length=100, blank=True, help_text="Variable that holds the key; wins over a stored credential."
    )
    is_enabled = models.BooleanField(default=True)
    passthrough = models.BooleanField(default=False, help_text="Send request fields that we do not know.")
    quirks = models.JSONField(default=dict, blank=True, help_text="How it departs from its wire (docs/catalogue.md).")

    # Set when it refuses the key; another key has another mark (providers/refusals.py).
    refused_mark = models.CharField(max_length=32, blank=True, default="", editable=False)
    refused_at = models.DateTimeField(
        "API key refused", null=True, blank=True, editable=False, help_text="Since then no request goes there."
    )

    # Data policy and the links that /providers publishes
    trains_on_data = models.BooleanField(null=True, blank=True, help_text="Unknown counts as yes.")
    retention_days = models.PositiveIntegerField(null=True, blank=True, help_text="0 is zero data retention.")
    headquarters = models.CharField(max_length=2, blank=True, help_text="ISO country code.")
    datacenters = models.JSONField(default=list, blank=True, help_text="ISO country codes.")
    privacy_policy_url = models.URLField(blank=True)
    terms_of_service_url = models.URLField(blank=True)
    status_page_url = models.URLField(blank=True)

    created_at = models.DateTimeField(default=timezone.now, editable=False)
    updated_at = models.DateTimeField(auto_now=True)

    class Meta:
        ordering = ["slug"]

    def __str__(self) -> str:
        return self.name


class Credential(models.Model):
    """A provider's API key, encrypted and write-only."""

    provider = models.OneToOneField(Provider, models.CASCADE, related_name="credential")
    sealed = models.TextField(editable=False)
    hint = models.CharField(max_length=8, editable=False, help_text="The secret's last characters.")
    updated_at = models.DateTimeField(auto_now=True)

    def __str__(self) -> str:
        return f"…{self.hint}"

    def set_secret(self, secret: str) -> None:
        self.sealed = ring().encrypt(secret, place=self._place)
        # Four characters of a short secret would be most of it.
        self.hint = secret[-4:] if len(secret) >= 16 else ""

    def secret(self) -> str:
        return ring().decrypt(self.sealed, place=self._place)

    @property
    def _place(self) -> str:
        return f"credential:secret:{self.provider_id}"


class Model(models.Model):
    slug = models.CharField(max_length=128, unique=True, validators=[model_slug])
    canonical_slug = models.CharField(max_length=128, blank=True, help_text="Permanent dated slug; empty is the slug.")
    name = models.CharField(max_length=200)
    description = models.TextField(blank=True)
    is_enabled = models.BooleanField(default=True)
    released_at = models.DateTimeField(default=timezone.now, help_text="`created` of the models API.")
    context_length = models.PositiveIntegerField()
    input_modalities = models.JSONField(default=list)
    output_modalities = models.JSONField(default=list)
    tokenizer = models.CharField(max_length=32, default="Other")
    instruct_type = models.CharField(max_length=32, blank=True)
    hugging_face_id = models.CharField(max_length=200, blank=True)
    knowledge_cutoff = models.DateField(null=True, blank=True)
    allows_distillation = models.BooleanField(
        null=True, blank=True, help_text="Its author lets others train on what it writes. Unknown counts as no."
    )

    created_at = models.DateTimeField(default=timezone.now, editable=False)
    updated_at = models.DateTimeField(auto_now=True)

    class Meta:
        ordering = ["slug"]

    def __str__(self) -> str:
        return self.slug


class Endpoint(Steered):
    """One provider serving one model under a tag."""

    id = models.UUIDField(primary_key=True, default=uuid7, editable=False)
    model = models.ForeignKey(Model, models.CASCADE, related_name="endpoints")
    provider = models.ForeignKey(Provider, models.CASCADE, related_name="endpoints")
    tag = models.CharField(max_length=128, validators=[tag])
    upstream_model = models.CharField(max_length=300)
    is_enabled = models.BooleanField(default=True)
    context_length = models.PositiveIntegerField(null=True, blank=True, help_text="Empty: the model's.")
    max_prompt_tokens = models.PositiveIntegerField(null=True, blank=True)
    max_completion_tokens = models.PositiveIntegerField(null=True, blank=True)
    service_tier = models.CharField(
        max_length=8,
        choices=[(name, name) for name in SERVICE_TIERS],
        blank=True,
        db_default="",
        help_text="It serves only requests that ask for this tier, or that name its tag.",
    )
    quantization = models.CharField(max_length=8, choices=[(q, q) for q in QUANTIZATIONS], default="unknown")
    supported_parameters = models.JSONField(default=list, blank=True)
    first_token_timeout_s = models.PositiveIntegerField(null=True, blank=True, help_text="Empty: 60 seconds.")

    created_at = models.DateTimeField(default=timezone.now, editable=False)
    updated_at = models.DateTimeField(auto_now=True)

    class Meta:
        ordering = ["model", "tag"]
        constraints = [models.UniqueConstraint(fields=["model", "tag"], name="providers_endpoint_tag")]

    def __str__(self) -> str:
        return f"{self.model} at {self.tag}"


class PriceQuerySet(models.QuerySet["Price"]):
    def current(self) -> "PriceQuerySet":
        """The row in force of each endpoint: the newest that has begun. It may say that there is no price any more."""
        begun = self.filter(effective_from__lte=timezone.now())
        return begun.order_by("endpoint_id", "-effective_from", "-id").distinct("endpoint_id")


class Price(models.Model):
    """A list price of an endpoint. Rows are only ever appended: holds and generations name the row that they used.

    Amounts are pico-USD (1e-12) a unit; NULL is "not charged apart", explicit 0 is free.
    """

    endpoint = models.ForeignKey(Endpoint, models.PROTECT, related_name="prices")
    prompt = models.BigIntegerField(help_text="pico-USD a token")
    completion = models.BigIntegerField(help_text="pico-USD a token")
    request = models.BigIntegerField(null=True, blank=True)
    image = models.BigIntegerField(null=True, blank=True, help_text="An image of the prompt.")
    image_token = models.BigIntegerField(null=True, blank=True)
    image_output = models.BigIntegerField(null=True, blank=True, help_text="An image of the answer.")
    image_output_token = models.BigIntegerField(null=True, blank=True)
    audio = models.BigIntegerField(null=True, blank=True)
    audio_output = models.BigIntegerField(null=True, blank=True)
    input_audio_cache = models.BigIntegerField(null=True, blank=True)
    web_search = models.BigIntegerField(null=True, blank=True, help_text="A search.")
    internal_reasoning = models.BigIntegerField(null=True, blank=True)
    input_cache_read = models.BigIntegerField(null=True, blank=True)
    input_cache_write = models.BigIntegerField(null=True, blank=True, help_text="For 5 minutes, or without a word.")
    input_cache_write_1h = models.BigIntegerField(null=True, blank=True)
    discount = models.PositiveIntegerField(default=0, db_default=0, help_text="Off every amount, in millionths.")
    overrides = models.JSONField(default=list, db_default=models.Value([], models.JSONField()), blank=True)
    # It keeps the amounts of the row before: a process of an older release goes on charging them.
    is_end = models.BooleanField(default=False, db_default=False, help_text="No price from then on: not routable.")
    source = models.CharField(max_length=200, help_text="Where the figure comes from.")
    as_of = models.DateField(help_text="When the source said so.")
    effective_from = models.DateTimeField(default=timezone.now)
    created_at = models.DateTimeField(default=timezone.now, editable=False)

    objects = PriceQuerySet.as_manager()

    AMOUNTS: ClassVar[tuple[str, ...]] = AMOUNTS

    class Meta:
        indexes = [models.Index(fields=["endpoint", "-effective_from", "-id"], name="providers_price_current")]
        constraints = [
            models.CheckConstraint(
                condition=models.Q(prompt__gte=0) & models.Q(completion__gte=0), name="providers_price_not_negative"
            ),
            models.CheckConstraint(
                condition=models.Q(
                    *(models.Q(**{name: None}) | models.Q(**{f"{name}__gte": 0}) for name in AMOUNTS[2:])
                ),
                name="providers_price_parts_not_negative",
            ),
            models.CheckConstraint(condition=models.Q(discount__lte=MILLION), name="providers_price_discount"),
        ]

    def __str__(self) -> str:
        return f"{self.endpoint} from {self.effective_from:%Y-%m-%d}"


class ProbeQuerySet(models.QuerySet["Probe"]):
    def within(self, window: timedelta) -> "ProbeQuerySet":
        return self.filter(checked_at__gt=timezone.now() - window)

    def uptime(self, window: timedelta) -> dict[str, float]:
        """The share of probes that found it up, 0 to 1, by the provider's slug; who was not probed is not in it."""
        share = models.Avg(models.Case(models.When(is_up=True, then=1.0), default=0.0))
        rows = self.within(window).values("provider__slug").annotate(share=share).order_by()
        return dict(rows.values_list("provider__slug", "share"))


class Probe(models.Model):
    """What a provider's models list said, at most once a minute (providers/health.py)."""

    # What is published of a provider's uptime.
    FIVE_MINUTES = timedelta(minutes=5)
    HALF_AN_HOUR = timedelta(minutes=30)
    DAY = timedelta(days=1)

    provider = models.ForeignKey(Provider, models.CASCADE, related_name="probes")
    minute = models.DateTimeField()
    checked_at = models.DateTimeField(db_index=True)
    is_up = models.BooleanField()
    status = models.PositiveSmallIntegerField(null=True, help_text="HTTP status; empty if none came.")
    latency_ms = models.PositiveIntegerField(help_text="To the head of the answer, or to the failure.")
    error = models.CharField(max_length=64, blank=True, help_text="Why none came.")

    objects = ProbeQuerySet.as_manager()

    class Meta:
        constraints = [models.UniqueConstraint(fields=["provider", "minute"], name="providers_probe_once_a_minute")]

    def __str__(self) -> str:
        return f"{self.provider} {'up' if self.is_up else 'down'} at {self.checked_at:%Y-%m-%d %H:%M}"


class UptimeQuerySet(models.QuerySet["Uptime"]):
    def last_day(self, by: str) -> dict[Any, float]:
        """Per cent over 24 whole hours, by `endpoint` or what it has; who has too few samples is not in it."""
        hours = self.filter(span=Uptime.Span.HOUR, begins_at__gte=timezone.now() - Probe.DAY)
        rows = hours.values(by).annotate(good=models.Sum("successes"), bad=models.Sum("faults")).order_by()
        found = {row[by]: uptime(row["good"], row["bad"]) for row in rows}
        return {key: share for key, share in found.items() if share is not None}


class Uptime(models.Model):
    """How an endpoint did in a minute, an hour or a day: its requests, or its provider's probe where it had none.

    How fast it was is told of requests alone.
    """

    class Span(models.TextChoices):
        MINUTE = "minute"
        HOUR = "hour"
        DAY = "day"

    endpoint = models.ForeignKey(Endpoint, models.CASCADE, related_name="uptimes")
    span = models.CharField(max_length=6, choices=Span)
    begins_at = models.DateTimeField()
    successes = models.PositiveBigIntegerField(default=0)
    faults = models.PositiveBigIntegerField(default=0)
    # Sums and how many are in them, which add up over time as medians do not.
    latency_count = models.PositiveBigIntegerField(default=0, db_default=0)
    latency_ms_sum = models.PositiveBigIntegerField(default=0, db_default=0, help_text="To the first token.")
    throughput_count = models.PositiveBigIntegerField(default=0, db_default=0)
    throughput_sum = models.PositiveBigIntegerField(default=0, db_default=0, help_text="Tokens a second.")

    objects = UptimeQuerySet.as_manager()

    class Meta:
        constraints = [models.UniqueConstraint(fields=["endpoint", "span", "begins_at"], name="providers_uptime_once")]
        indexes = [models.Index(fields=["span", "begins_at"], name="providers_uptime_span")]

    def __str__(self) -> str:
        return f"{self.endpoint_id} in the {self.span} from {self.begins_at:%Y-%m-%d %H:%M}"


class IncidentQuerySet(models.QuerySet["Incident"]):
    def open(self) -> "IncidentQuerySet":
        return self.filter(closed_at=None)


class Incident(models.Model):
    """A time in which a provider, or one endpoint of it, did not answer as it should."""

    provider = models.ForeignKey(Provider, models.CASCADE, related_name="incidents")
    endpoint = models.ForeignKey(Endpoint, models.CASCADE, null=True, blank=True, related_name="incidents")
    opened_at = models.DateTimeField(default=timezone.now)
    closed_at = models.DateTimeField(null=True, blank=True)
    cause = models.CharField(max_length=200, help_text="Public: what was seen, without a provider's own words.")

    objects = IncidentQuerySet.as_manager()

    class Meta:
        ordering = ["-opened_at"]
        constraints = [
            models.UniqueConstraint(
                fields=["provider", "endpoint"],
                condition=models.Q(closed_at=None),
                nulls_distinct=False,
                name="providers_incident_open_once",
            )
        ]

    def __str__(self) -> str:
        return f"{self.provider} from {self.opened_at:%Y-%m-%d %H:%M}"


class PriceMark(models.Model):
    """Up to when prices that came into force were made known to gateway processes; one row."""

    announced_until = models.DateTimeField()

    def __str__(self) -> str:
        return f"prices announced until {self.announced_until}"


class Refresh(models.Model):
    """A catalogue file that waits for an operator's word, change by change (providers/refreshes.py)."""

    class State(models.TextChoices):
        OPEN = "open"
        CLOSED = "closed"
        REPLACED = "replaced", "Replaced by a newer one"

    id = models.UUIDField(primary_key=True, default=uuid7, editable=False)
    source = models.CharField(max_length=200, help_text="The file's name.")
    text = models.TextField()
    state = models.CharField(max_length=8, choices=State.choices, default=State.OPEN)
    proposed_by = models.ForeignKey(User, models.SET_NULL, null=True, related_name="+")
    proposed_at = models.DateTimeField(default=timezone.now)
    closed_at = models.DateTimeField(null=True)
    summary = models.JSONField(default=dict, help_text="Changes when it was proposed, by kind.")
    decided = models.JSONField(default=list, help_text="Changes that were accepted or rejected, and by whom.")

    class Meta:
        verbose_name = "catalogue refresh"
        verbose_name_plural = "catalogue refreshes"
        constraints = [
            models.UniqueConstraint(
                fields=["source"], condition=models.Q(state="open"), name="providers_refresh_open_once"
            )
        ]

    def __str__(self) -> str:
        return f"{self.source} of {self.proposed_at:%Y-%m-%d %H:%M}"
