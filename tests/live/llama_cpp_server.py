"""llama.cpp's own HTTP server on a TCP port, as its users start it. Ends when its standard input ends.

Usage: python llama_cpp_server.py MODEL.gguf ALIAS
"""

from __future__ import annotations

import socket
import sys
from contextlib import closing


def main(model: str, alias: str) -> None:
    """Serve ``model`` and print the address."""
    import xllamacpp

    with closing(socket.create_server(("127.0.0.1", 0))) as free:
        port = free.getsockname()[1]
    params = xllamacpp.CommonParams()
    params.model.path = model
    params.model_alias = {alias}
    params.hostnames = ["127.0.0.1"]
    params.port = port
    params.n_ctx = 512
    params.n_parallel = 1
    params.cpuparams.n_threads = params.cpuparams_batch.n_threads = 1
    params.cache_ram_mib = 8
    params.fit_params = params.warmup = params.ui = False
    params.offline = True
    params.verbosity = 1
    server = xllamacpp.Server(params)
    print(f"http://127.0.0.1:{port}", flush=True)
    sys.stdin.read()
    del server


if __name__ == "__main__":
    main(sys.argv[1], sys.argv[2])
