"""Looks at what a gateway would see here, without starting one: nothing is journalled, no key is needed, nothing stays.

The only network it uses is loopback, where running runtimes are asked for their models.
"""

from __future__ import annotations

import contextlib
import tempfile
from collections.abc import AsyncIterator
from pathlib import Path

import msgspec

from nearfar import build
from nearfar.settings.load import Loaded
from nearfar.settings.model import Ledger


@contextlib.asynccontextmanager
async def gateway(loaded: Loaded) -> AsyncIterator[build.Gateway]:
    """A gateway that was never started, over a state folder that goes away with it."""
    replace = msgspec.structs.replace
    with tempfile.TemporaryDirectory(prefix="nearfar-look-", dir=loaded.environ.get("TMPDIR") or None) as folder:
        root = Path(folder)
        elsewhere = replace(
            loaded,
            settings=replace(loaded.settings, ledger=Ledger()),
            folders=replace(loaded.folders, state=root, runtime=root / "run"),
        )
        built = build.gateway(elsewhere, probed=build.findings(loaded), promised=loaded.ledger_url)
        try:
            yield built
        finally:
            await built.close()
