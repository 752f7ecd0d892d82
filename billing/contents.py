"""Prompts and answers, for organizations that want them kept: encrypted, and as long as their generations."""

from datetime import timedelta
from uuid import UUID

from django.conf import settings
from django.utils import timezone

from accounts.encryption import ring
from billing.models import GenerationContent


def keep(generation: UUID, organization_id: UUID, content: str) -> None:
    """JSON, in the words of the generation's API (gateway/contents.py). What is there already stays."""
    sealed = ring().encrypt(content, place=place(generation))
    row = GenerationContent(generation=generation, organization_id=organization_id, sealed=sealed)
    GenerationContent.objects.bulk_create([row], ignore_conflicts=True)


def read(row: GenerationContent) -> str:
    """Raises DecryptionError."""
    return ring().decrypt(row.sealed, place=place(row.generation))


def prune() -> None:
    until = timezone.now() - timedelta(days=settings.GENERATION_RETENTION_DAYS)
    GenerationContent.objects.filter(created_at__lt=until).delete()


def place(generation: UUID) -> str:
    return f"generationcontent:sealed:{generation}"
