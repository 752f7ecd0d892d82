"""Who answers and what: providers with their credentials, models, and endpoints, which are one at the other."""

from django.core.validators import MinValueValidator, RegexValidator
from django.db import models
from django.utils import timezone

from accounts.encryption import ring
from accounts.ids import uuid7
from providers.preferences import QUANTIZATIONS

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
    base_url = models.CharField(
        "base URL", max_length=500, help_text="May hold ${VARIABLE}; a missing variable switches it off."
    )
    api_key_env = models.CharField(
        "API key variable",
        max_length=100,
        blank=True,
        help_text="Environment variable that holds the key; wins over a stored credential.",
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
    privacy_policy_url = models.URLField("privacy policy URL", blank=True)
    terms_of_service_url = models.URLField("terms of service URL", blank=True)
    status_page_url = models.URLField("status page URL", blank=True)

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
    hugging_face_id = models.CharField("Hugging Face id", max_length=200, blank=True)
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
    first_token_timeout_s = models.PositiveIntegerField(
        "first token timeout (seconds)", null=True, blank=True, help_text="Empty: 60 seconds."
    )

    created_at = models.DateTimeField(default=timezone.now, editable=False)
    updated_at = models.DateTimeField(auto_now=True)

    class Meta:
        ordering = ["model", "tag"]
        constraints = [models.UniqueConstraint(fields=["model", "tag"], name="providers_endpoint_tag")]

    def __str__(self) -> str:
        return f"{self.model} at {self.tag}"
