"""llama.cpp's own server in a process: an OpenAI-compatible server that is not ours, for tests.

    python llama_server.py WEIGHTS CONTEXT [SOCKET]

It prints its address when it is ready. Without a SOCKET it listens on loopback, wants the key in `LLAMA_KEY`, and ends
with its standard input; with one it ends when it is told to, and ends with 3 if the weights are missing.
"""

import os
import signal
import sys
from pathlib import Path


def main() -> None:
    import xllamacpp

    if not Path(sys.argv[1]).exists():
        sys.stderr.write("FileNotFoundError: no such weights\nRuntimeError: see above\n")
        sys.exit(3)
    parameters = xllamacpp.CommonParams()
    parameters.model.path = sys.argv[1]
    parameters.model_alias = {"model"}
    parameters.n_ctx, parameters.n_parallel, parameters.n_threads_http = 2 * int(sys.argv[2]), 2, 4
    parameters.n_batch = parameters.n_ubatch = 64
    parameters.cpuparams.n_threads = parameters.cpuparams_batch.n_threads = 1
    parameters.verbosity, parameters.warmup = 0, False
    parameters.cache_prompt, parameters.cache_ram_mib = False, 0
    parameters.endpoint_metrics = True
    if len(sys.argv) > 3:
        parameters.hostnames = [sys.argv[3]]
    else:
        parameters.api_keys = [os.environ["LLAMA_KEY"]]
    server = xllamacpp.Server(parameters)
    sys.stdout.write(f"{server.listening_address}\n")
    sys.stdout.flush()
    if len(sys.argv) > 3:
        signal.pause()
    sys.stdin.read()
    # llama.cpp's own end would wait for its threads.
    os._exit(0)


if __name__ == "__main__":
    main()
