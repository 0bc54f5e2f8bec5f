"""Items as they are kept and listed."""

import json
from typing import Any

import msgspec
import pytest
from openai.types.responses import ResponseItem
from pydantic import TypeAdapter

from nearfar.core.errors import BadRequestError
from nearfar.wire.openai_responses_items import as_items, listed

ITEM: TypeAdapter[Any] = TypeAdapter(ResponseItem)


def raw(value: object) -> msgspec.Raw:
    return msgspec.Raw(json.dumps(value).encode())


def test_a_text_is_the_users_message() -> None:
    [item] = as_items(raw("hi"))
    assert json.loads(bytes(item)) == {
        "type": "message",
        "role": "user",
        "content": [{"type": "input_text", "text": "hi"}],
    }
    assert as_items(None) == []
    assert [bytes(item) for item in as_items(raw([1, {"a": 2}]))] == [b"1", b'{"a": 2}']
    for bad in (7, {"a": 1}, True):
        with pytest.raises(BadRequestError):
            as_items(raw(bad))


def test_the_official_client_can_read_every_listed_item() -> None:
    items = [
        {"role": "user", "content": "u"},
        {"role": "developer", "content": [{"type": "input_text", "text": "d"}]},
        {"role": "assistant", "content": "a"},
        {"type": "function_call", "call_id": "c", "name": "f", "arguments": "{}"},
        {"type": "function_call_output", "call_id": "c", "output": "rain"},
        {"type": "reasoning", "id": "rs_1", "summary": []},
        {"type": "custom_tool_call", "call_id": "c", "name": "f", "input": "x"},
    ]
    found = listed(raw(items), "m")
    for item in found:
        ITEM.validate_python(item)
    assert len({item["id"] for item in found}) == len(items)
    assert found[5]["id"] == "rs_1"
    assert found[0]["id"] == "msg_m_in0"
