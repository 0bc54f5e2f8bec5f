"""The list of models: what a client may ask for, and where each would run."""

from __future__ import annotations

from pathlib import Path
from urllib.parse import quote

import pytest
from tests import running
from tests.server.served import loaded, run, served

CONFIG = (
    running.far('"far/large:1"', "http://127.0.0.1:9")
    + running.near("here", "demo-tiny")
    + '\n[routes.mine]\ndeployments = ["far/large:1", "here"]\ndescription = "what I use"\n'
)


def test_all_models(tmp_path: Path) -> None:
    async def scenario() -> None:
        async with served(loaded(tmp_path, CONFIG)) as app:
            reply = await app.ask("/v1/models")
            assert reply.json["object"] == "list"
            rows = {row["id"]: row for row in reply.json["data"]}
            assert {"auto", "local", "cloud", "far/large:1", "here", "mine"} <= set(rows)
            mine = rows["mine"]
            assert (mine["object"], mine["owned_by"]) == ("model", "nearfar")
            assert isinstance(mine["created"], int)
            assert mine["nearfar"]["description"] == "what I use"
            places = {d["name"]: (d["place"], d["place_source"]) for d in mine["nearfar"]["deployments"]}
            assert places == {"far/large:1": ("cloud", "default"), "here": ("device", "embedded")}
            assert rows["here"]["owned_by"] == "embedded"
            prices = {d["name"]: d["price"] for d in mine["nearfar"]["deployments"]}
            assert (prices["far/large:1"]["output"], prices["here"]["id"]) == (10 * 10**9, "free")

    run(scenario())


def test_what_cannot_be_used_is_listed_with_the_reason(tmp_path: Path) -> None:
    config = running.far("keyless", "http://127.0.0.1:9", more='key = "env:NO_SUCH_KEY"') + running.near(
        "here", "demo-tiny"
    )

    async def scenario() -> None:
        async with served(loaded(tmp_path, config + running.route("mine", "keyless", "here"))) as app:
            rows = {row["id"]: row["nearfar"] for row in (await app.ask("/v1/models")).json["data"]}
            assert (rows["keyless"]["usable"], rows["mine"]["usable"]) == (False, True)
            (keyless,) = rows["keyless"]["deployments"]
            assert (keyless["usable"], keyless["place"]) == (False, "cloud")
            assert "env:NO_SUCH_KEY" in keyless["trouble"]
            assert [item["usable"] for item in rows["mine"]["deployments"]] == [False, True]
            refused = await app.chat("keyless")
            assert (refused.status, refused.error["code"]) == (503, "deployment_unusable")
            assert "env:NO_SUCH_KEY" in refused.error["message"]
            assert (await app.ask("/nearfar/v1/ps")).json["unusable"][0]["deployment"] == "keyless"
            ready = await app.ask("/readyz")
            assert ready.status == 200
            assert b"1 not" in ready.body
            assert b"NO_SUCH_KEY" not in ready.body

    run(scenario())


def test_one_model_whose_name_holds_a_slash(tmp_path: Path) -> None:
    async def scenario() -> None:
        async with served(loaded(tmp_path, CONFIG)) as app:
            for path in ("/v1/models/far/large:1", f"/v1/models/{quote('far/large:1', safe='')}"):
                assert (await app.ask(path)).json["id"] == "far/large:1"
            missing = await app.ask("/v1/models/nothing")
            assert (missing.status, missing.error["code"], missing.error["param"]) == (404, "model_not_found", "model")
            assert (await app.ask("/v1/models/")).status == 404

    run(scenario())


def test_a_model_file_that_comes_is_found(tmp_path: Path, tiny_gguf: Path) -> None:
    async def scenario() -> None:
        async with served(loaded(tmp_path, "", discovery__refresh_seconds="0.1")) as app:
            assert (await app.ask("/v1/models/new")).status == 404
            running.add_model(tmp_path, tiny_gguf, "new")
            while (await app.ask("/v1/models/new")).status != 200:
                pass

    run(scenario())


@pytest.mark.parametrize(
    ("headers", "mark"),
    [({}, "object"), ({"anthropic-version": "2023-06-01"}, "has_more"), ({"anthropic-version": "later"}, "has_more")],
)
def test_several_vendors_claim_the_path_and_the_shape_follows_the_headers(
    tmp_path: Path, headers: dict[str, str], mark: str
) -> None:
    async def scenario() -> None:
        async with served(loaded(tmp_path, running.far('"far/a:b"', "http://127.0.0.1:9"))) as app:
            whole = await app.ask("/v1/models?limit=1000", headers=headers)
            assert mark in whole.json
            assert "far/a:b" in {row["id"] for row in whole.json["data"]}
            one = await app.ask("/v1/models/far/a%3Ab", headers=headers)
            assert one.json["id"] == "far/a:b"
            assert ("type" in one.json) == bool(headers)
            none = await app.ask("/v1/models/nobody", headers=headers)
            assert (none.status, none.json.get("type")) == (404, "error" if headers else None)

    run(scenario())
