"""The guards: tenant data is reached through these and nothing else."""

from typing import TypeVar
from uuid import UUID

from django.db.models import Model, QuerySet

Row = TypeVar("Row", bound=Model)


def in_organization(rows: QuerySet[Row], organization_id: UUID) -> QuerySet[Row]:
    """The rows that belong to the organization; another tenant's do not exist."""
    return rows.filter(organization_id=organization_id)
