"""A look leaves no trace and needs no database that is configured."""

from __future__ import annotations

import asyncio
import os
from pathlib import Path

from nearfar.cli import look
from nearfar.settings.load import load


def test_nothing_stays_and_nothing_configured_is_opened(tmp_path: Path) -> None:
    temporary = tmp_path / "t"
    temporary.mkdir()
    environ = {
        "HOME": str(tmp_path),
        "TMPDIR": str(temporary),
        "NEARFAR_LEDGER__URL": "postgresql://nobody@127.0.0.1:1/x",
        "NEARFAR_LEDGER__JOURNAL": str(tmp_path / "journal"),
    }
    loaded = load(environ=environ)

    async def scenario() -> None:
        async with look.gateway(loaded) as gateway:
            assert set(gateway.fleet.snapshot.routes) >= {"auto", "local", "cloud"}
            assert os.listdir(temporary)

    asyncio.run(scenario())
    assert os.listdir(tmp_path) == ["t"]
    assert os.listdir(temporary) == []
