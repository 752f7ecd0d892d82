"""`secrets.env`: the pepper, the key ring and Django's secret, made once for a data directory."""

import base64
import secrets
from pathlib import Path

from gateway.local.environment import read_secrets
from gateway.local.places import write_private

HEADER = (
    "# Made by bin/run. API keys and stored credentials work with these values only: back them up with the database."
)


def generate() -> dict[str, str]:
    return {
        "DJANGO_SECRET_KEY": secrets.token_urlsafe(48),
        "TURNPIKE_KEY_PEPPER": secrets.token_urlsafe(32),
        "TURNPIKE_KEY_RING": "k1:" + base64.b64encode(secrets.token_bytes(32)).decode(),
    }


def load_or_create(data: Path) -> dict[str, str]:
    known = read_secrets(data)
    missing = {name: value for name, value in generate().items() if name not in known}
    if missing:
        known |= missing
        lines = [HEADER, *(f"{name}={value}" for name, value in known.items())]
        write_private(data / "secrets.env", "\n".join(lines) + "\n")
    return known
