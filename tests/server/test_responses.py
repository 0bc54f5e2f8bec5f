"""The Responses endpoints: what is kept, for whom, and how sensitive what continues it is."""

from __future__ import annotations

import asyncio
import json
from collections.abc import Callable
from contextlib import closing
from pathlib import Path
from typing import Any

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from tests import running, stand_in
from tests.server.served import Served, loaded, run, served

from nearfar.core.places import Class
from nearfar.store import keys
from nearfar.store.database import connect

PATH = "/v1/responses"
KEEPING = "[responses]\nkeep_hours = 1\n"


def config(url: str, more: str = "") -> str:
    return more + running.far("far", url)


async def create(app: Served, model: str = "far", **members: Any) -> running.Reply:
    more = {name: members.pop(name) for name in ("headers",) if name in members}
    return await app.ask(PATH, {"model": model, "input": "Say something.", **members}, **more)


def test_without_a_store_nothing_is_kept_and_that_is_told(tmp_path: Path, stand_in: stand_in.Running) -> None:
    async def scenario() -> None:
        async with served(loaded(tmp_path, config(stand_in.url))) as app:
            plain = await create(app)
            assert (plain.status, plain.json["store"]) == (200, False)
            assert "dropped:store" not in plain.tried, "nobody asked for it"
            asked = await create(app, store=True)
            assert asked.json["store"] is False
            assert "dropped:store" in asked.tried
            for method in ("GET", "DELETE"):
                reply = await app.ask(f"{PATH}/{plain.json['id']}", method=method)
                assert (reply.status, reply.error["type"]) == (404, "not_found_error")
                assert "keep_hours" in reply.error["message"]
            continued = await create(app, previous_response_id=plain.json["id"])
            assert (continued.status, continued.error["code"]) == (400, "previous_response_not_found")
            assert "keep_hours" in continued.error["message"]
            named = await create(app, input=[{"type": "item_reference", "id": plain.json["output"][0]["id"]}])
            assert (named.status, named.error["param"]) == (400, "input[0]")

    run(scenario())


def test_a_kept_response_is_what_the_client_got(tmp_path: Path, stand_in: stand_in.Running) -> None:
    async def scenario() -> None:
        async with served(loaded(tmp_path, config(stand_in.url, KEEPING))) as app:
            plain = await create(app)
            assert plain.json["store"] is True
            assert (await app.ask(f"{PATH}/{plain.json['id']}")).json == plain.json
            stream = await create(app, stream=True)
            last = stream.events[-1]["response"]
            assert (last["store"], last["status"]) == (True, "completed")
            assert (await app.ask(f"{PATH}/{last['id']}")).json == last
            gone = await app.ask(f"{PATH}/{last['id']}", method="DELETE")
            assert gone.json == {"id": last["id"], "object": "response", "deleted": True}
            assert (await app.ask(f"{PATH}/{last['id']}")).status == 404
            unkept = await create(app, store=False)
            assert (await app.ask(f"{PATH}/{unkept.json['id']}")).status == 404

    run(scenario())


def test_a_continued_conversation_carries_its_words_and_its_class(tmp_path: Path, stand_in: stand_in.Running) -> None:
    here = running.far("here", stand_in.url, more='place = "device"')
    text = config(stand_in.url, KEEPING + 'highest_class = "restricted"\n') + here

    async def scenario() -> None:
        async with served(loaded(tmp_path, text)) as app:
            first = await create(app, "here", input="A secret.", headers={"x-nearfar-class": "restricted"})
            assert first.headers["x-nearfar-class"] == "restricted"
            before = stand_in.report().totals.requests
            refused = await create(app, previous_response_id=first.json["id"], headers={"x-nearfar-class": "public"})
            assert (refused.status, refused.error["code"]) == (403, "egress_denied")
            assert refused.headers["x-nearfar-class"] == "restricted"
            assert stand_in.report().totals.requests == before, "no byte may leave"
            second = await create(app, "here", input="More.", previous_response_id=first.json["id"])
            assert (second.status, second.json["previous_response_id"]) == (200, first.json["id"])
            sent = json.loads(stand_in.report().requests[-1].body)
            assert [message["role"] for message in sent["messages"]] == ["user", "assistant", "user"]
            assert sent["messages"][0]["content"] == "A secret."
            item = first.json["output"][0]["id"]
            named = await create(app, input=[{"type": "item_reference", "id": item}, {"role": "user", "content": "?"}])
            assert (named.status, named.error["code"]) == (403, "egress_denied")

    run(scenario())


def test_a_name_in_escapes_is_the_same_name(tmp_path: Path, stand_in: stand_in.Running) -> None:
    async def scenario() -> None:
        async with served(loaded(tmp_path, config(stand_in.url, KEEPING))) as app:
            first = await create(app, input="A first word.")
            body = json.dumps({"model": "far", "input": "More.", "previous_response_id": first.json["id"]})
            second = await app.ask(PATH, body.replace("previous_", "previous\\u005f").encode())
            assert (second.status, second.json["previous_response_id"]) == (200, first.json["id"])
            sent = json.loads(stand_in.report().requests[-1].body)
            assert [message["role"] for message in sent["messages"]] == ["user", "assistant", "user"]

    run(scenario())


def test_a_class_that_is_too_high_is_not_kept_and_that_is_told(tmp_path: Path, stand_in: stand_in.Running) -> None:
    here = running.far("here", stand_in.url, more='place = "device"')

    async def scenario() -> None:
        async with served(loaded(tmp_path, config(stand_in.url, KEEPING) + here)) as app:
            high = {"x-nearfar-class": "confidential"}
            plain = await create(app, "here", headers=high)
            assert (plain.json["store"], "dropped:store" in plain.tried) == (False, True)
            stream = await create(app, "here", stream=True, headers=high)
            assert "dropped:store" in stream.tried
            stored = [event["response"]["store"] for event in stream.events if "response" in event]
            assert stored == [False] * 3
            for which in (plain.json["id"], stream.events[-1]["response"]["id"]):
                assert (await app.ask(f"{PATH}/{which}")).status == 404

    run(scenario())


def test_to_another_key_it_does_not_exist(tmp_path: Path, stand_in: stand_in.Running) -> None:
    parts = loaded(tmp_path, config(stand_in.url, KEEPING))
    (tmp_path / "state").mkdir()
    with closing(connect(parts.ledger_url)) as connection:
        keys.prepare(connection)
        secrets = [keys.new(connection, name, floor=Class.INTERNAL)[1] for name in ("a", "b")]
    mine, other = ({"authorization": f"Bearer {secret}"} for secret in secrets)

    async def scenario() -> None:
        async with served(parts) as app:
            made = (await create(app, headers=mine)).json["id"]
            never = "resp_never"
            for path in (f"{PATH}/{made}", f"{PATH}/{made}/input_items"):
                assert (await app.ask(path, headers=mine)).status == 200
                foreign = await app.ask(path, headers=other)
                absent = await app.ask(path.replace(made, never), headers=other)
                assert foreign.status == absent.status == 404
                told = [{**reply.error, "request_id": ""} for reply in (foreign, absent)]
                told[0]["message"] = told[0]["message"].replace(made, never)
                assert told[0] == told[1], "nothing but the id differs"
            assert (await app.ask(f"{PATH}/{made}", method="DELETE", headers=other)).status == 404
            assert (await create(app, previous_response_id=made, headers=other)).status == 400
            assert (await app.ask(f"{PATH}/{made}", headers=mine)).status == 200

    run(scenario())


def test_pages_of_items(tmp_path: Path, stand_in: stand_in.Running) -> None:
    async def scenario() -> None:
        async with served(loaded(tmp_path, config(stand_in.url, KEEPING))) as app:
            turns = [{"role": "user", "content": str(number)} for number in range(5)]
            made = (await create(app, input=turns)).json["id"]
            path = f"{PATH}/{made}/input_items"
            whole = (await app.ask(f"{path}?order=asc")).json
            assert [item["content"][0]["text"] for item in whole["data"]] == ["0", "1", "2", "3", "4"]
            assert whole["has_more"] is False
            page = (await app.ask(f"{path}?limit=2")).json
            assert [item["content"][0]["text"] for item in page["data"]] == ["4", "3"]
            assert (page["has_more"], page["last_id"]) == (True, page["data"][-1]["id"])
            rest = (await app.ask(f"{path}?after={page['last_id']}")).json
            assert [item["content"][0]["text"] for item in rest["data"]] == ["2", "1", "0"]
            end = (await app.ask(f"{path}?after={rest['last_id']}")).json
            assert (end["data"], end["first_id"], end["has_more"]) == ([], "", False)
            for query in (
                "order=up",
                "limit=0",
                "limit=101",
                "limit=x",
                "limit=%B2",
                "limit=000000001" + "9" * 5000,
                "after=nothing",
            ):
                assert (await app.ask(f"{path}?{query}")).status == 400

    run(scenario())


def test_what_else_may_be_asked(tmp_path: Path, stand_in: stand_in.Running) -> None:
    async def scenario() -> None:
        async with served(loaded(tmp_path, config(stand_in.url, KEEPING))) as app:
            made = (await create(app)).json["id"]
            cancelled = await app.ask(f"{PATH}/{made}/cancel", b"", method="POST")
            assert (cancelled.status, "background" in cancelled.error["message"]) == (400, True)
            assert (await app.ask(f"{PATH}/{made}?stream=true")).status == 400
            for path in (f"{PATH}/{made}/more", f"{PATH}/../x", f"{PATH}/%2e%2e", f"{PATH}/{'x' * 300}", f"{PATH}/"):
                assert (await app.ask(path)).status == 404
            assert (await app.ask(f"{PATH}/resp_no/cancel", b"", method="POST")).status == 404

    run(scenario())


def test_words_that_look_like_a_reference_travel_as_they_came(tmp_path: Path, stand_in: stand_in.Running) -> None:
    async def scenario() -> None:
        async with served(loaded(tmp_path, config(stand_in.url))) as app:
            words = 'what is an item_reference, or a "previous_response_id"?'
            assert (await create(app, input=words)).status == 200
            assert json.loads(stand_in.report().requests[-1].body)["messages"][0]["content"] == words
            assert (await create(app, input=words, previous_response_id=None)).status == 200

    run(scenario())


def test_a_conversation_cannot_outgrow_the_limit(tmp_path: Path, stand_in: stand_in.Running) -> None:
    parts = loaded(tmp_path, config(stand_in.url, KEEPING), server__max_body_bytes="4096")

    async def scenario() -> None:
        async with served(parts) as app:
            first = await create(app, input="a" * 3000)
            reply = await create(app, input="b" * 3000, previous_response_id=first.json["id"])
            assert (reply.status, reply.error["code"]) == (413, "request_too_large")

    run(scenario())


@pytest.mark.slow
def test_what_one_worker_keeps_the_others_have(
    gateway: Callable[..., running.Gateway], stand_in: stand_in.Running
) -> None:
    several = gateway(config(stand_in.url, KEEPING), arguments=("--workers", "3"))
    made = several.ask(PATH, {"model": "far", "input": "One."}).json["id"]
    assert {several.ask(f"{PATH}/{made}").status for _ in range(20)} == {200}
    asked = {"model": "far", "input": "Two.", "previous_response_id": made}
    assert {several.ask(PATH, asked).status for _ in range(10)} == {200}


_VALUES: st.SearchStrategy[Any] = st.recursive(
    st.none() | st.booleans() | st.integers(-5, 99) | st.text(max_size=5),
    lambda inner: (
        st.lists(inner, max_size=3)
        | st.dictionaries(
            st.sampled_from(["type", "role", "content", "id", "text", "name", "output", "call_id"]), inner
        )
    ),
    max_leaves=8,
)
_NAMES = (
    "input instructions tools tool_choice text reasoning include metadata store stream top_logprobs temperature "
    "max_output_tokens parallel_tool_calls previous_response_id background truncation user model"
)


@pytest.mark.slow
def test_hostile_bodies_are_refused_and_never_break_anything(tmp_path: Path, stand_in: stand_in.Running) -> None:
    async def scenario() -> None:
        async with served(loaded(tmp_path, config(stand_in.url, KEEPING))) as app:

            def check(members: dict[str, Any]) -> None:
                reply = running.ask(app.url, PATH, {"model": "far", "input": "x", **members})
                assert 200 <= reply.status < 500, (members, reply)
                assert reply.status == 200 or reply.error["message"]

            examples = given(st.dictionaries(st.sampled_from(_NAMES.split()), _VALUES))(check)
            quick = settings(max_examples=300, deadline=None, suppress_health_check=list(HealthCheck))(examples)
            await asyncio.to_thread(quick)
            assert (await create(app)).status == 200

    run(scenario())
