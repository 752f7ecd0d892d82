"""The caller's environment without what would change the product: servers, secrets, provider keys, proxies."""

import os

KEPT = {"PATH", "HOME", "USER", "LOGNAME", "LANG", "TERM", "COLUMNS", "TZ", "CI", "NO_COLOR", "FORCE_COLOR", "PYTHON"}
KEPT_PREFIXES = ("LC_", "LD_", "PYTEST_", "PYTHON", "COV_", "PIP_")


def of_the_caller() -> dict[str, str]:
    return {name: value for name, value in os.environ.items() if name in KEPT or name.startswith(KEPT_PREFIXES)}
