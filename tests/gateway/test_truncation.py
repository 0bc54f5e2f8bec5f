"""The truncation guard: what texts have at least, and what happens when a runtime reads less."""

from __future__ import annotations

import asyncio
import json
from pathlib import Path
from typing import Any

import msgspec
import pytest
from hypothesis import given
from hypothesis import strategies as st
from tests.fake_ollama import FakeOllama, here
from tests.gateway.house import House, Out, snapshot
from tests.gateway.house import house as make_house
from tests.gateway.house import target as make_target

from nearfar.core.chat import Usage
from nearfar.core.places import Place
from nearfar.gateway.fleet import Target
from nearfar.gateway.truncation import LARGE, least_input, least_tokens, suspicious, was_cut
from nearfar.wire import openai_chat
from nearfar.wire.registry import provider_wire


def suspect(asked: Any, usage: Usage | None) -> int:
    return asyncio.run(suspicious(asked, usage))


LONG = " ".join(f"word{number}" for number in range(6000))


def request(content: Any, **more: Any) -> Any:
    body = {"model": "m", "messages": [{"role": "user", "content": content}], **more}
    return openai_chat.parse(json.dumps(body).encode(), "r")


@pytest.mark.parametrize(
    ("text", "least"),
    [
        ("", 0),
        ("three plain words", 3),
        ("naïve café, über-groß!", 4),
        ("x = f(1, 22)", 4),
        ("四個漢字", 2),
        ("臺北的天氣如何" * 100, 350),
        ("你好 world 123", 3),
        ("こんにちは世界です", 4),
        ("한국어로 씁니다", 3),
        ("ภาษาไทยไม่มีช่องว่าง", 0),
        ("Привет, мир", 2),
        ("-" * 1000 + " " * 1000 + "\n" * 1000, 0),
        ("QUJD" * 500, 0),
    ],
)
def test_at_least(text: str, least: int) -> None:
    assert least_tokens(text) == least


@given(st.text())
def test_least_is_never_more_than_what_is_there(text: str) -> None:
    assert 0 <= least_tokens(text) <= max(1, len(text))


def test_only_what_is_read_counts() -> None:
    parts = [
        {"type": "text", "text": "two words"},
        {"type": "image_url", "image_url": {"url": "data:image/png;base64,AAAA BBBB CCCC"}},
    ]
    assert least_input(request(parts).fields) == 2
    fields = {
        name: msgspec.Raw(msgspec.json.encode(value))
        for name, value in {"input": ["a b", "c"], "user": "x y z"}.items()
    }
    assert least_input(fields) == 3
    assert least_input({"input": msgspec.Raw(b"[1,2,3]")}) == 0, "token ids are no text"


def test_suspicion() -> None:
    asked = request(LONG)
    assert suspect(asked, None) == 0, "what is not reported says nothing"
    assert suspect(asked, Usage(output=3)) == 0
    assert suspect(asked, Usage(input=asked.input_tokens)) == 0
    assert suspect(asked, Usage(input=4096)) == 6000
    assert suspect(request("short"), Usage(input=1)) == 0
    assert suspect(request("臺北的天氣如何" * 2000), Usage(input=2048)) == 7000
    assert suspect(request("很長的中文" * 1632), Usage(input=2048)) == 4080, "8,160 characters, 2,048 read"
    assert suspect(request("臺北的天氣如何" * 2000), Usage(input=7000)) == 0, "half a token a character is usual"


def test_room_for_all_of_it_clears_the_runtime() -> None:
    assert was_cut(6000, 4096)
    assert was_cut(6000, None)
    assert not was_cut(6000, 8192)


def near(fake: FakeOllama, **more: Any) -> Target:
    """A model of an Ollama that the owner declared to be near; its context is not known."""
    port = int(fake.url.rpartition(":")[2])
    made = make_target("near", port, Place.DEVICE, provider="ollama", model="big", **more)
    values = {"base_url": fake.url, "wire": "ollama.chat"}
    wires = {"chat": provider_wire("ollama.chat")}
    return Target(msgspec.structs.replace(made.deployment, **values), wires, ())


async def chat(made: House, *, stream: bool = False) -> Out:
    return await made.chat("main", stream=stream, messages=[{"role": "user", "content": LONG}])


def test_a_prompt_that_was_cut_is_told_of(tmp_path: Path) -> None:
    async def scenario() -> None:
        async with (
            here({"big:latest": 2048}, cuts=True) as fake,
            make_house(tmp_path, snapshot(near(fake), strategy="local-first")) as made,
        ):
            out = await chat(made)
            assert out.status == 200
            assert out.headers["x-nearfar-deviations"] == "truncated:2048/6000"
            [entry] = made.entries()
            assert "truncated:2048/6000" in entry.deviations
            assert made.counted('nearfar_deviations_total{kind="truncated"}') == [
                'nearfar_deviations_total{kind="truncated"} 1'
            ]
            out = await chat(made, stream=True)
            assert out.ended
            note = b": x-nearfar-deviations: truncated:2048/6000\n"
            assert note in out.body
            assert out.body.index(note) < out.body.index(b"data: [DONE]")

    asyncio.run(scenario())


def test_before_the_first_byte_another_one_answers(tmp_path: Path) -> None:
    async def scenario() -> None:
        async with here({"big:latest": 2048}, cuts=True) as cutting, here({"big:latest": 32_768}) as whole:
            second = near(whole)
            second.deployment = msgspec.structs.replace(second.deployment, name="second")
            second = Target(second.deployment, second.wires, ())
            async with make_house(tmp_path, snapshot(near(cutting), second, strategy="local-first")) as made:
                out = await chat(made)
                assert out.status == 200
                assert out.headers["x-nearfar-deployment"] == "second"
                assert out.headers["x-nearfar-deviations"] == "failover:near:truncated"
                assert [(entry.deployment, entry.outcome, entry.error) for entry in made.entries()] == [
                    ("near", "error", "truncated"),
                    ("second", "ok", ""),
                ]
                assert not made.health.snapshot(), "the prompt was too long, nothing is broken"

    asyncio.run(scenario())


def test_a_runtime_that_refuses_to_cut_is_asked_not_to(tmp_path: Path) -> None:
    async def scenario() -> None:
        async with (
            here({"big:latest": 2048}) as fake,
            make_house(tmp_path, snapshot(near(fake), strategy="local-first")) as made,
        ):
            out = await chat(made)
            assert out.status == 400
            assert json.loads(out.body)["error"]["code"] == "context_length_exceeded"

    asyncio.run(scenario())


TEXTS = st.text(st.sampled_from("ab1 \n.,é漢字ก-"), max_size=300) | st.text(max_size=200)


@given(TEXTS, st.integers(1, 40))
def test_in_pieces_it_is_never_more_than_whole(text: str, piece: int) -> None:
    assert least_tokens(text, piece) <= least_tokens(text, len(text) + 1)


@given(st.lists(st.text(st.sampled_from("abc12é"), min_size=1, max_size=9), max_size=60), st.integers(12, 40))
def test_between_words_nothing_is_lost(words: list[str], piece: int) -> None:
    assert least_tokens(" ".join(words), piece) == len(words)


@given(TEXTS)
def test_ascii_is_counted_as_all_other_text(text: str) -> None:
    plain = text.encode("ascii", "ignore").decode()
    assert least_tokens(plain) == least_tokens(plain + " é") - 1


def test_a_long_prompt_is_counted_beside_the_loop() -> None:
    asked = request(LONG * 3)
    assert len(asked.body) > LARGE

    async def scenario() -> int:
        loop = asyncio.get_running_loop()
        passed = asyncio.Event()
        loop.call_soon(passed.set)  # runs although the text is being counted
        least = await suspicious(asked, Usage(input=1000))
        assert passed.is_set()
        return least

    assert asyncio.run(scenario()) == 3 * 6000 - 2
