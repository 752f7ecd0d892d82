"""The documents say what is there: variables, paths of the API, files, providers."""

import re
from pathlib import Path

import pytest
import yaml

from bench import screenshots
from gateway.api import inference_urls, urls
from gateway.local.environment import ROOT

README = (ROOT / "README.md").read_text()
API = (ROOT / "docs/api.md").read_text()
DOCUMENTS = [*ROOT.glob("[CR]*.md"), ROOT / "bench/README.md", *sorted((ROOT / "docs").glob("*.md"))]
READERS = [ROOT / "gateway/settings.py", ROOT / "bin/bootstrap.py", *(ROOT / "gateway/local").glob("*.py")]
# How Python and the shell read a variable here.
READ = re.compile(r'(?:\benv\.\w+|environ(?:ment)?\.get|\bis_given|\bnumber)\(\s*"([A-Z][A-Z0-9_]*)"')
READ_BY_SHELL = re.compile(r"\$\{?([A-Z][A-Z0-9_]+)")
FENCE = re.compile(r"^```.*?^```", re.MULTILINE | re.DOTALL)
LINK = re.compile(r"\]\((?!https?:|mailto:|#)([^)#]+)")
FOLDERS = "accounts|bench|billing|bin|docs|gateway|providers|requirements|tests|[.]ci"
FILE = re.compile(rf"(?:[.]/)?((?:{FOLDERS})/[\w./-]*|[\w-]+[.](?:py|toml|txt))")
VARIABLE = re.compile(r"\$\{(\w+)\}")


def test_readme_lists_the_variables_that_are_read() -> None:
    read = {name for file in READERS for name in READ.findall(file.read_text())}
    read |= set(READ_BY_SHELL.findall((ROOT / "bin/find-python").read_text()))
    assert len(read) > 10
    documented = {name for row in table(README, "variable") for name in re.findall(r"`([A-Z0-9_]+)`", row[0])}
    assert documented == read


def test_api_lists_the_paths_that_are_served() -> None:
    served = {f"/{found.pattern}" for found in inference_urls.urlpatterns}
    served |= {f"/api/v1/{found.pattern}" for found in urls.urlpatterns}
    documented = {path.strip("`") for _, path, *_ in table(API, "method")}
    assert documented == {re.sub(r"<\w+:(\w+)>", r"{\1}", path) for path in served}


@pytest.mark.parametrize("document", DOCUMENTS, ids=lambda path: str(path.relative_to(ROOT)))
def test_links_and_named_files_exist(document: Path) -> None:
    text = FENCE.sub("", document.read_text())
    words = [word.rstrip(".,:") for quoted in re.findall(r"`([^`\n]+)`", text) for word in quoted.split()]
    named = [ROOT / found[1] for word in words if (found := FILE.fullmatch(word))]
    linked = [document.parent / target for target in LINK.findall(text)]
    assert [str(path) for path in named + linked if not path.exists()] == []


def test_pictures_of_the_readme_are_small_and_those_that_the_command_makes() -> None:
    shown = set(re.findall(r"!\[[^]]+\]\(([^)]+)\)", README))
    assert shown == {f"docs/pictures/{name}.png" for name in screenshots.README}
    assert all((ROOT / picture).stat().st_size < 100_000 for picture in shown)


def test_readme_lists_the_providers_of_the_catalogue() -> None:
    catalogue = yaml.safe_load((ROOT / "providers/catalogue/catalogue.yaml").read_text())
    endpoints = [endpoint for model in catalogue["models"] for endpoint in model["endpoints"]]
    priced = [found["provider"] for found in endpoints if "prices" in found and found.get("enabled", True)]
    rows = []
    for provider in catalogue["providers"]:
        if "api_key_env" in provider:
            names = [provider["api_key_env"], *VARIABLE.findall(provider["base_url"])]
            variables = ", ".join(f"`{name}`" for name in names)
            rows.append([provider["name"], f"`{provider['slug']}`", variables, str(priced.count(provider["slug"]))])
    assert table(README, "provider") == rows, "\n".join(f"| {' | '.join(row)} |" for row in rows)


def table(text: str, first_title: str) -> list[list[str]]:
    """The rows of the table whose first column has that title."""
    body = re.search(rf"^\| {first_title} \|.*\n\|[-|]+\|\n((?:\|.*\n)+)", text, re.MULTILINE)
    assert body is not None, f"no table with a column {first_title}"
    return [[cell.strip() for cell in row.strip("|").split("|")] for row in body[1].splitlines()]
