"""Legacy completions through the edge."""

from __future__ import annotations

from pathlib import Path

import pytest
from tests import running, stand_in
from tests.server.served import loaded, run, served


def test_a_chat_answers_and_that_is_told(tmp_path: Path, stand_in: stand_in.Running) -> None:
    async def scenario() -> None:
        async with served(loaded(tmp_path, running.far("far", stand_in.url))) as app:
            asked = {"model": "far", "prompt": "Once", "max_tokens": 4}
            plain = await app.ask("/v1/completions", asked)
            assert (plain.status, plain.json["object"], plain.tried) == (200, "text_completion", ["adapted:prompt"])
            stream = await app.ask("/v1/completions", {**asked, "stream": True})
            *pieces, done = stream.events
            assert done == "[DONE]"
            text = "".join(choice["text"] for piece in pieces for choice in piece["choices"])
            assert text == plain.json["choices"][0]["text"]

    run(scenario())


@pytest.mark.parametrize("body", [b"", b"{}", b"[]", b'{"model":"far"}', b'{"model":"far","prompt":[[]]}'])
def test_bad_bodies(tmp_path: Path, stand_in: stand_in.Running, body: bytes) -> None:
    async def scenario() -> None:
        async with served(loaded(tmp_path, running.far("far", stand_in.url))) as app:
            reply = await app.ask("/v1/completions", body)
            assert (reply.status, reply.error["type"]) == (400, "invalid_request_error")

    run(scenario())
