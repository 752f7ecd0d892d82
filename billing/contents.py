"""Prompts and answers, for organizations that want them kept: encrypted, and as long as their generations."""

from uuid import UUID

from accounts.encryption import ring
from billing.models import GenerationContent
from billing.retention import kept_from


def keep(generation: UUID, organization_id: UUID, content: str) -> None:
    """JSON, in the words of the generation's API (gateway/contents.py). What is there already stays."""
    sealed = ring().encrypt(content, place=place(generation))
    row = GenerationContent(generation=generation, organization_id=organization_id, sealed=sealed)
    GenerationContent.objects.bulk_create([row], ignore_conflicts=True)


def read(row: GenerationContent) -> str:
    """Raises DecryptionError."""
    return ring().decrypt(row.sealed, place=place(row.generation))


def prune() -> None:
    GenerationContent.objects.filter(created_at__lt=kept_from()).delete()


def place(generation: UUID) -> str:
    return f"generationcontent:sealed:{generation}"
