from __future__ import annotations

import re

import pytest

from nearfar.engine.child_tools import HERMES, LLAMA, MISTRAL, ToolReader, known_format, new_id

ONE = '{"name": "look_up", "arguments": {"word": "貓"}}'
TWO = '{"name": "add", "arguments": {"a": 1}}'
BOTH = [("look_up", '{"word": "貓"}'), ("add", '{"a": 1}')]
NAMELESS = '<tool_call>{"name": "", "arguments": {}}</tool_call>'
LISTED = '<tool_call>{"name": "x", "arguments": [1]}</tool_call>'
TAGGED = '<|python_tag|>{"name": "f", "parameters": {}}; {"name": "g", "parameters": {}}'

Calls = list[tuple[str, str]]
CASES: list[tuple[str, str, str, Calls]] = [
    (HERMES, f"<tool_call>\n{ONE}\n</tool_call>", "", [("look_up", '{"word": "貓"}')]),
    (HERMES, f"Let me see. <tool_call>{ONE}</tool_call>\n<tool_call>{TWO}</tool_call>", "Let me see. ", BOTH),
    (HERMES, f"<tool_call>{ONE}", "", [("look_up", '{"word": "貓"}')]),
    (HERMES, "<tool_call>{broken</tool_call>", "<tool_call>{broken</tool_call>", []),
    (HERMES, f"<tool_call>{ONE}</tool_call> and more", f"<tool_call>{ONE}</tool_call> and more", []),
    (HERMES, "a <tool", "a <tool", []),
    (HERMES, "plain", "plain", []),
    (HERMES, '<tool_call>{"name": "x", "arguments": "{\\"a\\": 1}"}</tool_call>', "", [("x", '{"a": 1}')]),
    (HERMES, '<tool_call>{"name": "x"}</tool_call>', "", [("x", "{}")]),
    (HERMES, NAMELESS, NAMELESS, []),
    (HERMES, LISTED, LISTED, []),
    (MISTRAL, f"[TOOL_CALLS] [{ONE}, {TWO}]", "", BOTH),
    (MISTRAL, '[TOOL_CALLS]add[ARGS]{"a": 1}[TOOL_CALLS]f[ARGS]{}', "", [("add", '{"a": 1}'), ("f", "{}")]),
    (MISTRAL, "[TOOL_CALLS]add[ARGS]{", "[TOOL_CALLS]add[ARGS]{", []),
    (LLAMA, '{"name": "add", "parameters": {"a": 1}}', "", [("add", '{"a": 1}')]),
    (LLAMA, TAGGED, "", [("f", "{}"), ("g", "{}")]),
    (LLAMA, '{"name": "f", "parameters": {"s": "a;b"}}', "", [("f", '{"s": "a;b"}')]),
    (LLAMA, '{"not": "a call"}', '{"not": "a call"}', []),
    (LLAMA, 'See {"name": "f", "parameters": {}}', 'See {"name": "f", "parameters": {}}', []),
    (LLAMA, "  ", "  ", []),
    (LLAMA, "<|pyt", "<|pyt", []),
    ("", f"<tool_call>{ONE}</tool_call>", f"<tool_call>{ONE}</tool_call>", []),
]


@pytest.mark.parametrize(("form", "text", "shown", "calls"), CASES)
def test_calls_are_found_however_the_text_is_cut(form: str, text: str, shown: str, calls: Calls) -> None:
    for size in (1, 2, 5, len(text)):
        reader = ToolReader(form)
        out = "".join(reader.feed(text[at : at + size]) for at in range(0, len(text), size))
        rest, found = reader.close()
        assert (out + rest, [(call.name, call.arguments) for call in found]) == (shown, calls)


def test_text_that_is_no_call_is_not_held() -> None:
    reader = ToolReader(HERMES)
    assert [reader.feed(piece) for piece in ("1 <", "2 <tool", "ing <tool_call>")] == ["1 ", "<2 ", "<tooling "]
    llama = ToolReader(LLAMA)
    assert [llama.feed(piece) for piece in (" ", "a", "{")] == ["", " a", "{"]


@pytest.mark.parametrize(
    ("template", "form"),
    [
        ("… <tool_call>{{ call }}</tool_call> …", HERMES),
        ("{{ '[TOOL_CALLS] ' }}", MISTRAL),
        ("<|python_tag|> and [x]", LLAMA),
        ("{{ messages }}", ""),
    ],
)
def test_the_template_says_which_format(template: str, form: str) -> None:
    assert known_format(template) == form


def test_ids_are_such_as_mistral_takes() -> None:
    ids = {new_id() for _ in range(100)}
    assert len(ids) == 100
    assert all(re.fullmatch("[A-Za-z0-9]{9}", one) for one in ids)


@pytest.mark.parametrize(
    ("form", "begun"), [(HERMES, "<tool_call>{"), (MISTRAL, "[TOOL_CALLS]f[ARGS]{"), (LLAMA, "<|python_tag|>{")]
)
@pytest.mark.parametrize("rest", ["\n" * 200_000 + "x", '"a":' + "[" * 100_000])
def test_a_model_that_loops_in_a_call_costs_no_more_than_its_text(form: str, begun: str, rest: str) -> None:
    # Small models write blank lines without an end. Read with a reader that goes back, these would take ten minutes.
    reader = ToolReader(form)
    reader.feed(begun + rest)
    text, calls = reader.close()
    assert (text, calls) == (begun + rest, [])
