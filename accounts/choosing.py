"""Admin pages whose forms look rows up as somebody types: a mixin in front of ModelAdmin and its inlines."""

from collections.abc import Sequence
from typing import Any

from django.contrib.admin.widgets import AutocompleteSelect
from django.core.exceptions import ValidationError
from django.http import HttpRequest

from accounts.light import Light


class Choosing(Light):
    def formfield_for_foreignkey(self, db_field: Any, request: HttpRequest, **kwargs: Any) -> Any:
        if db_field.name in self.get_autocomplete_fields(request):  # type: ignore[attr-defined]
            site = self.admin_site  # type: ignore[attr-defined]
            kwargs.setdefault("widget", Choice(db_field, site, using=kwargs.get("using")))
        return super().formfield_for_foreignkey(db_field, request, **kwargs)  # type: ignore[misc]


class Choice(AutocompleteSelect):
    """Django's asks the database for whatever was sent, and fails on what is no id: that is left out here."""

    def optgroups(self, name: str, value: Sequence[str], attr: Any = None) -> Any:
        target = self.field.target_field
        return super().optgroups(name, [one for one in value if not one or is_id(target, one)], attr)


def is_id(field: Any, text: str) -> bool:
    try:
        field.run_validators(field.to_python(text))
    except ValidationError:
        return False
    return "\0" not in text
