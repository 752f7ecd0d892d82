"""docs/compatibility.md: `python -m tests.compatibility.document` writes its tables anew."""

from pathlib import Path

from tests.compatibility import absent
from tests.compatibility.clients import SKINS

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


def features() -> str:
    rows = [f"| {name} | {what} |" for name, what in FEATURES.items()]
    return "\n".join(["| feature | is |", "|---|---|", *rows, ""])


def written(text: str) -> str:
    head, _, rest = text.partition(BEGIN)
    return f"{head}{BEGIN}{features()}\n{tables()}\n{NOT_SERVED}\n{absent.table()}{END}{rest.partition(END)[2]}"


if __name__ == "__main__":
    DOCUMENT.write_text(written(DOCUMENT.read_text()))
