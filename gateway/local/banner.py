"""What a person sees when everything runs: where it is, how to get in, and a first request to paste."""

import json
from collections.abc import Sequence
from dataclasses import dataclass
from typing import TypedDict

# One that the small local model nearly always answers in a sentence and then stops.
QUESTION = "Write one sentence about the sea."
MOST_VARIABLES = 8


class Admin(TypedDict):
    email: str
    password: str


class Demo(TypedDict):
    """The content of demo.json."""

    url: str
    key: str
    admin: Admin


@dataclass(frozen=True, slots=True, kw_only=True)
class Prepared:
    """What gateway.local.prepare found: the model to try, or else the variables that switch providers on."""

    model: str | None
    variables: Sequence[str]
    demo: Demo | None


def text(url: str, prepared: Prepared) -> str:
    lines = [f"Turnpike runs at {url}", "", *access(url, prepared.demo), "", *first_request(url, prepared), ""]
    return "\n" + "\n".join(f"  {line}".rstrip() for line in lines) + "\n"


def access(url: str, demo: Demo | None) -> list[str]:
    if demo is None:
        return [
            "Admin  ./manage.py createsuperuser, then " + url + "/admin/",
            "Key    ./manage.py issue_key --email you@example.com --credits 10",
        ]
    admin = demo["admin"]
    return [
        f"Admin  {url}/admin/  {admin['email']}  {admin['password']}",
        f"Key    {demo['key']}",
    ]


def first_request(url: str, prepared: Prepared) -> list[str]:
    if prepared.model is None:
        return missing_provider(prepared.variables)
    key = prepared.demo["key"] if prepared.demo else "$KEY"
    body = json.dumps({"model": prepared.model, "messages": [{"role": "user", "content": QUESTION}]})
    return [
        "Try it:",
        "",
        f"curl {url}/api/v1/chat/completions \\",
        f'  -H "Authorization: Bearer {key}" -H "Content-Type: application/json" \\',
        f"  -d '{body}'",
    ]


def missing_provider(variables: Sequence[str]) -> list[str]:
    shown = ", ".join(variables[:MOST_VARIABLES]) + (", …" if len(variables) > MOST_VARIABLES else "")
    hints = [f"set one of {shown}"] if variables else []
    return [
        "No provider is switched on yet. To get a completion, stop,",
        " or ".join([*hints, "start without TURNPIKE_LOCAL_MODEL=0"]) + ", and start again.",
    ]
