"""``nearfar keys``: a secret is shown once and stored nowhere."""

from __future__ import annotations

import pytest
from tests.cli.conftest import Cli

from nearfar.store.keyring import KeyRing


@pytest.fixture
def keyed(cli: Cli, database_url: str) -> Cli:
    cli.environ["NEARFAR_LEDGER__URL"] = database_url
    return cli


def test_a_key_from_its_making_to_its_end(keyed: Cli) -> None:
    made = keyed("keys", "new", "ward 7", "--class", "confidential", "--json").json
    assert made["key"].startswith("nf-")
    assert (made["name"], made["class"]) == ("ward 7", "confidential")

    listed = keyed("keys", "ls", "--json")
    assert made["key"] not in listed.out
    (row,) = listed.json["keys"]
    assert (row["id"], row["last4"], row["revoked"]) == (made["id"], made["key"][-4:], None)
    assert made["key"] not in keyed("keys", "ls").out

    ring = KeyRing(keyed.environ["NEARFAR_LEDGER__URL"])
    ring.start()
    try:
        assert ring.lookup(made["key"]) is not None
        revoked = keyed("keys", "revoke", "ward 7")
        assert revoked.out == f"ward 7 ({made['id']}) is revoked\n"
        assert "make one with `nearfar keys new NAME`" in revoked.err, "how the door is opened again"
        ring.refresh()
        assert ring.lookup(made["key"]) is None
    finally:
        ring.close()
    assert keyed("keys", "ls", "-q").out == ""
    assert "nobody is served" in keyed("keys", "ls").err, "revoking the last key closes the door"
    assert keyed("keys", "ls", "-q", "--revoked").out == f"{made['id']}\n"


def test_an_operators_key(keyed: Cli) -> None:
    made = keyed("keys", "new", "ops", "--operator", "--json").json
    plain = keyed("keys", "new", "app", "--json").json
    assert (made["operator"], plain["operator"]) == (True, False)
    assert [row["operator"] for row in keyed("keys", "ls", "--json").json["keys"]] == [True, False]
    ring = KeyRing(keyed.environ["NEARFAR_LEDGER__URL"])
    ring.start()
    try:
        found = [ring.lookup(item["key"]) for item in (made, plain)]
        assert [caller is not None and caller.operator for caller in found] == [True, False]
    finally:
        ring.close()


def test_only_the_secret_is_on_standard_output(cli: Cli) -> None:
    result = cli("keys", "new", "me")
    assert result.out.startswith("nf-")
    assert len(result.out.splitlines()) == 1
    assert "cannot be shown again" in result.err
    assert cli("keys", "new", "me", "-q").err == ""
    database = (cli.home / ".local/state/nearfar/ledger.db").read_bytes()
    assert result.out.strip().encode() not in database


@pytest.mark.parametrize(
    ("args", "code", "told"),
    [
        (("new", "me", "--class", "secret"), 2, "restricted"),
        (("new", " "), 1, "printable"),
        (("revoke", "nobody"), 1, "keys ls"),
    ],
)
def test_what_cannot_be_done(cli: Cli, args: tuple[str, ...], code: int, told: str) -> None:
    result = cli("keys", *args)
    assert (result.code, result.out) == (code, "")
    assert told in result.err
