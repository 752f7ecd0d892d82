"""The form of a routing policy: the page of an organization, of a key, and the admin's."""

import json
from typing import Any

import msgspec
from django import forms

from accounts.models import RoutingPolicy
from providers.forms import WordsField
from providers.models import tag
from providers.preferences import ProviderPreferences

decode = msgspec.json.Decoder(ProviderPreferences).decode
FIELDS = ("denies_collection", "needs_zdr", "allowed_providers", "ignored_providers", "sort", "preferences")
MOST_NAMES = 200


class ProvidersField(WordsField):
    """Slugs of providers or tags of endpoints, which need not be in the catalogue today."""

    def to_python(self, value: Any) -> list[str]:
        return [name.casefold() for name in super().to_python(value)]

    def validate(self, value: list[str]) -> None:
        super().validate(value)
        if len(value) > MOST_NAMES:
            raise forms.ValidationError(f"At most {MOST_NAMES} names.")
        for name in value:
            try:
                tag(name)
            except forms.ValidationError:
                raise forms.ValidationError(f"{name!r} is no provider's slug and no endpoint's tag.") from None


class RoutingForm(forms.ModelForm):  # type: ignore[type-arg]  # generic to the type checker only
    denies_collection = forms.BooleanField(
        label="Deny data collection",
        required=False,
        help_text="Only providers that do not train on data and are not known to keep it.",
    )
    needs_zdr = forms.BooleanField(
        label="Zero data retention", required=False, help_text="Only providers that are known to keep nothing."
    )
    allowed_providers = ProvidersField(
        label="Allowed providers",
        required=False,
        help_text="Slugs such as deepinfra, or tags such as deepinfra/turbo, between spaces. Empty allows all.",
    )
    ignored_providers = ProvidersField(label="Ignored providers", required=False)
    sort = forms.ChoiceField(
        label="Order",
        required=False,
        choices=[("", "Balanced by price"), *RoutingPolicy.Sort.choices],
        help_text="For requests that do not say themselves.",
    )
    preferences = forms.JSONField(
        label="Default preferences",
        required=False,
        initial=dict,
        help_text='The provider object of a request, such as {"max_price": {"prompt": 1}}; what a request says wins.',
        widget=forms.Textarea(attrs={"rows": 4, "spellcheck": "false"}),
    )

    class Meta:
        model = RoutingPolicy
        fields = FIELDS

    def clean_preferences(self) -> dict[str, Any]:
        value = self.cleaned_data["preferences"] or {}
        if not isinstance(value, dict):
            raise forms.ValidationError("It must be an object.")
        if unknown := value.keys() - frozenset(ProviderPreferences.__struct_fields__):
            raise forms.ValidationError(f"There is no such preference: {', '.join(sorted(unknown))}.")
        try:
            decode(json.dumps(value).encode())
        except msgspec.ValidationError as error:
            raise forms.ValidationError(str(error)) from None
        return value
