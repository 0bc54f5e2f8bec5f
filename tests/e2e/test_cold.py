"""A cold model through the whole program: the cloud answers while it is loaded, with the reason; then it answers."""

from __future__ import annotations

from collections.abc import Callable

from tests import fake_ollama, running, stand_in


def test_a_cold_model_is_loaded_while_the_cloud_answers(
    gateway: Callable[..., running.Gateway], stand_in: stand_in.Running
) -> None:
    with fake_ollama.beside({"llama3.2:latest": 32_768}) as fake:
        near = (
            f'[deployments.near]\nprovider = "ollama"\nmodel = "llama3.2"\nbase_url = "{fake.url}"\nplace = "device"\n'
        )
        config = near + running.far("far", stand_in.url)
        config += running.route("warm", "near", "far", strategy="local-first")
        config += running.route("wait", "near", "far", strategy="local-first", more='cold = "wait"')
        house = gateway(config)
        fake.let(load=False)
        for stream in (False, True):
            reply = house.chat("warm", stream=stream)
            assert (reply.status, reply.headers["x-nearfar-deployment"]) == (200, "far")
            assert (
                "(near: loading" in reply.headers["x-nearfar-reason"]
                or "(near: cold" in reply.headers["x-nearfar-reason"]
            )
        (row,) = house.ask("/nearfar/v1/ps").json["runtimes"]
        assert (row["deployment"], row["state"]) == ("near", "loading")
        fake.let(load=True)
        running.eventually(lambda: house.ask("/nearfar/v1/ps").json["runtimes"][0]["state"] == "loaded")
        assert house.chat("warm").headers["x-nearfar-deployment"] == "near"
        assert [model for model, _ in fake.loads] == ["llama3.2:latest"], "loaded once, for nobody in particular"
        assert not [body for path, body in fake.asked if path == "/api/generate" and body.get("prompt")]

        assert house.ask("/nearfar/v1/unload", {"model": "near"}).status == 200
        assert house.chat("wait").headers["x-nearfar-deployment"] == "near"
        # Warming spends no tokens: nothing of it stands in the ledger.
        running.eventually(lambda: len([entry for entry in house.entries() if entry.outcome == "ok"]) == 4)
        assert {entry.deployment for entry in house.entries()} == {"near", "far"}
