"""What the composition root joins: nothing is opened before it is needed."""

from __future__ import annotations

import asyncio
import sys
import threading
from pathlib import Path
from typing import Any

from tests import running
from tests.parts.built import FAR, loaded

from nearfar import build


class Watch:
    """Tells what was opened while it is on; an audit hook cannot be taken away again."""

    def __init__(self) -> None:
        self.on = False
        self.seen: list[str] = []
        sys.addaudithook(self._hook)

    def _hook(self, event: str, arguments: tuple[Any, ...]) -> None:
        if self.on and (event.startswith(("socket.", "subprocess.", "sqlite3.")) or event == "os.posix_spawn"):
            self.seen.append(event)


def test_putting_it_together_opens_no_socket_no_database_and_no_process(tmp_path: Path, tiny_gguf: Path) -> None:
    running.add_model(tmp_path, tiny_gguf, "mine")
    settings = loaded(tmp_path, FAR, base="", environ={"OPENAI_API_KEY": "k"})
    threads = threading.active_count()
    watch = Watch()
    watch.on = True
    made = build.gateway(settings)
    watch.on = False
    assert watch.seen == []
    assert threading.active_count() == threads
    assert not (tmp_path / "state" / "ledger.db").exists()
    assert {"far", "mine", "auto"} <= made.fleet.snapshot.routes.keys(), "and it can route at once"
    asyncio.run(made.close())


def test_every_name_of_the_root_is_there() -> None:
    assert [name for name in build.__all__ if not hasattr(build, name)] == []
