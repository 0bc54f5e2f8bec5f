"""Messages of any order become turns that alternate, and nothing of them is lost."""

from __future__ import annotations

import itertools
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from nearfar.core.conversation import Message, Text
from nearfar.core.errors import BadRequestError
from nearfar.wire.deviations import Deviations, unsupported
from nearfar.wire.turns import SYSTEM, gather


def refuse(what: str, param: str) -> BadRequestError:
    return unsupported("The target", what, param)


def blocks_of(message: Message) -> list[Any]:
    return [block.text for block in message.blocks if isinstance(block, Text)]


def message(role: str, *texts: str) -> Message:
    return Message(role=role, blocks=[Text(text=text) for text in texts])


def test_runs_of_one_role_are_one_turn_and_empty_ones_none() -> None:
    note = Deviations()
    given_ = [
        message("system", "be terse"),
        message("user", "a"),
        message("assistant"),
        message("tool", "b"),
        message("assistant", "c"),
        message("developer", "late"),
        message("developer"),
    ]
    found = gather(given_, blocks_of, note, refuse, model="model")
    assert found == (["be terse", "late"], [("user", ["a", "b"]), ("model", ["c"])])
    assert note.all() == ("moved:system",)


def test_a_role_that_nobody_knows_is_refused() -> None:
    with pytest.raises(BadRequestError, match="role 'narrator'"):
        gather([message("narrator", "x")], blocks_of, Deviations(), refuse, model="assistant")


ROLES = st.sampled_from(["system", "developer", "user", "assistant", "tool"])


@given(st.lists(st.tuples(ROLES, st.lists(st.text(max_size=3), max_size=2)), max_size=8))
def test_turns_alternate_and_hold_everything(said: list[tuple[str, list[str]]]) -> None:
    system, turns = gather([message(r, *t) for r, t in said], blocks_of, Deviations(), refuse, model="assistant")
    roles = [role for role, _ in turns]
    assert all(one != two for one, two in itertools.pairwise(roles))
    assert all(blocks for _, blocks in turns)
    assert system == [text for role, texts in said if role in SYSTEM for text in texts]
    told = [text for role, texts in said if role not in SYSTEM for text in texts]
    assert [text for _, blocks in turns for text in blocks] == told
