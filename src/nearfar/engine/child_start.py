"""How every child begins: it reads its one line, gives up what it does not need, and ends with its parent. No engine.

Standard input carries that line and then stays open for as long as the supervisor lives: its end is our end.
"""

from __future__ import annotations

import contextlib
import os
import threading

import msgspec

from nearfar.engine import isolate
from nearfar.engine.messages import Config, Ready

_MAX_LINE = 1 << 20


class Start:
    """A child that has its configuration and still has to say whether it answers."""

    def __init__(self, config: Config, pipe: int, network: str) -> None:
        self.config = config
        self._pipe = pipe
        self._network = network

    def report(self, ready: Ready) -> None:
        """Tell the supervisor, once."""
        with contextlib.suppress(BrokenPipeError):
            line = msgspec.json.encode(msgspec.structs.replace(ready, network=self._network))
            os.write(self._pipe, line + b"\n")
        os.close(self._pipe)


def begin() -> Start:
    """Read the configuration and give up what is not needed. Call it before any engine is imported."""
    config = msgspec.json.decode(_read_line(0), type=Config)
    pipe = _keep_stdout_for_us()
    os.umask(0o077)
    isolate.no_core_dumps()
    isolate.be_first_to_go()
    network = isolate.cut_network()
    isolate.drop_rights(config.path, *(f"{config.path}/{name}" for name in config.files))
    isolate.die_with_parent()  # after the new user namespace and the new rights, which forget it
    threading.Thread(target=_end_with_parent, daemon=True).start()
    return Start(config, pipe, network)


def _read_line(descriptor: int) -> bytes:
    """One line, byte for byte: what follows it must stay in the pipe."""
    line = bytearray()
    while len(line) < _MAX_LINE:
        byte = os.read(descriptor, 1)
        if not byte or byte == b"\n":
            break
        line += byte
    return bytes(line)


def _keep_stdout_for_us() -> int:
    """A private descriptor of standard output; whatever the engine prints there goes to standard error."""
    private = os.dup(1)
    os.dup2(2, 1)
    return private


def _end_with_parent() -> None:
    """Wait for the end of standard input, then end this process at once."""
    while os.read(0, 4096):
        pass
    os._exit(0)
