"""Forms of the catalogue's admin pages."""

from decimal import Decimal
from typing import Any

import msgspec
from django import forms

from providers import models, quirks
from providers.adapters import WIRES
from providers.catalogue.format import base_url_misfit
from providers.dollars import dollars, pico
from providers.overrides import published, read
from providers.rates import MILLION


class DollarsField(forms.CharField):
    """Pico-USD inside, a decimal string of USD outside."""

    def prepare_value(self, value: Any) -> Any:
        return dollars(value) if isinstance(value, int) else value

    def to_python(self, value: Any) -> Any:
        text = super().to_python(value)
        if not text:
            return None
        try:
            return pico(text)
        except ValueError as error:
            raise forms.ValidationError(str(error)) from None


class FractionField(forms.DecimalField):
    """Millionths inside, a fraction outside."""

    def __init__(self, **kwargs: Any) -> None:
        super().__init__(min_value=0, max_value=1, decimal_places=6, **kwargs)

    def prepare_value(self, value: Any) -> Any:
        return Decimal(value) / MILLION if isinstance(value, int) else value

    def clean(self, value: Any) -> int:
        return int((super().clean(value) or 0) * MILLION)

    def has_changed(self, initial: Any, data: Any) -> bool:
        return super().has_changed(self.prepare_value(initial or 0), data or 0)


class OverridesField(forms.JSONField):
    """As the row keeps them inside; prices as decimal strings of USD outside."""

    def prepare_value(self, value: Any) -> Any:
        if not value:
            return ""
        if isinstance(value, list) and all(isinstance(row, dict) for row in value):
            value = published(value)
        return super().prepare_value(value)

    def clean(self, value: Any) -> list[dict[str, Any]]:
        try:
            return read(super().clean(value) or [])
        except ValueError as error:
            raise forms.ValidationError(f"Overrides: {error}.") from None

    def has_changed(self, initial: Any, data: Any) -> bool:
        return super().has_changed(published(initial or []), (data or "").strip() or "[]")


class WordsField(forms.Field):
    """A list of words inside, words between spaces or commas outside."""

    widget = forms.Textarea(attrs={"rows": 2, "cols": 80})

    def prepare_value(self, value: Any) -> Any:
        return " ".join(value) if isinstance(value, list) else value

    def to_python(self, value: Any) -> list[str]:
        return list(dict.fromkeys((value or "").replace(",", " ").split()))


def modalities(choices: tuple[str, ...]) -> forms.MultipleChoiceField:
    return forms.MultipleChoiceField(choices=[(name, name) for name in choices], widget=forms.CheckboxSelectMultiple)


def link() -> forms.URLField:
    return forms.URLField(required=False, assume_scheme="https", max_length=200)


class ProviderForm(forms.ModelForm):  # type: ignore[type-arg]  # generic to the type checker only
    wire = forms.ChoiceField(choices=[(name, name) for name in WIRES])
    datacenters = WordsField(required=False, help_text="ISO country codes.")
    privacy_policy_url = link()
    terms_of_service_url = link()
    status_page_url = link()

    class Meta:
        model = models.Provider
        fields = (
            *("slug", "name", "is_enabled", "is_draining", "weight", "wire", "base_url", "api_key_env"),
            *("max_concurrency", "queue_length", "queue_wait_s", "passthrough", "quirks"),
            *("trains_on_data", "retention_days", "headquarters", "datacenters"),
            *("privacy_policy_url", "terms_of_service_url", "status_page_url"),
        )

    def clean_base_url(self) -> str:
        value: str = self.cleaned_data["base_url"]
        if reason := base_url_misfit(value):
            raise forms.ValidationError(f"It {reason}.")
        return value

    def clean_quirks(self) -> dict[str, Any]:
        value = self.cleaned_data["quirks"] or {}
        if not isinstance(value, dict):
            raise forms.ValidationError('It must be an object like {"stream_usage": false}.')
        try:
            quirks.read(value)
        except msgspec.ValidationError as error:
            raise forms.ValidationError(f"{error}.") from None
        return value


class CredentialForm(forms.ModelForm):  # type: ignore[type-arg]
    """The secret goes in and never comes out."""

    secret = forms.CharField(
        # A Google service account is a file of some 2,400 characters.
        max_length=10_000,
        strip=True,
        widget=forms.PasswordInput(render_value=False, attrs={"autocomplete": "new-password"}),
        help_text="Stored encrypted, never shown again. Empty keeps what is stored.",
    )

    class Meta:
        model = models.Credential
        fields = ("provider",)

    def __init__(self, *args: Any, **kwargs: Any) -> None:
        super().__init__(*args, **kwargs)
        self.fields["secret"].required = self.instance.pk is None

    def save(self, commit: bool = True) -> models.Credential:
        credential: models.Credential = self.instance
        if secret := self.cleaned_data["secret"]:
            # The ciphertext is bound to the provider, which only now is sure to have a primary key.
            credential.set_secret(secret)
        super().save(commit)
        return credential


class ModelForm(forms.ModelForm):  # type: ignore[type-arg]
    input_modalities = modalities(models.INPUT_MODALITIES)
    output_modalities = modalities(models.OUTPUT_MODALITIES)
    # As long as a catalogue file may say.
    description = forms.CharField(max_length=10_000, required=False, widget=forms.Textarea)

    class Meta:
        model = models.Model
        fields = (
            *("slug", "canonical_slug", "name", "description", "is_enabled", "released_at", "context_length"),
            *("input_modalities", "output_modalities", "tokenizer", "instruct_type", "hugging_face_id"),
            *("knowledge_cutoff", "allows_distillation"),
        )


class EndpointForm(forms.ModelForm):  # type: ignore[type-arg]
    supported_parameters = WordsField(required=False, help_text="Empty: OpenAI's own parameters.")

    class Meta:
        model = models.Endpoint
        fields = (
            *("model", "provider", "tag", "upstream_model", "is_enabled", "is_draining", "weight", "service_tier"),
            *("context_length", "max_prompt_tokens", "max_completion_tokens", "quantization", "supported_parameters"),
            *("first_token_timeout_s", "max_concurrency", "queue_length", "queue_wait_s"),
        )


class PriceForm(forms.ModelForm):  # type: ignore[type-arg]
    """Amounts are USD a token or unit, as decimals: 3 USD per million tokens is 0.000003."""

    prompt = DollarsField()
    completion = DollarsField()
    request = DollarsField(required=False, help_text="A request.")
    image = DollarsField(required=False, help_text="An image of the prompt.")
    image_token = DollarsField(required=False)
    image_output = DollarsField(required=False, help_text="An image of the answer.")
    image_output_token = DollarsField(required=False)
    audio = DollarsField(required=False)
    audio_output = DollarsField(required=False)
    input_audio_cache = DollarsField(required=False)
    web_search = DollarsField(required=False, help_text="A search.")
    internal_reasoning = DollarsField(required=False)
    input_cache_read = DollarsField(required=False)
    input_cache_write = DollarsField(required=False)
    input_cache_write_1h = DollarsField(required=False)
    discount = FractionField(required=False, help_text="Off every amount: 0.1 is 10 %.")
    overrides = OverridesField(
        required=False, help_text='Such as [{"min_prompt_tokens": 200000, "prompt": "0.000004"}]; docs/catalogue.md.'
    )

    class Meta:
        model = models.Price
        fields = ("endpoint", *models.Price.AMOUNTS, "discount", "overrides", "is_end", "source", "as_of")
