"""A login and a key for somebody who has just started Turnpike, kept in demo.json."""

import json
import secrets
from io import StringIO
from pathlib import Path

from allauth.account.models import EmailAddress
from django.conf import settings
from django.core.management import call_command

from accounts.models import User
from gateway.local.banner import Admin, Demo
from gateway.local.places import write_private

DEVELOPER = "demo@turnpike.local"
ADMIN = "admin@turnpike.local"
CREDITS_USD = "10"


def access(data: Path) -> Demo:
    """What demo.json says; made anew when the file or the database is."""
    file = data / "demo.json"
    known = read(file)
    demo = known if known and is_in_database() else make()
    demo["url"] = settings.PUBLIC_URL
    write_private(file, json.dumps(demo, indent=2) + "\n")
    return demo


def read(file: Path) -> Demo | None:
    try:
        demo: Demo = json.loads(file.read_text())
    except (FileNotFoundError, ValueError):
        return None
    return demo


def is_in_database() -> bool:
    return User.objects.filter(email__in=[DEVELOPER, ADMIN]).count() == 2


def make() -> Demo:
    return Demo(url=settings.PUBLIC_URL, key=make_key(), admin=make_admin())


def make_key() -> str:
    """A user who is there already has had the credits."""
    is_known = User.objects.filter(email=DEVELOPER).exists()
    credit = [] if is_known else ["--credits", CREDITS_USD]
    output = StringIO()
    call_command("issue_key", "--email", DEVELOPER, *credit, stdout=output)
    return output.getvalue().strip()


def make_admin() -> Admin:
    password = secrets.token_urlsafe(12)
    admin = User.objects.filter(email=ADMIN).first()
    if admin is None:
        admin = User.objects.create_superuser(email=ADMIN, password=password)
        # No mail reaches this address, so nobody could confirm it.
        EmailAddress.objects.create(user=admin, email=ADMIN, verified=True, primary=True)
    else:
        admin.set_password(password)
        admin.save(update_fields=["password"])
    return Admin(email=ADMIN, password=password)
