"""Refreshes of the catalogue that are looked at before they are applied: proposed, then accepted or rejected."""

from collections import Counter
from collections.abc import Collection
from typing import Any

from django.db import transaction
from django.http import HttpRequest
from django.utils import timezone

from accounts import audit
from accounts.models import User
from providers.catalogue.changes import Change, with_needed, with_needing
from providers.importer import apply, one_at_a_time, plan
from providers.models import Refresh

# Of a decision's names in an audit event.
MOST_NAMED = 100


class Moved(Exception):
    """The catalogue or the refresh is not as it was when somebody looked at it."""


def propose(text: str, *, source: str, request: HttpRequest | None = None) -> Refresh | None:
    """None when the file would change nothing. An open one of the same name is replaced. Raises BadCatalogue."""
    with transaction.atomic():
        one_at_a_time()
        # The text is kept, and what is kept holds no secrets.
        changes = plan(text, source=source, may_hold_keys=False)
        now = timezone.now()
        Refresh.objects.filter(source=source, state=Refresh.State.OPEN).update(
            state=Refresh.State.REPLACED, closed_at=now
        )
        if not changes:
            return None
        user = request.user if request is not None and isinstance(request.user, User) else None
        refresh = Refresh.objects.create(source=source, text=text, proposed_by=user, summary=counted(changes))
        audit.record(request, audit.Verb.CREATE, refresh, details={"source": source, **refresh.summary})
    return refresh


def open_changes(refresh: Refresh) -> list[Change]:
    """What it would change now, without what was rejected. Raises BadCatalogue."""
    rejected = {one["mark"] for one in refresh.decided if one["decision"] == audit.Verb.REJECT}
    return [change for change in plan(refresh.text, source=refresh.source) if change.mark not in rejected]


def accept(refresh: Refresh, marks: Collection[str], request: HttpRequest) -> int:
    """With what they need: an endpoint brings its new model. How many changes that are. Raises Moved."""
    with transaction.atomic():
        locked, changes, chosen = chosen_of(refresh, marks)
        wanted = with_needed(chosen)
        accepted = [change for change in changes if change in wanted]
        note(locked, accepted, audit.Verb.ACCEPT, request)
        apply(accepted)
        close_if_done(locked)
    return len(accepted)


def reject(refresh: Refresh, marks: Collection[str], request: HttpRequest) -> int:
    """With what needs them: without a new model there is no endpoint of it. Raises Moved."""
    with transaction.atomic():
        locked, changes, chosen = chosen_of(refresh, marks)
        unwanted = with_needing(chosen, changes)
        rejected = [change for change in changes if change in unwanted]
        note(locked, rejected, audit.Verb.REJECT, request)
        close_if_done(locked)
    return len(rejected)


def chosen_of(refresh: Refresh, marks: Collection[str]) -> tuple[Refresh, list[Change], list[Change]]:
    """The refresh, locked, its open changes, and those with these marks."""
    one_at_a_time()
    locked = Refresh.objects.select_for_update().get(pk=refresh.pk)
    if locked.state != Refresh.State.OPEN:
        raise Moved("It is closed.")
    changes = open_changes(locked)
    chosen = [change for change in changes if change.mark in marks]
    if len(chosen) != len(set(marks)):
        raise Moved("Some of these changes are not there any more: somebody changed the catalogue meanwhile.")
    return locked, changes, chosen


def note(refresh: Refresh, changes: list[Change], decision: audit.Verb, request: HttpRequest) -> None:
    now = timezone.now().isoformat()
    refresh.decided += [
        {**said(change), "decision": decision, "by": str(request.user), "at": now} for change in changes
    ]
    refresh.save(update_fields=["decided"])
    names = [f"{change.kind} {change.name}" for change in changes]
    details: dict[str, Any] = {"source": refresh.source, **counted(changes), "changes": names[:MOST_NAMED]}
    if changes:
        audit.record(request, decision, refresh, details=details)


def close_if_done(refresh: Refresh) -> None:
    if not open_changes(refresh):
        refresh.state, refresh.closed_at = Refresh.State.CLOSED, timezone.now()
        refresh.save(update_fields=["state", "closed_at"])


def said(change: Change) -> dict[str, Any]:
    """As it is kept and shown."""
    return {
        "mark": change.mark,
        "kind": change.kind,
        "name": change.name,
        "verb": change.verb,
        "told": change.told,
        "needs": [needed.name for needed in change.needs],
    }


def counted(changes: Collection[Change]) -> dict[str, int]:
    return dict(Counter(change.kind for change in changes))
