"""Who answers: the gateway that was named, the one that runs, or this process."""

from __future__ import annotations

from pathlib import Path

from tests.cli import serving

from nearfar.cli.session import Here, Remote, open_session
from nearfar.settings.load import Loaded, load


def loaded(tmp_path: Path, **environ: str) -> Loaded:
    return load(environ={"HOME": str(tmp_path), **environ})


def test_a_named_gateway_is_never_replaced_by_this_process(tmp_path: Path) -> None:
    assert isinstance(open_session(loaded(tmp_path), "http://127.0.0.1:1"), Remote)
    assert isinstance(open_session(loaded(tmp_path, NEARFAR_URL="http://127.0.0.1:1"), ""), Remote)


def test_the_one_that_runs_at_the_configured_address(tmp_path: Path, server: serving.Server) -> None:
    port = server.url.rpartition(":")[2]
    session = open_session(loaded(tmp_path, NEARFAR_SERVER__PORT=port), "")
    assert isinstance(session, Remote)
    assert session.where == server.url


def test_else_this_process(tmp_path: Path) -> None:
    with open_session(loaded(tmp_path, NEARFAR_SERVER__PORT="1"), "") as session:
        assert isinstance(session, Here)
