"""docs/compatibility.md: `python -m tests.compatibility.document` writes its tables anew."""

import re
from pathlib import Path

from tests.compatibility import absent, breakers
from tests.compatibility.clients import SKINS
from tests.compatibility.fields import EXPECTED, FIELDS, flat

DOCUMENT = Path(__file__).parent.parent.parent / "docs" / "compatibility.md"
BEGIN, END = "<!-- generated: tests/compatibility/test_matrix.py -->\n\n", "<!-- end -->"
NOT_SERVED = """### Not served

OpenRouter has these too. Here they answer 404 in the usual envelope, those below `/messages` in Anthropic's.
`tests/gateway/test_absent.py` asks each.
"""
WIRES = ("openai", "responses", "anthropic", "gemini", "bedrock", "cohere", "cloudflare")
FEATURES = {
    "plain": "a whole answer",
    "stream": "the same, streamed, to its proper end",
    "tools": "two calls in a whole answer",
    "parallel tools": "two calls, streamed in pieces",
    "images": "an image from the client arrives at the vendor",
    "schema": "a JSON schema arrives at the vendor",
    "reasoning": "reasoning is asked for, and what the vendor sealed or signed goes back on the next turn",
    "usage": "prompt, completion and cached tokens, whole and streamed",
    "errors": "an overloaded vendor is told in the skin's envelope, in time and in the middle of a stream",
    "disconnect": "a client that leaves stops the vendor",
}
# Why a cell cannot exist. `None` for a skin or wire is all of them.
CANNOT: dict[tuple[str | None, str | None, str], str] = {
    ("completions", None, "tools"): "the skin has no tools",
    ("completions", None, "parallel tools"): "the skin has no tools",
    ("completions", None, "images"): "the skin takes text only",
    ("completions", None, "reasoning"): "the skin has no turns",
    (None, "openai", "reasoning"): "the wire seals nothing",
    (None, "cohere", "reasoning"): "the wire seals nothing",
    (None, "cloudflare", "reasoning"): "the wire seals nothing",
}


def reason(skin: str, wire: str, feature: str) -> str | None:
    keys = ((skin, wire, feature), (skin, None, feature), (None, wire, feature))
    return next((CANNOT[key] for key in keys if key in CANNOT), None)


def tables() -> str:
    lines = []
    for name, skin in SKINS.items():
        lines += [f"### `POST {skin.path}`", "", f"| feature | {' | '.join(WIRES)} |", "|---" * (len(WIRES) + 1) + "|"]
        for feature in FEATURES:
            cells = [reason(name, wire, feature) or "yes" for wire in WIRES]
            lines.append(f"| {feature} | {' | '.join(cells)} |")
        lines.append("")
    return "\n".join(lines)


REQUEST_FIELDS = """### What becomes of a request's fields

Of each field of `POST /chat/completions`: what of it the vendor is sent, where the endpoint lists the parameter.
`yes` is the same name and value, `-` that it is left out (or Turnpike's own business), `400` that no endpoint of this
wire takes the request. A provider with `passthrough: true` is also sent what nobody here knows.
`tests/compatibility/test_fields.py` asks with each and compares all that the vendor was sent.
"""


# Members that hold parameters of their own.
NESTED = ("generationConfig", "inferenceConfig", "text", "output_config", "outputConfig", "metadata")
# Asked for together.
BESIDE = {"tool_choice": "tools", "parallel_tool_calls": "tools", "top_logprobs": "logprobs"}
IN_MESSAGES = ("part ", "prefill", "name of")


def request_fields() -> str:
    lines = [f"| field | {' | '.join(WIRES)} |", "|---" * (len(WIRES) + 1) + "|"]
    lines += [f"| {name} | {' | '.join(cell(name, wire) for wire in WIRES)} |" for name in FIELDS]
    return "\n".join([*lines, ""])


def cell(name: str, wire: str) -> str:
    told = EXPECTED[name][wire]
    if isinstance(told, str):
        return "400"
    if not told:
        return "-"
    beside = EXPECTED[BESIDE[name]][wire] if name in BESIDE else {}
    told = {path: leaf for path, leaf in told.items() if path not in beside}
    asked = {path: leaf for path, leaf in flat(FIELDS[name]).items() if path not in beside}
    if not told:
        return "-"
    if told == asked or name.startswith(IN_MESSAGES):
        return "yes"
    return ", ".join(f"`{place}`" for place in dict.fromkeys(map(place_of, told)))


def place_of(path: str) -> str:
    names = re.sub(r"\[\d+\]", "", path).split(".")
    return ".".join(names[:2]) if names[0] in NESTED else names[0]


def features() -> str:
    rows = [f"| {name} | {what} |" for name, what in FEATURES.items()]
    return "\n".join(["| feature | is |", "|---|---|", *rows, ""])


def written(text: str) -> str:
    head, _, rest = text.partition(BEGIN)
    fields = f"{REQUEST_FIELDS}\n{request_fields()}"
    checked = f"### What breaks clients elsewhere\n\n{breakers.table()}"
    generated = f"{features()}\n{tables()}\n{fields}\n{checked}\n{NOT_SERVED}\n{absent.table()}"
    return f"{head}{BEGIN}{generated}{END}{rest.partition(END)[2]}"


if __name__ == "__main__":
    DOCUMENT.write_text(written(DOCUMENT.read_text()))
