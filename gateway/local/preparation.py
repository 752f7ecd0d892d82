"""Brings the database up to date, and finds what the banner has to say."""

import os

from django.conf import settings
from django.core.management import call_command
from django.core.management.base import OutputWrapper
from django.db.models import Count

from gateway.local import demo, model
from gateway.local.banner import Prepared
from gateway.local.environment import is_given
from providers import loading
from providers.models import Provider

CATALOGUE = settings.BASE_DIR / "providers" / "catalogue" / "catalogue.yaml"


def prepare(*, refresh: bool, wants_demo: bool, progress: OutputWrapper) -> Prepared:
    progress.write("Migrating the database")
    call_command("migrate", interactive=False, verbosity=0)
    if refresh or not Provider.objects.exists():
        call_command("import_catalogue", os.environ.get("CATALOGUE_FILE") or str(CATALOGUE), stdout=progress)
    return Prepared(
        model=first_model(), variables=unset_variables(), demo=demo.access(settings.DATA_DIR) if wants_demo else None
    )


def first_model() -> str | None:
    """For a first request: the local model, or else any that a switched-on provider serves."""
    routable = [slug for slug, row in loading.load().models.items() if row.routable]
    return model.SLUG if model.SLUG in routable else min(routable, default=None)


def unset_variables() -> list[str]:
    """Those that would switch a provider on, the ones that bring most models first."""
    providers = Provider.objects.filter(is_enabled=True).exclude(api_key_env="").alias(count=Count("endpoints"))
    names = providers.filter(count__gt=0).order_by("-count", "slug").values_list("api_key_env", flat=True)
    return list(dict.fromkeys(name for name in names if not is_given(name)))
