"""What operators ask."""

from __future__ import annotations

from pathlib import Path

import pytest
from tests import running, stand_in
from tests.fake_ollama import here
from tests.server.served import loaded, run, served

from nearfar import __version__
from nearfar.core.engines import Endpoint, EngineStatus


class Engines:
    """Knows one model."""

    def __init__(self) -> None:
        self.unloaded: list[str] = []

    async def acquire(self, model: str, owner: str = "") -> Endpoint:
        raise NotImplementedError

    def release(self, model: str, owner: str = "") -> None:
        raise NotImplementedError

    async def status(self) -> list[EngineStatus]:
        return [EngineStatus(model="tiny", state="ready", pid=7, context=512)]

    async def unload(self, model: str) -> bool:
        self.unloaded.append(model)
        return model == "tiny"

    async def close(self) -> None:
        return


def test_where_clients_look_first(tmp_path: Path) -> None:
    async def scenario() -> None:
        async with served(loaded(tmp_path)) as app:
            assert (await app.ask("/")).json == {"name": "nearfar", "version": __version__, "openai_base_url": "/v1"}
            assert (await app.ask("/livez")).json == {"status": "ok"}

    run(scenario())


def test_ready_means_that_requests_can_be_accounted_for(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    async def scenario() -> None:
        async with served(loaded(tmp_path, running.far("far", "http://127.0.0.1:9"))) as app:
            ready = await app.ask("/readyz")
            assert (ready.status, ready.json["status"]) == (200, "ok")
            assert {check["name"]: check["ok"] for check in ready.json["checks"]} == {
                "ledger": True,
                "deployments": True,
            }
            full = type("Journal", (), {"accepting": False, "reason": "The disk is full.", "waiting": 1})()
            monkeypatch.setattr(app.gateway._ledger, "health", lambda: full)
            broken = await app.ask("/readyz")
            assert (broken.status, broken.json["status"]) == (503, "unavailable")
            assert broken.json["checks"][0]["detail"] == "The disk is full."

    run(scenario())


def test_without_an_audit_what_needs_records_is_said_to_stop_and_nothing_else(tmp_path: Path) -> None:
    asked = running.far("far", "http://127.0.0.1:9")

    async def scenario(config: str, status: int, word: str, told: str) -> None:
        given = loaded(tmp_path, f'[policy]\npreset = "team"\n{config}', engine__enabled="false")
        async with served(given) as app:
            ready = (await app.ask("/readyz")).json
            assert {"name": "audit", "ok": True, "detail": ""} in ready["checks"]
            audit = app.gateway._audit
            assert audit is not None
            audit.reason = "The audit in /somewhere cannot be written."
            broken = await app.ask("/readyz")
            assert (broken.status, broken.json["status"]) == (status, word)
            [check] = [check for check in broken.json["checks"] if check["name"] == "audit"]
            assert check["detail"] == f"no record can be written, so what is confidential or higher {told}"
            audit.submit(audit._opened).result(10)  # the disk is well, which asking for readiness makes it find out
            assert (await app.ask("/readyz")).json["status"] == "ok"

    run(scenario(asked, 503, "unavailable", "is refused"))
    here = running.far("here", "http://127.0.0.1:9", more='place = "lan"')
    run(scenario(asked + here, 200, "degraded", "stays near"))


def test_without_any_deployment_and_without_looking_it_is_not_ready(tmp_path: Path) -> None:
    async def scenario() -> None:
        async with served(loaded(tmp_path, "", engine__enabled="false")) as app:
            assert (await app.ask("/readyz")).status == 503

    run(scenario())


def test_metrics_are_prometheus_text(tmp_path: Path, stand_in: stand_in.Running) -> None:
    async def scenario() -> None:
        async with served(loaded(tmp_path, running.far("far", stand_in.url))) as app:
            await app.chat("far")
            await app.chat("nothing")
            reply = await app.ask("/metrics")
            assert reply.headers["content-type"].startswith("text/plain; version=0.0.4")
            text = reply.body.decode()
            assert "nearfar_attempts_total{" in text
            assert 'nearfar_rejected_requests_total{code="model_not_found"} 1' in text
            assert "hello" not in text
            assert "nothing" not in text, "what clients invent makes no series"

    run(scenario())


def test_what_is_loaded_and_what_rests(tmp_path: Path, stand_in: stand_in.Running) -> None:
    async def scenario() -> None:
        config = running.far("far", stand_in.url, behaviour={"mode": "429", "retry_after": 9})
        async with served(loaded(tmp_path, config), engines=Engines()) as app:
            await app.chat("far")
            shown = (await app.ask("/nearfar/v1/ps")).json
            assert [(row["model"], row["pid"]) for row in shown["models"]] == [("tiny", 7)]
            (rest,) = shown["cooling"]
            assert (rest["deployment"], rest["reason"], rest["kind"]) == ("far", "rate_limit_exceeded", "limit")
            assert 0 < rest["seconds"] <= 9

    run(scenario())


@pytest.mark.parametrize(
    ("body", "status"),
    [
        (b'{"model": "tiny"}', 200),
        (b'{"model": "other"}', 404),
        (b'{"model": 1}', 400),
        (b'{"model": "\xff"}', 400),
        (b'{"model": ' + b"[" * 100_000, 400),
        (b"{}", 400),
        (b"[", 400),
    ],
)
def test_unload(tmp_path: Path, body: bytes, status: int) -> None:
    async def scenario() -> None:
        engines = Engines()
        async with served(loaded(tmp_path), engines=engines) as app:
            assert (await app.ask("/nearfar/v1/unload", body)).status == status
            assert engines.unloaded == ([] if status == 400 else ["tiny" if status == 200 else "other"])

    run(scenario())


def test_models_of_other_runtimes_are_shown_loaded_and_unloaded(tmp_path: Path) -> None:
    async def scenario() -> None:
        async with here({"llama3.2:latest": 8192}) as fake:
            near = f'[deployments.near]\nprovider = "ollama"\nmodel = "llama3.2"\nbase_url = "{fake.url}"\n'
            config = near + running.far("far", "http://127.0.0.1:9")
            async with served(loaded(tmp_path, config), engines=Engines()) as app:
                (row,) = (await app.ask("/nearfar/v1/ps")).json["runtimes"]
                assert (row["deployment"], row["state"]) == ("near", "cold")
                reply = await app.ask("/nearfar/v1/load", {"model": "near"})
                assert (reply.status, reply.json["state"], reply.json["context"]) == (200, "loaded", 4096)
                (row,) = (await app.ask("/nearfar/v1/ps")).json["runtimes"]
                assert (row["state"], row["context"]) == ("loaded", 4096)
                assert (await app.ask("/nearfar/v1/unload", {"model": "near"})).status == 200
                assert fake.loaded == {}
                assert (await app.ask("/nearfar/v1/unload", {"model": "near"})).status == 404
                refused = await app.ask("/nearfar/v1/load", {"model": "far"})
                assert (refused.status, refused.error["code"]) == (400, "unsupported")
                assert (await app.ask("/nearfar/v1/load", {"model": "none"})).status == 404
                assert (await app.ask("/nearfar/v1/load", b"[")).status == 400

    run(scenario())


def test_without_an_engine_nothing_is_loaded(tmp_path: Path) -> None:
    async def scenario() -> None:
        async with served(loaded(tmp_path, "", engine__enabled="false")) as app:
            told = (await app.ask("/nearfar/v1/ps")).json
            assert told == {
                "models": [],
                "runtimes": [],
                "cooling": [],
                "unusable": [],
                "loads": [],
                "configuration": app.gateway.digest,
            }
            assert app.gateway.digest
            assert (await app.ask("/nearfar/v1/unload", {"model": "tiny"})).status == 404

    run(scenario())
