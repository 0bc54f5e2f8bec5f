"""Stored responses, on both databases."""

from __future__ import annotations

import os
from collections.abc import Iterator
from contextlib import closing
from typing import Any

import pytest

from nearfar.core.errors import StoreUnavailable
from nearfar.core.places import Class
from nearfar.store.cipher import Cipher
from nearfar.store.database import connect, migrate
from nearfar.store.responses import MIGRATIONS, Put, Responses, sizes

KEY = os.urandom(32)
WORDS = b'{"id":"r","output":"the patient has a secret"}'
ITEMS = b'[{"role":"user","content":"tell nobody"}]'


class Clock:
    """Time that stands until it is moved."""

    now = 1_790_000_000.0

    def __call__(self) -> float:
        return self.now


def opened(url: str, clock: Clock, *, key: bytes = KEY, highest: Class = Class.INTERNAL, **more: int) -> Responses:
    return Responses(url, Cipher(key), keep_seconds=3600, highest=highest, clock=clock, **more)


@pytest.fixture
def clock() -> Clock:
    return Clock()


@pytest.fixture
def responses(database_url: str, clock: Clock) -> Iterator[Responses]:
    made = opened(database_url, clock)
    yield made
    made.close()


def keep(responses: Responses, id_: str = "resp_1", owner: str = "key_a", class_: Class = Class.INTERNAL) -> bool:
    return responses.put(id=id_, owner=owner, class_=class_, response=WORDS, input=ITEMS).kept


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
    clock.now += 3599
    assert responses.purge() == 0
    keep(responses, "resp_2")
    clock.now += 1
    assert responses.purge() == 1
    assert ids(database_url) == ["resp_2"]


def test_a_lost_connection_is_replaced(responses: Responses) -> None:
    keep(responses)
    responses.close()
    assert responses.get("resp_1", "key_a") is not None


def ids(url: str) -> list[str]:
    with closing(connect(url)) as connection:
        return [row[0] for row in connection.rows("SELECT id FROM nearfar_responses ORDER BY id")]


def test_a_callers_oldest_goes_where_it_has_too_many(database_url: str, clock: Clock) -> None:
    with closing(opened(database_url, clock, most=2)) as responses:
        told = []
        for number in range(4):
            clock.now += 1
            values: Any = {"owner": "key_a", "class_": Class.INTERNAL, "response": WORDS, "input": ITEMS}
            told.append(responses.put(id=f"resp_{number}", **values))
        keep(responses, "resp_other", owner="key_b")
        assert told == [Put(kept=True), Put(kept=True), Put(kept=True, removed=1), Put(kept=True, removed=1)]
        assert ids(database_url) == ["resp_2", "resp_3", "resp_other"], "another caller's share is its own"


def test_a_caller_has_so_many_bytes_and_one_that_is_more_is_not_kept(database_url: str, clock: Clock) -> None:
    def put(responses: Responses, id_: str, size: int) -> Put:
        clock.now += 1
        words = os.urandom(size).hex().encode()
        return responses.put(id=id_, owner="key_a", class_=Class.INTERNAL, response=b'"' + words + b'"', input=b"[]")

    with closing(opened(database_url, clock, most_bytes=20_000)) as responses:
        assert [put(responses, f"resp_{number}", 3000).removed for number in range(6)] == [0, 0, 0, 0, 1, 1]
        assert put(responses, "resp_big", 9000) == Put(kept=True, removed=3)
        assert put(responses, "resp_huge", 40_000) == Put(kept=False)
        assert ids(database_url) == ["resp_5", "resp_big"]
        found = responses.get("resp_big", "key_a")
        assert found is not None
        assert len(found.response) == 18_002


def test_a_long_conversation_takes_little_room(responses: Responses, database_url: str) -> None:
    items = b"[%b]" % b",".join([ITEMS[1:-1]] * 5000)
    responses.put(id="resp_1", owner="key_a", class_=Class.INTERNAL, response=WORDS, input=items)
    with closing(connect(database_url)) as connection:
        found = sizes(connection)
    assert (found.count, found.callers, found.bytes) == (1, 1, found.largest)
    assert found.bytes < len(items) / 10
    stored = responses.get("resp_1", "key_a")
    assert stored is not None
    assert bytes(stored.input) == items


def test_rows_from_before_are_read_counted_and_removed(database_url: str, clock: Clock) -> None:
    with closing(connect(database_url)) as connection:
        migrate(connection, "responses", MIGRATIONS[:1])
        now, expires = int(clock.now), int(clock.now) + 3600
        plain = b'{"response":%b,"input":%b}' % (WORDS, ITEMS)
        cipher = Cipher(KEY)
        content = cipher.encrypt(plain, "\0".join(("resp_0", "key_a", "internal", str(now), str(expires))))
        connection.insert(
            "INSERT INTO nearfar_responses (id, owner, class, created, expires, key, content)",
            [("resp_0", "key_a", "internal", now, expires, cipher.id, content)],
        )
    with closing(opened(database_url, clock, most=1)) as responses:
        found = responses.get("resp_0", "key_a")
        assert found is not None
        assert bytes(found.response) == WORDS
        with closing(connect(database_url)) as connection:
            assert sizes(connection).bytes == len(content)
        clock.now += 1
        assert keep(responses, "resp_1")
        assert ids(database_url) == ["resp_1"]


def test_nothing_is_kept_where_nothing_ever_was(database_url: str) -> None:
    with closing(connect(database_url)) as connection:
        assert sizes(connection).count == 0
        assert not connection.table_exists("nearfar_responses")
