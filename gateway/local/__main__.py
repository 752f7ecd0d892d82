"""`python -m gateway.local`: what `bin/run` becomes when .venv is ready."""

import sys

from gateway.local.supervisor import main

if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
