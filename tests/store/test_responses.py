"""Stored responses, on both databases."""

from __future__ import annotations

import os
from collections.abc import Iterator
from contextlib import closing

import pytest

from nearfar.core.errors import StoreUnavailable
from nearfar.core.places import Class
from nearfar.store.cipher import Cipher
from nearfar.store.database import connect
from nearfar.store.responses import PURGE_SECONDS, Responses

KEY = os.urandom(32)
WORDS = b'{"id":"r","output":"the patient has a secret"}'
ITEMS = b'[{"role":"user","content":"tell nobody"}]'


class Clock:
    """Time that stands until it is moved."""

    now = 1_790_000_000.0

    def __call__(self) -> float:
        return self.now


def opened(url: str, clock: Clock, *, key: bytes = KEY, highest: Class = Class.INTERNAL) -> Responses:
    return Responses(url, Cipher(key), keep_seconds=3600, highest=highest, clock=clock)


@pytest.fixture
def clock() -> Clock:
    return Clock()


@pytest.fixture
def responses(database_url: str, clock: Clock) -> Iterator[Responses]:
    made = opened(database_url, clock)
    yield made
    made.close()


def keep(responses: Responses, id_: str = "resp_1", owner: str = "key_a", class_: Class = Class.INTERNAL) -> bool:
    return responses.put(id=id_, owner=owner, class_=class_, response=WORDS, input=ITEMS)


def test_it_is_its_owners_until_its_time_is_over(responses: Responses, clock: Clock) -> None:
    assert keep(responses)
    found = responses.get("resp_1", "key_a")
    assert found is not None
    assert (bytes(found.response), bytes(found.input), found.class_) == (WORDS, ITEMS, Class.INTERNAL)
    assert (found.created, found.expires) == (1_790_000_000, 1_790_003_600)
    assert responses.get("resp_1", "key_b") is None
    assert responses.get("resp_1", "") is None
    assert responses.get("resp_2", "key_a") is None
    clock.now += 3600
    assert responses.get("resp_1", "key_a") is None
    assert not responses.delete("resp_1", "key_a")


def test_it_can_be_forgotten_by_its_owner_alone(responses: Responses) -> None:
    keep(responses)
    assert not responses.delete("resp_1", "key_b")
    assert responses.delete("resp_1", "key_a")
    assert not responses.delete("resp_1", "key_a")
    assert responses.get("resp_1", "key_a") is None


def test_a_taken_id_stays_whose_it_is(responses: Responses) -> None:
    assert keep(responses)
    assert not keep(responses, owner="key_b")
    assert responses.get("resp_1", "key_b") is None


def test_a_higher_class_is_not_kept(responses: Responses) -> None:
    assert not keep(responses, class_=Class.CONFIDENTIAL)
    assert responses.get("resp_1", "key_a") is None


def test_what_lies_in_the_database_says_nothing(responses: Responses, database_url: str) -> None:
    keep(responses)
    with closing(connect(database_url)) as connection:
        everything = str(connection.rows("SELECT * FROM nearfar_responses"))
    assert "secret" not in everything
    assert "nobody" not in everything


@pytest.mark.parametrize("change", ["owner = 'key_b'", "class = 'public'", "expires = expires + 9", "id = 'resp_2'"])
def test_what_was_exchanged_is_not_believed(responses: Responses, database_url: str, change: str) -> None:
    keep(responses)
    with closing(connect(database_url)) as connection:
        connection.execute(f"UPDATE nearfar_responses SET {change}")
        ((id_, owner),) = connection.rows("SELECT id, owner FROM nearfar_responses")
    with pytest.raises(StoreUnavailable):
        responses.get(id_, owner)


def test_another_key_is_said(responses: Responses, database_url: str, clock: Clock) -> None:
    keep(responses)
    with closing(opened(database_url, clock, key=os.urandom(32))) as other, pytest.raises(StoreUnavailable) as caught:
        other.get("resp_1", "key_a")
    assert caught.value.code == "cipher_mismatch"


def test_other_gateways_on_the_database_find_it(responses: Responses, database_url: str, clock: Clock) -> None:
    with closing(opened(database_url, clock)) as other:
        keep(responses)
        assert other.get("resp_1", "key_a") is not None
        assert other.delete("resp_1", "key_a")
    assert responses.get("resp_1", "key_a") is None


def test_what_is_over_goes(responses: Responses, database_url: str, clock: Clock) -> None:
    keep(responses)
    clock.now += 3600
    clock.now += PURGE_SECONDS
    keep(responses, "resp_2")
    with closing(connect(database_url)) as connection:
        assert connection.rows("SELECT id FROM nearfar_responses") == [("resp_2",)]


def test_a_lost_connection_is_replaced(responses: Responses) -> None:
    keep(responses)
    responses.close()
    assert responses.get("resp_1", "key_a") is not None
