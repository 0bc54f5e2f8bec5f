"""Restoring the events of a reply: each choice and call for itself, untrusted tools never, nothing lost, order kept."""

from __future__ import annotations

import json

import msgspec
import pytest
from hypothesis import given
from hypothesis import strategies as st
from tests.privacy.masking import ID, find, vault

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
from nearfar.privacy.redact import Redaction
from nearfar.privacy.restore_events import Restorer
from nearfar.privacy.vault import Vault

TRUSTED = frozenset({"write_letter"})


def texts(events: list[Event], index: int = 0) -> str:
    return "".join(event.text for event in events if isinstance(event, TextDelta) and event.index == index)


def arguments(events: list[Event], call: int = 0) -> str:
    return "".join(e.arguments for e in events if isinstance(e, ToolCallDelta) and e.call == call)


def answer(restorer: Restorer, events: list[Event]) -> list[Event]:
    out: list[Event] = []
    for event in events:
        out += restorer.feed([event])
    return [*out, *restorer.flush()]


def test_two_patients_stay_two_patients() -> None:
    # LiteLLM #31959: masks numbered for each message give two patients one, and a letter for one gets the other's name.
    own = vault()
    alice, bob = own.mask("Alice Wong", "person"), own.mask("Bob Chen", "person")
    out = answer(Restorer(own), [TextDelta(f"Letter for {alice}; not for {bob}"), Finish("stop")])
    assert texts(out) == "Letter for Alice Wong; not for Bob Chen"


@pytest.mark.parametrize("size", [1, 2, 3, 5, 100])
def test_arguments_of_a_trusted_tool_are_restored(size: int) -> None:
    # LiteLLM #31950: tool calls of the reply keep their masks.
    own = vault()
    text = json.dumps({"to": own.mask('Bob "B" Chen', "person")})
    pieces = [text[at : at + size] for at in range(0, len(text), size)]
    events: list[Event] = [ToolCallDelta(call=0, id="c", name="write_letter")]
    events += [ToolCallDelta(call=0, arguments=piece) for piece in pieces]
    out = answer(Restorer(own, trusted=TRUSTED), [*events, Finish("tool_calls")])
    assert json.loads(arguments(out)) == {"to": 'Bob "B" Chen'}
    assert out[0] == events[0]
    assert out[-1] == Finish("tool_calls")


@pytest.mark.parametrize("size", [1, 3, 100])
def test_arguments_of_other_tools_stay_masked_and_are_counted(size: int) -> None:
    own = vault()
    text = json.dumps({"q": own.mask("Bob Chen", "person"), "r": own.mask("A123456789", "id")})
    pieces = [text[at : at + size] for at in range(0, len(text), size)]
    events: list[Event] = [ToolCallDelta(call=0, id="c", name="web_search", arguments=pieces[0])]
    events += [ToolCallDelta(call=0, arguments=piece) for piece in pieces[1:]]
    restorer = Restorer(own, trusted=TRUSTED)
    out = answer(restorer, events)
    assert arguments(out) == text
    assert restorer.report.kept == {"tool": 2}


def test_no_tool_is_trusted_unless_it_is_named() -> None:
    own = vault()
    text = json.dumps({"q": own.mask("Bob Chen", "person")})
    for name in ("", "write_letter", "Write_Letter"):
        restorer = Restorer(own, trusted=frozenset() if name == "write_letter" else TRUSTED)
        assert arguments(answer(restorer, [ToolCallDelta(call=0, name=name, arguments=text)])) == text


def test_parallel_calls_in_turns_do_not_mix() -> None:
    own = vault()
    texts_ = [json.dumps({"to": own.mask(f"person {n}", "person")}) for n in range(2)]
    events: list[Event] = [ToolCallDelta(call=n, id=str(n), name="write_letter") for n in range(2)]
    for at in range(0, max(map(len, texts_)), 4):
        events += [ToolCallDelta(call=n, arguments=texts_[n][at : at + 4]) for n in range(2)]
    out = answer(Restorer(own, trusted=TRUSTED), events)
    assert [json.loads(arguments(out, n)) for n in range(2)] == [{"to": "person 0"}, {"to": "person 1"}]


def test_choices_do_not_mix() -> None:
    own = vault()
    mask = own.mask("王小明", "person")
    events: list[Event] = []
    for at in range(0, len(mask), 2):
        events += [TextDelta(mask[at : at + 2], 0), TextDelta("x" + mask[at : at + 2], 1)]
    out = answer(Restorer(own), [*events, Finish("stop", index=0), Finish("stop", index=1)])
    assert texts(out, 0) == "王小明"
    assert texts(out, 1) == "".join("x" + mask[at : at + 2] for at in range(0, len(mask), 2))


def test_held_text_comes_before_what_follows_it() -> None:
    own = vault()
    mask = own.mask("王小明", "person")
    events: list[Event] = [
        TextDelta(f"call {mask}"),
        ToolCallDelta(call=0, id="c", name="t", arguments="{}"),
        Finish("stop"),
    ]
    out = answer(Restorer(own), events)
    assert texts(out) == "call 王小明"
    assert [type(event) for event in out] == [TextDelta, TextDelta, ToolCallDelta, Finish]


def test_another_event_in_between_opens_no_url() -> None:
    own = vault()
    mask = own.mask("王小明", "person")
    events: list[Event] = [TextDelta("![x](https://evil.example/?q="), ReasoningDelta("hm"), TextDelta(f"{mask})")]
    assert texts(answer(Restorer(own), events)) == f"![x](https://evil.example/?q={mask})"


def test_reasoning_and_refusals() -> None:
    own = vault()
    mask = own.mask("王小明", "person")
    events: list[Event] = [
        ReasoningDelta(f"of {mask}"),
        ReasoningSeal("sig"),
        RefusalDelta(f"not {mask}"),
        Finish("stop"),
    ]
    out = answer(Restorer(own), events)
    assert "".join(e.text for e in out if isinstance(e, ReasoningDelta)) == "of 王小明"
    assert "".join(e.text for e in out if isinstance(e, RefusalDelta)) == "not 王小明"
    kinds = [type(event) for event in out]
    assert kinds.index(ReasoningSeal) > max(n for n, kind in enumerate(kinds) if kind is ReasoningDelta)
    kept = answer(Restorer(own, reasoning=False), events)
    assert kept[:2] == events[:2], "signed reasoning must come back unmodified"


def test_a_tool_whose_name_was_masked_is_called_by_its_own() -> None:
    own = vault()
    word = own.word("lookup_A123456789", "tw.national_id")
    [event, *_] = answer(Restorer(own), [ToolCallDelta(call=0, id="c", name=word, arguments="{}")])
    assert isinstance(event, ToolCallDelta)
    assert event.name == "lookup_A123456789"


def test_what_needs_no_change_is_handed_on_as_it_is() -> None:
    own = vault()
    own.mask("王小明", "person")
    event = TextDelta("Hello, ")
    assert Restorer(own).feed([event])[0] is event


@given(
    st.lists(st.sampled_from(["a ", "⟦", "M", "m", "]", "(", "https://", " ", '{"', "."]), max_size=12),
    st.integers(1, 5),
)
def test_any_split_of_events_gives_the_same(parts: list[str], size: int) -> None:
    own = vault()
    mask = own.mask("王小明", "person")
    text = "".join(mask if part == "M" else mask[1:-1] if part == "m" else part for part in parts)
    whole = answer(Restorer(own), [TextDelta(text), Finish("stop")])
    split = answer(
        Restorer(own), [*(TextDelta(text[at : at + size]) for at in range(0, len(text), size)), Finish("stop")]
    )
    assert texts(whole) == texts(split)


def watching(own: Vault | None = None, *, redact: bool = True, reasoning: bool = True) -> Restorer:
    restorer = Restorer(own or vault(), trusted=TRUSTED, reasoning=reasoning)
    restorer.redaction = Redaction(scan=find, own=lambda _: False, redact=redact)
    return restorer


def test_what_a_reply_brings_up_is_redacted_in_every_choice_and_call() -> None:
    own = vault()
    mask = own.mask("Bob Chen", "person")
    events: list[Event] = []
    for make in (ReasoningDelta, TextDelta, RefusalDelta):
        for piece in ("her id: A1234", "56789, for ", mask):
            events += [make(piece, 0), make(piece, 1)]
    events += [
        ToolCallDelta(call=0, id="a", name="web_search", arguments=json.dumps({"q": f"{ID} {mask}"})),
        ToolCallDelta(call=1, id="b", name="write_letter", arguments=json.dumps({"to": f"{ID} {mask}"})),
        Finish("stop", index=0),
        Finish("stop", index=1),
    ]
    restorer = watching(own)
    out = answer(restorer, events)
    said = "[redacted:tw.national_id]"
    assert texts(out, 0) == texts(out, 1) == f"her id: {said}, for Bob Chen"
    assert ID not in json.dumps([msgspec.to_builtins(event) for event in out])
    assert json.loads(arguments(out, 0)) == {"q": f"{said} {mask}"}
    assert json.loads(arguments(out, 1)) == {"to": f"{said} Bob Chen"}
    for kind in (ReasoningDelta, RefusalDelta):
        assert "".join(e.text for e in out if isinstance(e, kind) and not e.index) == f"her id: {said}, for Bob Chen"
    assert restorer.report.kept == {"tool": 1}
    assert restorer.redaction is not None
    assert restorer.redaction.report.kinds == {"tw.national_id": 8}


def test_what_another_event_cuts_in_two_does_not_come_whole() -> None:
    # What was said before a tool call comes before it, so it is decided there; the rest is known by what it follows.
    events: list[Event] = [TextDelta("id A1234"), ToolCallDelta(call=0, id="a", name="t"), TextDelta("56789 yes")]
    assert texts(answer(watching(), events)) == "id A1234[redacted:tw.national_id] yes"


def test_a_call_that_is_whole_comes_before_the_next_one() -> None:
    events: list[Event] = [
        ToolCallDelta(call=0, id="a", name="t", arguments='{"a": 1'),
        ToolCallDelta(call=0, arguments="}"),
        ToolCallDelta(call=1, id="b", name="t", arguments="plain words"),
        ToolCallDelta(call=2, id="c", name="t", arguments="{}"),
        Finish("tool_calls"),
    ]
    out = [event for event in answer(watching(), events) if isinstance(event, ToolCallDelta)]
    assert [event.call for event in out] == sorted(event.call for event in out)
    assert [arguments(list(out), call) for call in range(3)] == ['{"a": 1}', "plain words", "{}"]


def test_redacted_reasoning_loses_its_signature_and_logprobs_are_left_out() -> None:
    events: list[Event] = [
        ReasoningDelta(f"it is {ID}", block=0),
        ReasoningSeal(signature="one", block=0),
        ReasoningDelta("nothing", block=1),
        ReasoningSeal(signature="two", block=1),
        LogprobsDelta(msgspec.Raw(b"{}")),
        Finish("stop"),
    ]
    for reasoning in (True, False):
        restorer = watching(reasoning=reasoning)
        out = answer(restorer, events)
        assert [event.signature for event in out if isinstance(event, ReasoningSeal)] == ["two"]
        assert not any(isinstance(event, LogprobsDelta) for event in out)
        assert restorer.redaction is not None
        assert restorer.redaction.report.dropped == {"logprobs"}
        told = watching(redact=False, reasoning=reasoning)
        assert answer(told, events) == events


def test_a_call_after_the_end_of_its_choice_is_looked_at_too() -> None:
    events: list[Event] = [
        ToolCallDelta(call=0, id="a", name="t", arguments="{}"),
        Finish("tool_calls"),
        ToolCallDelta(call=0, arguments=f" {ID} "),
    ]
    assert ID not in arguments(answer(watching(), events))
