"""Ollama's endpoints over the parts in this process; what its official client makes of them is in tests/sdk."""

from __future__ import annotations

from collections.abc import Awaitable, Callable
from pathlib import Path

from tests import running
from tests.fake_ollama import FakeOllama, here
from tests.gateway.house import FakeEngines
from tests.server.served import Served, loaded, run, served


def config(fake: FakeOllama) -> str:
    near = f'[deployments."ollama/llama3.2:latest"]\nprovider = "ollama"\nmodel = "llama3.2"\nbase_url = "{fake.url}"\n'
    far = running.far("far", "http://127.0.0.1:9") + running.near("here", "demo-tiny")
    return near + 'place = "device"\n' + far + running.route("both", "here", "far")


def test_names_are_looked_up_as_clients_write_them(tmp_path: Path) -> None:
    async def scenario(app: Served) -> None:
        for name in ("ollama/llama3.2:latest", "ollama/llama3.2", "llama3.2:latest", "llama3.2"):
            body = {"model": name, "messages": [{"role": "user", "content": "a b"}], "stream": False}
            reply = await app.ask("/api/chat", body)
            assert (reply.status, reply.headers["x-nearfar-route"]) == (200, "ollama/llama3.2:latest")
        missing = await app.ask("/api/chat", {"model": "llama3.1", "messages": running.HELLO})
        assert (missing.status, "llama3.1" in missing.json["error"]) == (404, True)

    _run(tmp_path, scenario)


def test_only_what_is_proved_to_be_here_is_listed_as_here(tmp_path: Path) -> None:
    """Whoever reads this list to learn where a model runs must not be misled by an owner's word or by a route."""

    async def scenario(app: Served) -> None:
        rows = {row["name"]: row for row in (await app.ask("/api/tags")).json["models"]}
        assert "remote_host" not in rows["here"]
        for name in ("far", "both", "auto", "ollama/llama3.2:latest"):
            assert rows[name]["remote_host"] == "nearfar"
            assert rows[name]["size"] == 0
        shown = await app.ask("/api/show", {"name": "both"})
        assert shown.json["remote_host"] == "nearfar"
        assert len({row["digest"] for row in rows.values()}) == len(rows)

    _run(tmp_path, scenario)


def test_loading_and_unloading(tmp_path: Path) -> None:
    async def scenario(app: Served, fake: FakeOllama) -> None:
        empties: dict[str, dict[str, list[str]]] = {
            "generate": {},
            "chat": {"messages": []},
            "embed": {"input": []},
            "embeddings": {},
        }
        for path, empty in empties.items():
            fake.loaded.clear()
            reply = await app.ask(f"/api/{path}", {"model": "llama3.2", **empty})
            assert reply.status == 200
            assert fake.loaded, path
            if path in {"generate", "chat"}:
                assert (reply.json["done"], reply.json["done_reason"]) == (True, "load")
            reply = await app.ask(f"/api/{path}", {"model": "llama3.2", "keep_alive": "0s", **empty})
            assert reply.status == 200
            assert not fake.loaded, path
        fake.fail = 500
        reply = await app.ask("/api/generate", {"model": "llama3.2"})
        assert reply.status == 502
        assert "out of memory" in reply.json["error"]
        assert (await app.ask("/api/generate", {"model": "far", "keep_alive": 0})).json["done_reason"] == "unload"

    async def outer() -> None:
        async with here({"llama3.2:latest": 8192}) as fake, served(loaded(tmp_path, config(fake))) as app:
            await scenario(app, fake)

    run(outer())


def test_what_changes_models_is_refused(tmp_path: Path) -> None:
    async def scenario(app: Served) -> None:
        for method, path in (
            ("POST", "pull"),
            ("POST", "push"),
            ("POST", "create"),
            ("POST", "copy"),
            ("DELETE", "delete"),
            ("POST", "blobs/sha256:0"),
            ("HEAD", "blobs/sha256:0"),
        ):
            reply = await app.ask(f"/api/{path}", {"model": "x"} if method != "HEAD" else None, method=method)
            assert reply.status == 400
            assert method == "HEAD" or "nearfar models add" in reply.json["error"]

    _run(tmp_path, scenario)


def test_who_speaks(tmp_path: Path) -> None:
    async def scenario(app: Served) -> None:
        found = (await app.ask("/api/version")).json
        assert found["nearfar"]
        assert (await app.ask("/api/chat", method="PUT")).status == 405
        assert isinstance((await app.ask("/api/none")).json["error"], str)
        assert (await app.ask("/", method="HEAD")).status == 200

    _run(tmp_path, scenario)


def _run(folder: Path, scenario: Callable[[Served], Awaitable[None]]) -> None:
    async def outer() -> None:
        async with (
            here({"llama3.2:latest": 8192}) as fake,
            served(loaded(folder, config(fake)), engines=FakeEngines()) as app,
        ):
            await scenario(app)

    run(outer())
