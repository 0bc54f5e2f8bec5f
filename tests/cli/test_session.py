"""Who answers: the gateway that was named, the one that runs, or this process."""

from __future__ import annotations

from pathlib import Path

import pytest
from tests import stand_in
from tests.cli import serving

from nearfar.cli.session import Here, Remote, open_session
from nearfar.core.errors import NotFoundError
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


def body(model: str) -> dict[str, object]:
    return {"model": model, "messages": [{"role": "user", "content": "hello"}], "stream": True, "max_tokens": 500}


def test_whoever_leaves_stops_the_upstream_here_and_at_a_running_gateway(
    tmp_path: Path, server: serving.Server, cloud: stand_in.Running
) -> None:
    config = tmp_path / "config.toml"
    config.write_text(
        f'[deployments.far]\nprovider = "openai-compatible"\nmodel = "stand-in-large"\nbase_url = "{cloud.url}/v1"\n'
        "[discovery]\nloopback = false\nkeys = false\n"
    )
    here = Here(load(config=config, environ={"HOME": str(tmp_path)}))
    there = open_session(loaded(tmp_path), server.url)
    for session in (here, there):
        cloud.behave(chunks=500, chunk_ms=20)
        with session:
            assert session.leave(body("far"), class_="public", purpose="probe")
        while (seen := cloud.ended()).outcome != "cancelled":
            pass  # requests of earlier tests; when there is no further one, this fails
        assert seen.chunks < 500
    cloud.behave()


def test_a_name_that_only_the_newer_configuration_has_is_no_riddle(tmp_path: Path, server: serving.Server) -> None:
    config = tmp_path / "newer.toml"
    config.write_text('[deployments.newer]\nprovider = "embedded"\nmodel = "demo-tiny"\n')
    newer = load(config=config, environ={"HOME": str(tmp_path)})
    with open_session(newer, server.url) as session:
        for name, told in (("newer", True), ("nowhere", False)):
            with pytest.raises(NotFoundError) as raised:
                session.ask(body(name), class_="", show=lambda _: None)
            assert ("restart" in raised.value.hint) is told


def test_a_purpose_travels(tmp_path: Path, server: serving.Server, cloud: stand_in.Running) -> None:
    cloud.behave()
    with open_session(loaded(tmp_path), server.url) as session:
        turn = session.ask(body("far"), class_="public", show=lambda _: None, purpose="probe")
    assert turn.headers["x-nearfar-deployment"] == "far"
