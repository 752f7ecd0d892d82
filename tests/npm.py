"""What tests need of package.json; installed where CI says that this machine is its own."""

import os
import shutil
import subprocess
from pathlib import Path

import pytest

from gateway.local.environment import ROOT


def script(path: str) -> Path:
    """A file below node_modules; the test is skipped where it cannot be had."""
    found = ROOT / "node_modules" / path
    node, npm = shutil.which("node"), shutil.which("npm")
    if not found.exists() and os.environ.get("CI") == "true" and npm:
        install = [npm, "install", "--no-package-lock", "--no-audit", "--no-fund", "--silent"]
        subprocess.run(install, cwd=ROOT, capture_output=True, timeout=300)
    if node is None or not found.exists():
        pytest.skip(f"there is no {path}: npm install (Node 20)")
    return found
