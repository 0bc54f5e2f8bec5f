"""What a cascade asks instead of the client's own bytes, and when it asks just those."""

from __future__ import annotations

import json
from typing import Any

import pytest

from nearfar.core.chat import Request
from nearfar.core.errors import BadRequestError
from nearfar.core.places import Place, Treatment
from nearfar.core.routing import Candidate, Capability, Cascade, Deployment, Ranked
from nearfar.gateway import cascade_asking as asking
from nearfar.wire.anthropic_messages import CLIENT as ANTHROPIC
from nearfar.wire.openai_chat import CLIENT

HELLO = {"role": "user", "content": "hello"}


def request(*messages: dict[str, Any], **more: Any) -> Request:
    body = {"model": "main", "messages": list(messages or (HELLO,)), **more}
    return CLIENT.parse(json.dumps(body).encode(), "req-1")


def deployment(name: str = "near", **more: Any) -> Deployment:
    values: dict[str, Any] = {"model": "m", "base_url": f"http://{name}", **more}
    return Deployment(name=name, provider="p", wire="openai.chat", place=Place.DEVICE, **values)


def ranked(can: bool | None = True, treatment: Treatment = Treatment.CLEAR) -> Ranked:
    capabilities = {"logprobs": Capability(can=can, source="declared")}
    return Ranked(candidate=Candidate(deployment=deployment(capabilities=capabilities)), reason="", treatment=treatment)


def test_log_probabilities_are_asked_for_where_they_are_known() -> None:
    asked = request(temperature=0.5)
    weighed = asking.weighed(asked, ranked())
    assert json.loads(weighed.body) == {**json.loads(asked.body), "logprobs": True}
    assert asked.fields.keys() == {"model", "messages", "temperature"}, "the client's own request stays as it is"
    assert asking.weighed(asked, ranked(None)) is asked
    assert asking.weighed(asked, ranked(treatment=Treatment.MASKED)) is asked
    own = request(logprobs=True)
    assert asking.weighed(own, ranked()) is own


def test_another_purpose_changes_no_byte() -> None:
    asked = request()
    made = asking.purposed(asked, "opinion")
    assert (made.body, made.purpose, asked.purpose) == (asked.body, "opinion", "serve")


@pytest.mark.parametrize("role", ["system", "developer"])
def test_another_style_joins_the_first_instruction(role: str) -> None:
    made, _ = asking.styled(
        request({"role": role, "content": "Be brief."}, HELLO, temperature=0.5, stream=True), CLIENT
    )
    body = json.loads(made.body)
    assert [message["role"] for message in body["messages"]] == [role, "user"]
    assert asking.STYLE in json.dumps(body["messages"][0])
    assert "Be brief." in json.dumps(body["messages"][0])
    assert (body["temperature"], body["stream"], made.stream, made.id) == (0.5, True, True, "req-1")


def test_another_style_of_another_dialect() -> None:
    body = {"model": "main", "max_tokens": 50, "messages": [HELLO]}
    made, wire = asking.styled(ANTHROPIC.parse(json.dumps(body).encode(), "req-1"), ANTHROPIC)
    assert (wire, made.wire, made.max_output) == (CLIENT, CLIENT.name, 50)
    assert "hello" in made.body.decode()


def test_a_dialect_without_conversations_has_no_style() -> None:
    import msgspec

    with pytest.raises(BadRequestError):
        asking.styled(request(), msgspec.structs.replace(CLIENT, conversation=None))


def test_how_answers_are_compared() -> None:
    cascade = Cascade(answers="number")
    assert asking.expected(request(), CLIENT, cascade) == ("number", None)
    assert asking.expected(request(response_format={"type": "json_object"}), CLIENT, cascade) == ("json", None)
    schema = {"type": "object", "required": ["a"]}
    shape = {"type": "json_schema", "json_schema": {"name": "x", "schema": schema}}
    assert asking.expected(request(response_format=shape), CLIENT, cascade) == ("json", schema)


def test_the_same_model() -> None:
    assert asking.same_model(deployment(), deployment())
    assert asking.same_model(deployment(), deployment("twin", base_url="http://near"))
    assert not asking.same_model(deployment(), deployment("other"))
