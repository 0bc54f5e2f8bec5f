"""When a caller's key is needed."""

from __future__ import annotations

from contextlib import closing
from pathlib import Path

import pytest
from tests.parts.built import gateway, loaded

from nearfar.core.places import Class
from nearfar.parts.keys import has_keys, is_loopback, needed
from nearfar.store import keys
from nearfar.store.database import connect


@pytest.mark.parametrize(
    ("host", "bound"),
    [
        ("127.0.0.1", True),
        ("127.9.9.9", True),
        ("::1", True),
        ("localhost", True),
        ("0.0.0.0", False),
        ("::", False),
        ("192.168.1.2", False),
        ("127.example.org", False),
        ("127.0.0.1.example.org", False),
    ],
)
def test_what_reaches_nobody_but_this_machine(host: str, bound: bool) -> None:
    assert is_loopback(host) is bound


@pytest.mark.parametrize(
    ("host", "said", "without", "with_one"),
    [
        ("127.0.0.1", None, False, True),
        ("127.0.0.1", "true", True, True),
        ("127.0.0.1", "false", False, False),
        ("0.0.0.0", None, True, True),
    ],
)
def test_when_a_key_is_needed(tmp_path: Path, host: str, said: str | None, without: bool, with_one: bool) -> None:
    config = "" if said is None else f"[server]\nrequire_key = {said}\n"
    settings = loaded(tmp_path, config, server__host=host)
    with gateway(settings) as made:
        made._ring.refresh()
        assert made.keys.required is needed(settings) is without
        assert not has_keys(settings)
        with closing(connect(settings.ledger_url)) as connection:
            key, secret = keys.new(connection, "anna", floor=Class.RESTRICTED)
        made._ring.refresh()
        assert made.keys.required is with_one
        assert has_keys(settings)
        caller = made.keys.lookup(secret)
        assert caller is not None
        assert (caller.id, caller.floor) == (key.id, Class.RESTRICTED)
        with closing(connect(settings.ledger_url)) as connection:
            keys.revoke(connection, key.id)
        made._ring.refresh()
        assert made.keys.lookup(secret) is None
        assert made.keys.required is needed(settings) is with_one, "revoking the last key opens no door"
        assert not has_keys(settings)
