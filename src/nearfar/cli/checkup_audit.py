"""The check of ``nearfar doctor`` on the audit: whether records can be written where the policy demands them.

It reads no record; ``nearfar audit verify`` does.
"""

from __future__ import annotations

import os
import shutil
from collections.abc import Iterator

from nearfar.cli.checkup import LITTLE_DISK, Check
from nearfar.cli.client import Gateway, served_at
from nearfar.policy import presets
from nearfar.settings.load import Loaded


def audit(loaded: Loaded) -> Iterator[Check]:
    """The audit's folder, where the policy demands records before bytes leave; what a running gateway says of it."""
    demanded = presets.enforced(loaded.settings).audit
    folder = loaded.audit
    if demanded is None:
        yield Check(name="audit", state="ok", detail="the policy demands no records")
        return
    there = next(item for item in (folder, *folder.parents) if item.exists())
    detail = f"{folder}, from class {demanded.label} on"
    if not there.is_dir() or not os.access(there, os.W_OK | os.X_OK):
        yield Check(
            name="audit",
            state="fail",
            detail=f"{detail}: {there} cannot be written, so nothing of that class leaves",
            next="Mend its permissions, or set audit.folder.",
        )
        return
    free = shutil.disk_usage(there).free
    little = free < LITTLE_DISK
    yield Check(
        name="audit",
        state="warn" if little else "ok",
        detail=f"{detail}{'' if folder.exists() else ' (made when needed)'}, {free / 1e9:.1f} GB free",
        next="Make room: without records nothing of that class leaves." if little else "",
    )
    yield from _running(loaded)


def _running(loaded: Loaded) -> Iterator[Check]:
    """What the gateway that runs says of its audit; nothing where none runs or all is well."""
    gateway = Gateway(served_at(loaded))
    if not gateway.alive():
        return
    told = gateway.ready()
    checks = told.get("checks", []) if isinstance(told, dict) else []
    for item in checks:
        if isinstance(item, dict) and item.get("name") == "audit" and not item.get("ok"):
            yield Check(
                name="running gateway",
                state="fail",
                detail=str(item.get("detail", "")),
                next="Its log says why; it goes on by itself once a record can be written.",
            )
