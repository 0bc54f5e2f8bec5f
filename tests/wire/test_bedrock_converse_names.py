"""Bedrock's names: families and versions of models, ids of calls."""

import re

import pytest
from hypothesis import given
from hypothesis import strategies as st
from tests import aws

from nearfar.wire.bedrock_converse_names import call_id, family, version

ARN = "arn:aws:bedrock:us-east-1:123456789012:inference-profile/eu.anthropic.claude-opus-4-7"


@pytest.mark.parametrize(
    ("model", "kind", "number"),
    [
        ("anthropic.claude-3-5-sonnet-20241022-v2:0", "claude", (0, 0)),
        ("us.anthropic.claude-sonnet-4-5-20250929-v1:0", "claude", (4, 5)),
        ("anthropic.claude-opus-4-20250514-v1:0", "claude", (4, 0)),
        ("global.anthropic.claude-haiku-5-5", "claude", (5, 5)),
        (ARN, "claude", (4, 7)),
        ("apac.amazon.nova-pro-v1:0", "nova", (0, 0)),
        ("openai.gpt-oss-20b-1:0", "openai", (0, 0)),
        ("arn:aws:bedrock:us-east-1:123456789012:provisioned-model/abcdefghijkl", "", (0, 0)),
        ("claude-sonnet-5-5", "", (0, 0)),
    ],
)
def test_what_an_id_says(model: str, kind: str, number: tuple[int, int]) -> None:
    assert (family(model), version(model)) == (kind, number)


ids = aws.operation(aws.BEDROCK, "Converse").input_shape.members["messages"].member.members["content"].member
PATTERN = ids.members["toolUse"].members["toolUseId"].metadata


@given(st.text(max_size=150), st.text(max_size=150))
def test_ids_fit_the_service_model_and_stay_apart(one: str, other: str) -> None:
    for text in (one, other):
        found = call_id(text)
        assert re.fullmatch(PATTERN["pattern"], found)
        assert PATTERN["min"] <= len(found) <= PATTERN["max"]
        assert found == call_id(text)
        if re.fullmatch(PATTERN["pattern"], text) and len(text) <= PATTERN["max"]:
            assert found == text
    if one != other and min(len(one), len(other)) > PATTERN["max"]:
        assert call_id(one) != call_id(other)
