"""The catalogue in Django's admin. Secrets are write-only; prices are a history that only grows."""

from typing import Any

from django.contrib import admin
from django.db.models import Case, Count, OuterRef, Q, QuerySet, Subquery, When
from django.http import HttpRequest
from django.utils import timezone

from accounts.audited import Audited
from providers import refusals
from providers.dollars import dollars
from providers.forms import CredentialForm, EndpointForm, ModelForm, PriceForm, ProviderForm
from providers.models import Credential, Endpoint, Model, Price, Provider


class CredentialInline(admin.StackedInline):  # type: ignore[type-arg]  # generic to the type checker only
    model = Credential
    form = CredentialForm
    fields = ("secret", "hint", "updated_at")
    readonly_fields = ("hint", "updated_at")
    verbose_name = "API key, used when the variable above is not set"


@admin.register(Provider)
class ProviderAdmin(Audited, admin.ModelAdmin):  # type: ignore[type-arg]
    form = ProviderForm
    list_display = (
        *("slug", "name", "wire", "is_enabled", "is_draining", "weight", "max_concurrency"),
        *("key", "refused_at", "endpoints", "trains_on_data", "retention_days"),
    )
    actions = ("switch_key_on",)
    list_editable = ("is_enabled", "is_draining", "weight", "max_concurrency")
    list_filter = (
        *("is_enabled", "is_draining", ("refused_at", admin.EmptyFieldListFilter)),
        *("wire", "trains_on_data", "retention_days"),
    )
    search_fields = ("slug", "name", "base_url")
    inlines = (CredentialInline,)
    readonly_fields = ("refused_at", "updated_at")
    fieldsets = (
        (None, {"fields": ("slug", "name", "is_enabled", "is_draining", "weight", "refused_at", "updated_at")}),
        ("Limits", {"fields": ("max_concurrency", "queue_length", "queue_wait_s")}),
        ("How it is called", {"fields": ("wire", "base_url", "api_key_env", "passthrough", "quirks")}),
        ("Data policy", {"fields": ("trains_on_data", "retention_days", "headquarters", "datacenters")}),
        ("Links", {"fields": ("privacy_policy_url", "terms_of_service_url", "status_page_url")}),
    )

    def save_related(self, request: HttpRequest, form: Any, formsets: Any, change: bool) -> None:
        super().save_related(request, form, formsets, change)
        refusals.forgive(Provider.objects.filter(pk=form.instance.pk))

    def get_queryset(self, request: HttpRequest) -> QuerySet[Provider]:
        queryset = Provider.objects.select_related("credential").annotate(endpoint_count=Count("endpoints"))
        return queryset.order_by("slug")

    @admin.action(description="Switch the refused API key on again", permissions=["change"])
    def switch_key_on(self, request: HttpRequest, queryset: QuerySet[Provider]) -> None:
        count = refusals.switch_on(Provider.objects.filter(pk__in=[row.pk for row in queryset]))
        self.message_user(request, f"{count} switched on again.")

    @admin.display(description="API key")
    def key(self, provider: Provider) -> str:
        stored = f"stored {provider.credential}" if hasattr(provider, "credential") else ""
        return " or ".join(filter(None, [provider.api_key_env, stored])) or "none"

    @admin.display(ordering="endpoint_count")
    def endpoints(self, provider: Provider) -> int:
        count: int = vars(provider)["endpoint_count"]
        return count


@admin.register(Credential)
class CredentialAdmin(Audited, admin.ModelAdmin):  # type: ignore[type-arg]
    form = CredentialForm
    list_display = ("provider", "hint", "updated_at")
    list_select_related = ("provider",)
    search_fields = ("provider__slug", "provider__name")
    autocomplete_fields = ("provider",)
    fields = ("provider", "secret", "hint", "updated_at")

    def save_model(self, request: HttpRequest, obj: Credential, form: Any, change: bool) -> None:
        super().save_model(request, obj, form, change)
        refusals.forgive(Provider.objects.filter(pk=obj.provider_id))

    def get_readonly_fields(self, request: HttpRequest, obj: Any = None) -> tuple[str, ...]:
        # The ciphertext does not decrypt beside another provider.
        return ("provider", "hint", "updated_at") if obj else ("hint", "updated_at")


class EndpointInline(admin.TabularInline):  # type: ignore[type-arg]
    """Where the model is served, to look at; each row links to its own page."""

    model = Endpoint
    fields = readonly_fields = ("tag", "provider", "upstream_model", "quantization", "context_length", "is_enabled")
    extra = 0
    can_delete = False
    show_change_link = True

    def get_queryset(self, request: HttpRequest) -> QuerySet[Endpoint]:
        return Endpoint.objects.select_related("provider", "model").order_by("tag")

    def has_add_permission(self, request: HttpRequest, obj: Any = None) -> bool:
        return False


@admin.register(Model)
class ModelAdmin(Audited, admin.ModelAdmin):  # type: ignore[type-arg]
    form = ModelForm
    list_display = ("slug", "name", "context_length", "modalities", "endpoints", "is_enabled", "released_at")
    list_filter = ("is_enabled", "tokenizer", "released_at")
    search_fields = ("slug", "name", "hugging_face_id")
    inlines = (EndpointInline,)

    def get_queryset(self, request: HttpRequest) -> QuerySet[Model]:
        return Model.objects.annotate(endpoint_count=Count("endpoints")).order_by("slug")

    @admin.display()
    def modalities(self, model: Model) -> str:
        return f"{'+'.join(model.input_modalities)}->{'+'.join(model.output_modalities)}"

    @admin.display(ordering="endpoint_count")
    def endpoints(self, model: Model) -> int:
        count: int = vars(model)["endpoint_count"]
        return count


def amount(name: str) -> Any:
    """A column with a price in USD."""

    @admin.display(description=f"{name.replace('_', ' ')} (USD)", ordering=name)
    def column(price: Price) -> str:
        pico = getattr(price, name)
        return "" if pico is None else dollars(pico)

    return column


AMOUNTS = tuple(amount(name) for name in Price.AMOUNTS)


class PriceHistoryInline(admin.TabularInline):  # type: ignore[type-arg]
    """What the endpoint has cost, newest first."""

    model = Price
    fields = readonly_fields = ("effective_from", *AMOUNTS, "discount", "overrides", "is_end", "source", "as_of")
    extra = 0
    can_delete = False
    verbose_name_plural = "Price history"

    def get_queryset(self, request: HttpRequest) -> QuerySet[Price]:
        return Price.objects.select_related("endpoint__model").order_by("-effective_from", "-id")

    def has_add_permission(self, request: HttpRequest, obj: Any = None) -> bool:
        return False


class NewPriceInline(admin.StackedInline):  # type: ignore[type-arg]
    model = Price
    form = PriceForm
    fields = (("prompt", "completion"), *Price.AMOUNTS[2:], "discount", "overrides", "is_end", ("source", "as_of"))
    extra = 1
    max_num = 1
    can_delete = False
    verbose_name = verbose_name_plural = "New price (USD a token, from now on)"

    def get_queryset(self, request: HttpRequest) -> QuerySet[Price]:
        return Price.objects.none()


class PricedFilter(admin.SimpleListFilter):
    title = "priced"
    parameter_name = "priced"

    def lookups(self, request: HttpRequest, model_admin: Any) -> list[tuple[str, str]]:
        return [("yes", "Yes"), ("no", "No: not routable")]

    def queryset(self, request: HttpRequest, queryset: QuerySet[Any]) -> QuerySet[Any]:
        if self.value() is None:
            return queryset
        return queryset.filter(current_prompt__isnull=self.value() == "no")


@admin.register(Endpoint)
class EndpointAdmin(Audited, admin.ModelAdmin):  # type: ignore[type-arg]
    form = EndpointForm
    list_display = (
        *("model", "tag", "upstream_model", "quantization", "prompt_price", "completion_price"),
        *("is_enabled", "is_draining", "weight", "max_concurrency"),
    )
    list_editable = ("is_enabled", "is_draining", "weight", "max_concurrency")
    list_filter = ("is_enabled", "is_draining", PricedFilter, "provider", "quantization")
    search_fields = ("model__slug", "model__name", "tag", "upstream_model", "provider__name")
    autocomplete_fields = ("model", "provider")
    inlines = (NewPriceInline, PriceHistoryInline)

    def get_queryset(self, request: HttpRequest) -> QuerySet[Endpoint]:
        # The prices in force: the newest that has begun.
        prices = Price.objects.filter(endpoint=OuterRef("pk"), effective_from__lte=timezone.now())
        newest = prices.order_by("-effective_from", "-id").annotate(
            own_prompt=Case(When(is_end=False, then="prompt")),
            own_completion=Case(When(is_end=False, then="completion")),
        )
        return (
            Endpoint.objects.select_related("model", "provider")
            .annotate(current_prompt=Subquery(newest.values("own_prompt")[:1]))
            .annotate(current_completion=Subquery(newest.values("own_completion")[:1]))
            .order_by("model__slug", "tag")
        )

    @admin.display(description="prompt (USD)", ordering="current_prompt", empty_value="no price")
    def prompt_price(self, endpoint: Endpoint) -> str | None:
        pico = vars(endpoint)["current_prompt"]
        return None if pico is None else dollars(pico)

    @admin.display(description="completion (USD)", ordering="current_completion", empty_value="no price")
    def completion_price(self, endpoint: Endpoint) -> str | None:
        pico = vars(endpoint)["current_completion"]
        return None if pico is None else dollars(pico)


@admin.register(Price)
class PriceAdmin(Audited, admin.ModelAdmin):  # type: ignore[type-arg]
    """Rows are never changed: saving the page of one appends a row."""

    form = PriceForm
    list_display = ("endpoint", *AMOUNTS[:2], "source", "as_of", "effective_from", "effective_until")
    list_filter = ("endpoint__provider", "as_of", "effective_from")
    search_fields = ("endpoint__model__slug", "endpoint__tag", "source")
    autocomplete_fields = ("endpoint",)
    fields = ("endpoint", *Price.AMOUNTS, "discount", "overrides", "is_end", "source", "as_of")

    def get_queryset(self, request: HttpRequest) -> QuerySet[Price]:
        later = Q(effective_from__gt=OuterRef("effective_from")) | Q(
            effective_from=OuterRef("effective_from"), pk__gt=OuterRef("pk")
        )
        following = Price.objects.filter(later, endpoint=OuterRef("endpoint")).order_by("effective_from", "pk")
        return (
            Price.objects.select_related("endpoint__model", "endpoint__provider")
            .annotate(until=Subquery(following.values("effective_from")[:1]))
            .order_by("-effective_from", "-pk")
        )

    @admin.display(empty_value="in force")
    def effective_until(self, price: Price) -> Any:
        return vars(price)["until"]

    def get_readonly_fields(self, request: HttpRequest, obj: Any = None) -> tuple[str, ...]:
        return ("endpoint",) if obj else ()

    def has_delete_permission(self, request: HttpRequest, obj: Any = None) -> bool:
        return False

    def save_model(self, request: HttpRequest, obj: Price, form: Any, change: bool) -> None:
        if change and not form.has_changed():
            return
        obj.pk = None
        obj._state.adding = True
        obj.effective_from = obj.created_at = timezone.now()
        obj.save()
