"""What a process keeps and where: the ledger, the audit, stored responses, probes' findings. It knows no request."""

from __future__ import annotations

import os
from collections.abc import Callable, Sequence
from contextlib import closing
from pathlib import Path
from typing import TYPE_CHECKING

from nearfar import __version__
from nearfar.core.errors import StoreUnavailable
from nearfar.core.places import Class
from nearfar.policy.rules import Rules
from nearfar.settings import secrets
from nearfar.settings.load import Loaded
from nearfar.settings.paths import private
from nearfar.store import capabilities
from nearfar.store.capabilities import Finding
from nearfar.store.database import connect
from nearfar.store.ids import Ids
from nearfar.store.keyfile import key_in, read_key
from nearfar.store.responses import Responses

if TYPE_CHECKING:
    from nearfar.ledger.audit import Audit

_SQLITE = "sqlite:///"


def ledger_places(loaded: Loaded) -> tuple[str, Path]:
    """The ledger's database and the folder of its journal."""
    if not loaded.settings.ledger.url:
        private(loaded.folders.state)
    return loaded.ledger_url, private(loaded.journal)


def own_key(loaded: Loaded, name: str) -> bytes:
    """The key that every process of this gateway shares under ``name``; made by the first that asks."""
    return key_in(private(loaded.folders.state) / f"{name}.key")


def audit(loaded: Loaded, rules: Rules, ids: Ids, detectors: str, *, demanded: str = "") -> Audit:
    """The chain of this process. ``demanded``: the class from which records are, if not by the policy's word."""
    from nearfar.ledger.audit import Audit
    from nearfar.ledger.audit_records import Opened

    assert rules.audit is not None
    opened = Opened(
        process=os.getpid(),
        version=__version__,
        policy=rules.name,
        policy_version=rules.version,
        demanded=demanded or rules.audit.label,
        detectors=detectors,
    )
    return Audit(private(loaded.audit), ids, opened, wait=loaded.settings.audit.wait)


def responses(loaded: Loaded, url: str) -> Responses | None:
    """Where responses are kept, in the database at ``url``; None where the settings keep none."""
    setting = loaded.settings.responses
    if not setting.keep_hours:
        return None
    from nearfar.store.cipher import Cipher  # it needs an extra

    if setting.key:
        key = read_key(secrets.resolve(setting.key, loaded.environ).reveal(), "responses.key")
    else:
        key = own_key(loaded, "responses")
    highest = Class.parse(setting.highest_class)
    return Responses(
        url,
        Cipher(key),
        keep_seconds=round(setting.keep_hours * 3600),
        highest=highest,
        most=setting.most_per_caller,
        most_bytes=setting.most_mb_per_caller * 1_000_000,
    )


def findings(loaded: Loaded) -> Callable[[], Sequence[Finding]]:
    """Reads what probes found out. A database that is not there, or not now, knows nothing: it is not made for this."""
    url = loaded.ledger_url

    def read() -> Sequence[Finding]:
        if url.startswith(_SQLITE) and not Path(url.removeprefix(_SQLITE)).exists():
            return ()
        try:
            with closing(connect(url, wait=1.0)) as connection:
                return capabilities.load(connection)
        except StoreUnavailable:
            return ()

    return read
