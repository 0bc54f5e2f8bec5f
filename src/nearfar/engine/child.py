"""The child process that runs one model: ``python -m nearfar.engine.child``. It knows its one line of configuration.

The engine's own destructor can hang, so a process that has served leaves only through ``os._exit``.
"""

from __future__ import annotations

import contextlib
import os
import sys
import threading
from typing import Any

from nearfar.core.install import command
from nearfar.engine import isolate, machine
from nearfar.engine.child_start import begin
from nearfar.engine.messages import Config, Ready


def main() -> None:
    """Load the model, say so, and stay until the parent goes."""
    start = begin()
    ready, server = _load(start.config)
    start.report(ready)
    if server is None:
        sys.exit(1)  # the long way out: the engine's log is written by a thread, and what it says is the reason
    threading.Event().wait()


def _load(config: Config) -> tuple[Ready, Any]:
    """(what to report, the running server or None)."""
    missing = machine.missing_features_here()
    if missing:
        return Ready(
            ok=False,
            code="cpu_unsupported",
            error=f"This processor lacks {', '.join(missing)}, which the embedded engine needs.",
            hint="Use a model server built for this machine, such as Ollama, as a deployment instead.",
        ), None
    try:
        import xllamacpp
    except ImportError as exc:
        return _not_importable(exc), None
    isolate.limit_data(config.data_limit)
    with contextlib.suppress(FileNotFoundError):
        os.unlink(config.socket)  # left by one that was killed  # noqa: PTH108
    try:
        server = xllamacpp.Server(_parameters(xllamacpp, config))
    except (RuntimeError, MemoryError) as exc:
        return Ready(ok=False, code="model_not_loaded", error=str(exc)), None
    version = str(getattr(xllamacpp, "__version__", ""))
    return Ready(ok=True, engine=version), server


def _not_importable(exc: ImportError) -> Ready:
    if isinstance(exc, ModuleNotFoundError) and exc.name == "xllamacpp":
        install = f"Install it with: {command('local')}"
        return Ready(ok=False, code="engine_missing", error="The embedded engine is not installed.", hint=install)
    hint = "On Debian: apt-get install libgomp1." if "libgomp" in str(exc) else ""
    return Ready(ok=False, code="engine_missing", error=f"The embedded engine cannot be loaded: {exc}.", hint=hint)


def _parameters(xllamacpp: Any, config: Config) -> Any:
    """The engine's parameters. Each line that departs from its defaults says why."""
    values = xllamacpp.CommonParams()
    # Of a model in parts, the first one: the engine finds the others by its name.
    values.model.path = f"{config.path}/{config.files[0]}" if config.files else config.path
    values.model_alias = {config.name}  # else replies carry the path of the file
    values.hostnames = [config.socket]
    values.port = 0
    values.api_keys = [config.key]
    values.n_ctx = config.context * config.slots  # the total; every slot gets its share
    values.n_parallel = config.slots
    values.cont_batching = True
    values.cpuparams.n_threads = config.threads  # default: all cores, which spin
    values.cpuparams_batch.n_threads = config.threads
    values.cache_ram_mib = config.prompt_cache_mb  # default: 8 GiB
    values.n_ctx_checkpoints = config.checkpoints  # default: 32 per slot
    values.fit_params = False  # what is run is what was estimated
    values.warmup = False
    values.ui = False
    values.offline = True
    values.endpoint_slots = False  # default: on, and it tells what the slots are doing
    values.cors_origins = ""  # default: every origin
    values.verbosity = 1  # errors only: lower levels log prompts and answers
    if config.embedding:
        values.embedding = True
        values.n_batch = values.n_ubatch = config.batch  # an input must fit into one batch
    return values


if __name__ == "__main__":
    main()
