"""Output items and the steps that lead to them."""

import json
from typing import Any

import msgspec
from hypothesis import given
from hypothesis import strategies as st
from tests.examples import examples

from nearfar.core.chat import (
    Event,
    Finish,
    LogprobsDelta,
    ReasoningDelta,
    ReasoningSeal,
    RefusalDelta,
    TextDelta,
    ToolCallDelta,
)
from nearfar.wire.openai_responses_conversation import Seal, unsealed
from nearfar.wire.openai_responses_output import Output
from nearfar.wire.openai_responses_tools import Offer, offer

TOOLS: list[Any] = [
    {"type": "function", "name": "f"},
    {"type": "custom", "name": "patch"},
    {"type": "namespace", "name": "git", "tools": [{"type": "function", "name": "log"}]},
]
OFFER: Offer = offer(msgspec.Raw(json.dumps(TOOLS).encode()))


def run(*chunks: tuple[Event, ...]) -> tuple[list[tuple[str, dict[str, Any]]], list[dict[str, Any]]]:
    steps: list[tuple[str, dict[str, Any]]] = []
    # Steps are written down as they are said: the items in them grow on.
    out = Output(lambda kind, members: steps.append((kind, json.loads(json.dumps(members)))), OFFER, "x")
    for chunk in chunks:
        out.add(chunk)
    out.close()
    return steps, out.items


def test_reasoning_then_words_then_calls() -> None:
    steps, items = run(
        (ReasoningDelta("th"),),
        (ReasoningDelta("ink"), TextDelta("a")),
        (ToolCallDelta(0, "c1", "f"),),
        (ToolCallDelta(0, arguments="{}"), Finish("tool_calls")),
    )
    assert [item["type"] for item in items] == ["reasoning", "message", "function_call"]
    assert items[0]["content"] == [{"type": "reasoning_text", "text": "think"}]
    assert items[2]["arguments"] == "{}"
    assert {item["status"] for item in items} == {"completed"}
    assert len({item["id"] for item in items}) == 3
    assert [kind for kind, _ in steps].count("response.output_item.done") == 3


def test_calls_may_interleave_and_text_and_refusal_are_parts_of_one_message() -> None:
    _, items = run(
        (TextDelta("a"), RefusalDelta("b"), TextDelta("c")),
        (ToolCallDelta(0, "c1", "f", "{"), ToolCallDelta(1, "c2", "f", "["), ToolCallDelta(0, arguments="}")),
        (ToolCallDelta(1, arguments="]"),),
    )
    assert [part["type"] for part in items[0]["content"]] == ["output_text", "refusal", "output_text"]
    assert [item["arguments"] for item in items[1:]] == ["{}", "[]"]


def test_each_block_of_reasoning_is_an_item_with_its_seal() -> None:
    _, items = run(
        (ReasoningDelta("a", block=0), ReasoningSeal(signature="s", block=0)),
        (ReasoningSeal(redacted="r", block=1),),
        (ReasoningDelta("b", block=2), ReasoningDelta("c", block=3)),
    )
    assert [item.get("content", [{}])[0].get("text") for item in items] == ["a", None, "b", "c"]
    assert unsealed(items[0]["encrypted_content"]) == Seal(signature="s")
    assert unsealed(items[1]["encrypted_content"]) == Seal(redacted="r")


def test_googles_signature_over_a_turn_does_not_split_its_words() -> None:
    _, items = run((TextDelta("a"), ReasoningSeal(signature="s", vendor="google"), TextDelta("b")))
    assert [item["type"] for item in items] == ["message", "reasoning"]
    assert items[0]["content"][0]["text"] == "ab"
    assert unsealed(items[1]["encrypted_content"]) == Seal(signature="s", vendor="google")


def test_custom_calls_and_namespaces_get_their_names_back() -> None:
    steps, items = run(
        (ToolCallDelta(0, "c1", "patch", '{"input": "a'), ToolCallDelta(0, arguments='b"}')),
        (ToolCallDelta(1, "c2", "git__log", "{}"),),
        (ToolCallDelta(2, "c3", "patch", "not json"),),
        (ToolCallDelta(3, "", "f", "{}"),),
    )
    assert (items[0]["type"], items[0]["input"]) == ("custom_tool_call", "ab")
    assert (items[1]["name"], items[1]["namespace"]) == ("log", "git")
    assert items[2]["input"] == "not json"
    assert items[3]["call_id"], "the client must be able to answer"
    assert "response.custom_tool_call_input.done" in [kind for kind, _ in steps]


def test_log_probabilities_stay_with_their_words() -> None:
    def logprobs(token: str) -> LogprobsDelta:
        entry = {"token": token, "logprob": -1.0, "bytes": None, "top_logprobs": [{"token": "é", "logprob": -2.0}]}
        return LogprobsDelta(msgspec.Raw(json.dumps({"content": [entry], "refusal": None}).encode()))

    steps, items = run((logprobs("a"), TextDelta("a")), (TextDelta("b"), logprobs("b")))
    deltas = [members["logprobs"] for kind, members in steps if kind == "response.output_text.delta"]
    assert [entry["token"] for listed in deltas for entry in listed] == ["a", "b"]
    assert deltas[0][0]["bytes"] == [97]
    assert deltas[0][0]["top_logprobs"][0]["bytes"] == [195, 169]
    assert len(items[0]["content"][0]["logprobs"]) == 2


def test_other_choices_are_nobodys() -> None:
    _, items = run((TextDelta("a", index=1), Finish("length", index=1), TextDelta("b")))
    assert [item["content"][0]["text"] for item in items] == ["b"]
    assert items[0]["status"] == "completed"


_EVENTS: st.SearchStrategy[Event] = st.one_of(
    st.builds(TextDelta, st.text(max_size=3)),
    st.builds(RefusalDelta, st.text(max_size=3)),
    st.builds(ReasoningDelta, st.text(max_size=3), block=st.integers(0, 2)),
    st.builds(ReasoningSeal, signature=st.just("s"), block=st.integers(0, 2), vendor=st.sampled_from(["", "google"])),
    st.builds(
        ToolCallDelta,
        st.integers(0, 2),
        st.sampled_from(["", "c"]),
        st.sampled_from(["", "f", "patch", "git__log"]),
        st.text("{}", max_size=3),
    ),
)


@examples(150)
@given(st.lists(st.lists(_EVENTS, max_size=4).map(tuple), max_size=6))
def test_steps_always_amount_to_the_items(chunks: list[tuple[Event, ...]]) -> None:
    """Whoever replays the steps holds the same items at the end, and everything that began has ended."""
    steps, items = run(*chunks)
    replayed: dict[int, dict[str, Any]] = {}
    words: dict[tuple[int, int], str] = {}
    for kind, members in steps:
        place = members["output_index"]
        if kind == "response.output_item.added":
            assert place == len(replayed)
            replayed[place] = members["item"]
        elif kind == "response.output_item.done":
            assert replayed[place]["status"] == "in_progress"
            replayed[place] = members["item"]
        elif kind.endswith("_text.delta") or kind == "response.refusal.delta":
            at = (place, members["content_index"])
            words[at] = words.get(at, "") + members["delta"]
    assert [replayed[place] for place in sorted(replayed)] == items
    assert all(item["status"] != "in_progress" for item in items)
    for (place, content), text in words.items():
        part = items[place]["content"][content]
        assert (part.get("text") or part.get("refusal")) == text
    said = "".join(event.text for chunk in chunks for event in chunk if isinstance(event, TextDelta))
    parts = [part for item in items if item["type"] == "message" for part in item["content"]]
    assert "".join(part.get("text", "") for part in parts) == said
