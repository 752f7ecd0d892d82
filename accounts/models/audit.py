"""What was done, and by whom."""

from django.core.serializers.json import DjangoJSONEncoder
from django.db import models
from django.utils import timezone

from accounts.models.people import Organization, User


class AuditEvent(models.Model):
    """Who did what to what, and from where (accounts/audit.py). Never changed or deleted: a trigger refuses."""

    class Verb(models.TextChoices):
        CREATE = "create"
        UPDATE = "update"
        DELETE = "delete"
        ENABLE = "enable"
        DISABLE = "disable"
        SET_PASSWORD = "set_password"
        INVITE = "invite"
        JOIN = "join"
        LEAVE = "leave"
        REMOVE = "remove", "Remove member"
        TRANSFER = "transfer", "Transfer ownership"
        SECURE = "secure", "Change two-factor log-in"
        IMPORT = "import", "Import catalogue"
        ACCEPT = "accept", "Accept changes of the catalogue"
        REJECT = "reject", "Reject changes of the catalogue"
        GRANT = "grant", "Grant credit"
        CORRECT = "correct", "Correct credit"
        SUSPEND = "suspend", "Suspend organization"
        RESUME = "resume", "End a suspension"
        BEGIN_LOOK = "begin_look", "Operator begins to look as the organization"
        LOOK = "look", "Operator looks at a page as the organization"
        END_LOOK = "end_look", "Operator ends looking"

    # No constraints: an event outlives what it tells of.
    actor = models.ForeignKey(User, models.DO_NOTHING, null=True, db_constraint=False, db_index=False, related_name="+")
    organization = models.ForeignKey(
        Organization, models.DO_NOTHING, null=True, db_constraint=False, db_index=False, related_name="+"
    )
    verb = models.CharField(max_length=32, choices=Verb.choices)
    target_type = models.CharField(max_length=100, help_text="Of the row, such as accounts.apikey.")
    target_id = models.CharField(max_length=64)
    address = models.GenericIPAddressField(null=True)
    details = models.JSONField(default=dict, encoder=DjangoJSONEncoder)
    created_at = models.DateTimeField(default=timezone.now)

    class Meta:
        indexes = [
            models.Index(fields=["organization", "-id"], name="accounts_audit_of_org"),
            models.Index(fields=["actor", "-id"], name="accounts_audit_of_actor"),
            models.Index(fields=["target_id", "-id"], name="accounts_audit_of_target"),
            models.Index(fields=["verb", "-id"], name="accounts_audit_of_verb"),
            models.Index(fields=["target_type", "-id"], name="accounts_audit_of_type"),
        ]

    def __str__(self) -> str:
        return f"{self.verb} {self.target_type} {self.target_id}"
