"""Google's dialect at the edge, in this process: paths, verbs, lists, counting, errors. Its SDK is run in tests/sdk."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pytest
from tests import running, stand_in
from tests.running import Reply
from tests.server.served import Served, loaded, run, served

from nearfar.core.errors import NotFoundError
from nearfar.server.gemini import target

HI: dict[str, Any] = {"contents": [{"role": "user", "parts": [{"text": "hello"}]}]}
KEY = {"x-goog-api-key": "k"}


def events(reply: Reply) -> list[Any]:
    assert reply.headers["content-type"] == "text/event-stream"
    return running.events(reply.body)


def words(pieces: list[Any]) -> str:
    return "".join(
        part.get("text", "") for piece in pieces for part in piece["candidates"][0]["content"].get("parts", ())
    )


@pytest.mark.parametrize(
    ("path", "found"),
    [
        ("/v1/models/m:generateContent", ("m", "generateContent")),
        ("/v1beta/models/gemma:2b:countTokens", ("gemma:2b", "countTokens")),
        ("/v1/models/org/name:streamGenerateContent", ("org/name", "streamGenerateContent")),
        ("/v1/models/org%2Fname%3A2b%3AembedContent", ("org/name:2b", "embedContent")),
        ("/v1beta1/projects/p/locations/l/publishers/google/models/m:predict", ("m", "predict")),
    ],
)
def test_the_last_colon_parts_the_model_from_the_verb(path: str, found: tuple[str, str]) -> None:
    assert target(path) == found


@pytest.mark.parametrize("path", ["/v1beta/x", "/v1beta/models/", "/v1beta/models/m", "/v1beta/models/:verb"])
def test_a_path_without_them_is_a_404(path: str) -> None:
    with pytest.raises(NotFoundError):
        target(path)


def config(url: str) -> str:
    return running.far("far", url) + running.route('"some/model:2b"', "far")


def test_generate_stream_array_and_embed(tmp_path: Path, stand_in: stand_in.Running) -> None:
    async def scenario(app: Served) -> None:
        for prefix in (
            "/v1/models/",
            "/v1beta/models/",
            "/v1beta1/projects/p/locations/l/publishers/google/models/",
            "/v1/projects/p/locations/l/publishers/google/models/",
        ):
            for model in ("far", "some/model:2b", "some%2Fmodel%3A2b"):
                reply = await app.ask(f"{prefix}{model}:generateContent", HI)
                assert reply.status == 200, reply.body
                assert reply.headers["x-nearfar-deployment"] == "far"
                whole = words([reply.json])
                assert whole
        assert reply.json["candidates"][0]["finishReason"] == "STOP"
        assert reply.json["usageMetadata"]["promptTokenCount"] > 0
        pieces = events(await app.ask("/v1beta/models/far:streamGenerateContent?alt=sse", HI))
        assert words(pieces) == whole
        assert ["finishReason" in piece["candidates"][0] for piece in pieces] == [False] * (len(pieces) - 1) + [True]
        array = await app.ask("/v1beta/models/far:streamGenerateContent", HI)
        assert array.headers["content-type"].startswith("application/json")
        assert words(array.json) == whole
        content = {"content": {"parts": [{"text": "a"}]}}
        one = await app.ask("/v1beta/models/far:embedContent", content)
        assert len(one.json["embedding"]["values"]) > 1
        two = await app.ask("/v1beta/models/far:batchEmbedContents", {"requests": [content, content]})
        assert [len(item["values"]) > 1 for item in two.json["embeddings"]] == [True, True]
        predicted = await app.ask(
            "/v1beta1/projects/p/locations/l/publishers/google/models/far:predict", {"instances": [{"content": "a"}]}
        )
        assert len(predicted.json["predictions"][0]["embeddings"]["values"]) > 1

    run(with_app(tmp_path, config(stand_in.url), scenario))


async def with_app(folder: Path, settings: str, scenario: Any) -> None:
    async with served(loaded(folder, settings)) as app:
        await scenario(app)


def test_lists(tmp_path: Path, stand_in: stand_in.Running) -> None:
    async def scenario(app: Served) -> None:
        plain = (await app.ask("/v1beta/models")).json["models"]
        names = [row["name"] for row in plain]
        assert {"models/far", "models/some/model:2b", "models/auto"} <= set(names)
        row = next(row for row in plain if row["name"] == "models/far")
        assert row["supportedGenerationMethods"][:2] == ["generateContent", "streamGenerateContent"]
        for headers in (KEY, {"x-goog-api-client": "google-genai-sdk/3.4"}):
            assert (await app.ask("/v1/models", headers=headers)).json["models"] == plain
        assert (await app.ask("/v1/models?key=k")).json["models"] == plain
        assert (await app.ask("/v1/models")).json["object"] == "list"
        assert (await app.ask("/v1/models", headers={**KEY, "anthropic-version": "2023-06-01"})).json["data"]
        for path in ("/v1beta/models/some/model:2b", "/v1beta/models/some%2Fmodel%3A2b"):
            assert (await app.ask(path)).json["name"] == "models/some/model:2b"
        assert (await app.ask("/v1/models/far", headers=KEY)).json["name"] == "models/far"
        missing = await app.ask("/v1beta/models/none")
        assert (missing.status, missing.error["status"]) == (404, "NOT_FOUND")
        first = (await app.ask("/v1beta/models?pageSize=2")).json
        second = (await app.ask(f"/v1beta/models?pageSize=1000&pageToken={first['nextPageToken']}")).json
        assert [row["name"] for row in first["models"] + second["models"]] == names
        assert "nextPageToken" not in second
        for bad in ("pageSize=0", "pageSize=1001", "pageSize=x", "pageToken=-1", "pageSize=²"):
            assert (await app.ask(f"/v1beta/models?{bad.replace('²', '%C2%B2')}")).status == 400
        vertex = (await app.ask("/v1beta1/publishers/google/models")).json["publisherModels"]
        assert "publishers/google/models/far" in {row["name"] for row in vertex}
        one = (await app.ask("/v1beta1/publishers/google/models/far")).json
        assert one["name"] == "publishers/google/models/far"

    run(with_app(tmp_path, config(stand_in.url), scenario))


@pytest.mark.parametrize(
    ("method", "path", "body", "status", "word"),
    [
        ("POST", "/v1beta/models/none:generateContent", HI, 404, "NOT_FOUND"),
        ("POST", "/v1beta/models/far:doSomething", HI, 404, "NOT_FOUND"),
        ("POST", "/v1beta/files", HI, 404, "NOT_FOUND"),
        ("GET", "/v1beta/files", None, 405, "UNIMPLEMENTED"),
        ("PUT", "/v1beta/models/far:generateContent", HI, 405, "UNIMPLEMENTED"),
        ("POST", "/v1beta/models/far:generateContent", {}, 400, "INVALID_ARGUMENT"),
        ("POST", "/v1beta/models/far:generateContent", b"\xff{", 400, "INVALID_ARGUMENT"),
        ("POST", "/v1beta/models/far:countTokens", {"contents": 3}, 400, "INVALID_ARGUMENT"),
        ("POST", "/v1beta/models/far:embedContent", {"content": 3}, 400, "INVALID_ARGUMENT"),
        (
            "POST",
            "/v1/models/far:generateContent",
            {**HI, "tools": [{"googleSearch": {}}]},
            403,
            "PERMISSION_DENIED",
        ),
    ],
)
def test_errors_are_googles(
    tmp_path: Path, stand_in: stand_in.Running, method: str, path: str, body: Any, status: int, word: str
) -> None:
    async def scenario(app: Served) -> None:
        reply = await app.ask(path, body, method=method)
        assert (reply.status, reply.error["code"], reply.error["status"]) == (status, status, word)
        assert reply.error["message"]

    run(with_app(tmp_path, config(stand_in.url), scenario))


def test_a_limit_elsewhere_is_told_with_its_wait(tmp_path: Path, stand_in: stand_in.Running) -> None:
    stand_in.behave("429", retry_after=7)

    async def scenario(app: Served) -> None:
        reply = await app.ask("/v1beta/models/far:generateContent", HI)
        assert (reply.status, reply.error["status"]) == (429, "RESOURCE_EXHAUSTED")
        assert {"@type": "type.googleapis.com/google.rpc.RetryInfo", "retryDelay": "7s"} in reply.error["details"]

    run(with_app(tmp_path, config(stand_in.url), scenario))


def test_a_cut_upstream_never_ends_clean(tmp_path: Path, stand_in: stand_in.Running) -> None:
    stand_in.behave("cut", after=2)

    async def scenario(app: Served) -> None:
        reply = await app.ask("/v1beta/models/far:streamGenerateContent?alt=sse", HI)
        last = running.events(reply.body)[-1]
        assert last["error"]["code"] == 502
        assert not reply.clean
        assert b"finishReason" not in reply.body
        array = await app.ask("/v1beta/models/far:streamGenerateContent", HI)
        assert json.loads(array.body)[-1]["error"]["code"] == 502
        assert not array.clean

    run(with_app(tmp_path, config(stand_in.url), scenario))


def test_counting_goes_no_further_than_answering(tmp_path: Path, stand_in: stand_in.Running) -> None:
    async def scenario(app: Served) -> None:
        reply = await app.ask("/v1beta/models/far:countTokens", HI)
        assert reply.json["totalTokens"] > 0
        assert reply.headers["x-nearfar-deviations"] == "estimated:input_tokens"
        whole = {"generateContentRequest": {**HI, "systemInstruction": {"parts": [{"text": "be brief " * 50}]}}}
        more = await app.ask("/v1beta/models/far:countTokens", whole)
        assert more.json["totalTokens"] > reply.json["totalTokens"]

    run(with_app(tmp_path, config(stand_in.url), scenario))
    assert not stand_in.report().requests
