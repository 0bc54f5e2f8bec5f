from __future__ import annotations

import os
import subprocess
import sys

from nearfar.store.ids import Ids


def test_ids_sort_in_the_order_they_were_made() -> None:
    ids = Ids()
    made = [ids.new("req_") for _ in range(5000)]
    assert made == sorted(made)
    assert len(set(made)) == len(made)
    assert {len(one) for one in made} == {len("req_") + 29}
    assert all(one.startswith("req_") for one in made)


def test_a_clock_set_back_or_standing_still_breaks_neither_order_nor_length() -> None:
    times = iter([1_800_000_000_000_000_000, 1_700_000_000_000_000_000, 0, 0, 1_800_000_000_100_000_000])
    ids = Ids(clock=lambda: next(times))
    made = [ids.new() for _ in range(5)]
    assert made == sorted(made)
    assert len(set(made)) == 5
    assert {len(one) for one in made} == {29}


def test_the_time_can_be_read_back() -> None:
    now = 1_795_000_000_123_456_789
    assert int(Ids(clock=lambda: now).new()[:13], 16) << 10 == now >> 10 << 10


def test_random_parts_are_never_handed_out_twice() -> None:
    ids = Ids(clock=lambda: 0)
    parts = [ids.new()[13:] for _ in range(1000)]
    assert len(set(parts)) == 1000


def test_all_64_random_bits_come_from_the_system() -> None:
    drawn: list[int] = []

    def entropy(count: int) -> bytes:
        drawn.append(count)
        return bytes(range(256)) * (count // 256)

    first = Ids(entropy=entropy).new()
    assert drawn == [2048]
    assert first[13:] == "0001020304050607"


def test_a_forked_child_draws_its_own_random_parts() -> None:
    program = """
import os
from nearfar.store.ids import Ids
ids = Ids(clock=lambda: 0)
ids.new()
here, there = os.pipe()
if os.fork() == 0:
    os.write(there, ids.new()[13:].encode())
    os._exit(0)
os.wait()
assert os.read(here, 100).decode() != ids.new()[13:]
"""
    subprocess.run([sys.executable, "-c", program], check=True, env=dict(os.environ))
