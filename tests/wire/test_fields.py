import pytest

from nearfar.core.conversation import ToolCall
from nearfar.core.errors import BadRequestError
from nearfar.wire import fields


@pytest.mark.parametrize("name", sorted(fields.STEERING))
def test_steering_members_are_refused(name: str) -> None:
    with pytest.raises(BadRequestError) as caught:
        fields.refuse_steering({"model": "x", name: None})
    assert caught.value.param == name


def test_other_members_pass() -> None:
    fields.refuse_steering({"model": "x", "top_k": 4, "store": True})


@pytest.mark.parametrize(
    ("value", "got"),
    [(None, "missing or null"), (True, "true or false"), (1.5, "a number"), ("", "empty"), ({"a": 1}, "an object")],
)
def test_wrong_says_what_came(value: object, got: str) -> None:
    error = fields.wrong("n", value, "a whole number", hint="Use 1.")
    assert error.text == f"n is {got}; it must be a whole number. Use 1."
    assert error.param == "n"


def test_boolean() -> None:
    assert fields.boolean({"stream": True}, "stream")
    assert not fields.boolean({"stream": None}, "stream")
    assert not fields.boolean({}, "stream")
    with pytest.raises(BadRequestError, match="stream is a number"):
        fields.boolean({"stream": 1}, "stream")


def test_integer() -> None:
    assert fields.integer({"n": 3}, "n", high=4) == 3
    assert fields.integer({"n": None}, "n") is None
    for value, says in [(0, "between 1 and 4"), (5, "between 1 and 4"), (True, "whole"), (2.0, "whole"), ("2", "text")]:
        with pytest.raises(BadRequestError, match=says):
            fields.integer({"n": value}, "n", high=4)


@pytest.mark.parametrize("arguments", ["[1]", "{", '{"a":' + "[" * 100_000])
def test_arguments_that_are_no_object_are_refused(arguments: str) -> None:
    with pytest.raises(BadRequestError) as caught:
        fields.call_arguments(ToolCall(id="call_1", name="f", arguments=arguments), "Ollama")
    assert caught.value.code == "unsupported"
