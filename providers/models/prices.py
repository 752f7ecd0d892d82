"""What endpoints cost."""

from typing import ClassVar

from django.db import models
from django.utils import timezone

from providers.models.catalogue import Endpoint
from providers.rates import AMOUNTS, MILLION


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


class PriceMark(models.Model):
    """Up to when prices that came into force were made known to gateway processes; one row."""

    announced_until = models.DateTimeField()

    def __str__(self) -> str:
        return f"prices announced until {self.announced_until}"
