"""Bedrock's dialect at the edge, in this process: paths, errors, keys. boto3 is run in tests/sdk."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

from tests import aws, running, stand_in
from tests.aws import BEDROCK
from tests.server.served import Served, loaded, run, served

HI: dict[str, Any] = {"messages": [{"role": "user", "content": [{"text": "hello"}]}]}


def config(url: str) -> str:
    return running.far("far", url) + running.route('"some/model:2b"', "far")


def test_both_verbs_answer_for_models_of_any_name(tmp_path: Path, stand_in: stand_in.Running) -> None:
    async def scenario(app: Served) -> None:
        for model in ("far", "some%2Fmodel%3A2b", "some/model:2b"):
            reply = await app.ask(f"/model/{model}/converse", HI)
            assert reply.status == 200, reply.body
            assert reply.headers["x-nearfar-deployment"] == "far"
            assert reply.headers["x-amzn-requestid"] == reply.headers["x-nearfar-request"]
            plain = aws.reply(BEDROCK, "Converse", reply.body)
            words = plain["output"]["message"]["content"][0]["text"]
            assert words
            assert plain["stopReason"] == "end_turn"
        stream = await app.ask("/model/far/converse-stream", HI)
        assert stream.headers["content-type"] == "application/vnd.amazon.eventstream"
        events = aws.events(BEDROCK, "ConverseStream", [stream.body])
        deltas = [event["contentBlockDelta"]["delta"]["text"] for event in events if "contentBlockDelta" in event]
        assert "".join(deltas) == words
        assert events[-1]["metadata"]["usage"] == plain["usage"]

    run(_with(tmp_path, config(stand_in.url), scenario))


def test_errors_are_bedrocks(tmp_path: Path, stand_in: stand_in.Running) -> None:
    async def scenario(app: Served) -> None:
        for path, body, status, kind in (
            ("/model/unknown/converse", HI, 404, "ResourceNotFoundException"),
            ("/model/far/invoke", HI, 404, "ResourceNotFoundException"),
            ("/model//converse", HI, 404, "ResourceNotFoundException"),
            ("/model/far/converse", {"messages": []}, 400, "ValidationException"),
            ("/model/far/converse-stream", b"no json", 400, "ValidationException"),
        ):
            reply = await app.ask(path, body)
            assert (reply.status, reply.json["__type"]) == (status, kind), path
            assert reply.json["message"]
        reply = await app.ask("/model/far/converse")
        assert (reply.status, reply.json["__type"]) == (405, "ValidationException")

    run(_with(tmp_path, config(stand_in.url), scenario))


def test_a_signature_is_no_key_where_one_is_needed(tmp_path: Path, stand_in: stand_in.Running) -> None:
    signed = {"authorization": "AWS4-HMAC-SHA256 Credential=AKID/20261122/us-east-1/bedrock/aws4_request, Signature=0"}

    async def scenario(app: Served) -> None:
        reply = await app.ask("/model/far/converse", HI, headers=signed)
        assert (reply.status, json.loads(reply.body)["__type"]) == (401, "AccessDeniedException")

    run(_with(tmp_path, "[server]\nrequire_key = true\n" + config(stand_in.url), scenario))

    async def open_house(app: Served) -> None:
        assert (await app.ask("/model/far/converse", HI, headers=signed)).status == 200

    run(_with(tmp_path / "open", config(stand_in.url), open_house))


async def _with(folder: Path, text: str, scenario: Any) -> None:
    async with served(loaded(folder, text)) as app:
        await scenario(app)
