"""Writes of one pass leave together, after the records that speak of them."""

from __future__ import annotations

import asyncio

from nearfar.gateway.burst import Burst


class Wire(asyncio.Transport):
    """Writes down what is written to it."""

    def __init__(self, name: str, told: list[str]) -> None:
        super().__init__()
        self.name = name
        self.told = told
        self.closing = False

    def write(self, data: bytes | bytearray | memoryview) -> None:
        self.told.append(f"{self.name}:{bytes(data).decode()}")

    def is_closing(self) -> bool:
        return self.closing


def test_writes_of_a_pass_leave_in_order_after_the_records() -> None:
    told: list[str] = []

    async def scenario() -> None:
        burst = Burst(before=lambda: told.append("records"))
        one, two = Wire("one", told), Wire("two", told)
        burst.write(one, b"a")
        burst.write(two, b"b")
        burst.write(one, b"c")
        assert told == [], "nothing leaves before the pass ends"
        await asyncio.sleep(0)
        assert told == ["records", "one:a", "two:b", "one:c"]
        await asyncio.sleep(0)
        assert len(told) == 4, "an idle burst does nothing"
        burst.write(one, b"d")
        await asyncio.sleep(0)
        assert told[4:] == ["records", "one:d"]

    asyncio.run(scenario())


def test_records_alone_are_written_too() -> None:
    told: list[str] = []

    async def scenario() -> None:
        burst = Burst(before=lambda: told.append("records"))
        burst.soon()
        burst.soon()
        await asyncio.sleep(0)
        assert told == ["records"]

    asyncio.run(scenario())


def test_a_flush_does_not_wait_and_a_connection_that_closes_gets_nothing() -> None:
    told: list[str] = []

    async def scenario() -> None:
        burst = Burst()
        open_, shut = Wire("open", told), Wire("shut", told)
        burst.write(open_, b"a")
        burst.write(shut, b"b")
        shut.closing = True
        burst.flush()
        assert told == ["open:a"]
        burst.write(open_, b"c")
        await asyncio.sleep(0)
        assert told == ["open:a", "open:c"], "and the next one is written again"

    asyncio.run(scenario())
