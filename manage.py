#!/usr/bin/env python3
"""Django's commands, run by .venv's Python beside the servers that bin/run has started on the same DATA_DIR."""

import os
import sys
from pathlib import Path

ROOT = Path(__file__).resolve().parent
VENV = ROOT / ".venv"


def main() -> None:
    use_venv()
    from gateway.local import environment

    environment.fill()
    os.environ.setdefault("DJANGO_SETTINGS_MODULE", "gateway.settings")
    from django.core.management import execute_from_command_line
    from django.db import OperationalError

    try:
        execute_from_command_line(sys.argv)
    except OperationalError as error:
        if environment.is_given("DATABASE_URL"):
            raise
        reason = " ".join(str(error).split())
        data = environment.data_directory()
        sys.exit(f"manage.py: no database: start bin/run with DATA_DIR={data}, or set DATABASE_URL ({reason})")


def use_venv() -> None:
    """Starts again in the virtual environment unless this is it, whichever Python was named."""
    python = VENV / "bin" / "python"
    if Path(sys.prefix).resolve() == VENV.resolve():
        return
    if not python.exists():
        sys.exit("manage.py: there is no .venv yet; bin/run makes it")
    os.execv(str(python), [str(python), str(ROOT / "manage.py"), *sys.argv[1:]])


if __name__ == "__main__":
    main()
