from __future__ import annotations

import msgspec
import pytest

from nearfar.core.errors import EngineError
from nearfar.engine.admission import Tenant, admit, budget
from nearfar.engine.estimate import plan
from nearfar.engine.header import Header
from nearfar.engine.machine import Memory
from nearfar.settings.model import Engine

MODEL = Header(
    architecture="llama",
    version=3,
    file_bytes=10**9,
    tensor_bytes=10**9,
    context_length=4096,
    layers=10,
    embedding_length=1024,
    feed_forward=4096,
    heads=8,
    kv_heads=(8,),
    key_length=128,
    value_length=128,
    vocabulary=32_000,
)
NEED = plan(MODEL, Engine()).estimate.total
BIG = Memory(10**12, 10**12)


def tenant(name: str, reserved: int, idle_since: float | None, resident: int | None = None) -> Tenant:
    return Tenant(
        name=name, reserved=reserved, resident=reserved if resident is None else resident, idle_since=idle_since
    )


def leaving(tenants: list[Tenant], megabytes: int) -> list[str]:
    return admit("new", MODEL, Engine(memory_mb=megabytes), tenants, BIG)[1]


def test_the_budget() -> None:
    assert budget(Engine(memory_mb=5), BIG) == 5_000_000
    assert budget(Engine(), Memory(10**10, 1)) == 7 * 10**9


def test_nobody_leaves_while_there_is_room() -> None:
    assert leaving([tenant("a", 10**9, 1.0)], 2 + (NEED + 10**9) // 10**6) == []


def test_the_least_recently_used_leave_and_no_more_than_needed() -> None:
    tenants = [tenant("young", 10**9, 9.0), tenant("old", 10**9, 1.0), tenant("middle", 10**9, 5.0)]
    three = 3 * 10**9
    assert leaving(tenants, 2 + (NEED + three - 10**9) // 10**6) == ["old"]
    assert leaving(tenants, 2 + (NEED + three - 10**9) // 10**6 - 5) == ["old", "middle"]


def test_who_is_in_use_stays_and_nobody_leaves_in_vain() -> None:
    tenants = [tenant("busy", 3 * 10**9, None), tenant("idle", 10**6, 1.0)]
    with pytest.raises(EngineError) as caught:
        leaving(tenants, 1 + NEED // 10**6)
    error = caught.value
    assert (error.code, error.status, error.moves_on) == ("engine_memory", 503, True)
    assert "new needs about" in error.message
    assert "0 MB can be had now, the rest is in use by busy (3.0 GB)" in error.message
    assert "unload one" in error.hint


def test_what_never_fits_says_what_would() -> None:
    with pytest.raises(EngineError) as caught:
        leaving([tenant("idle", 10**6, 1.0)], 1400)
    assert "the budget is 1.4 GB" in caught.value.message
    assert "It fits with engine.slots = 1" in caught.value.hint
    assert "engine.memory_mb" in caught.value.hint


def test_without_a_configured_budget_free_memory_counts_and_what_others_may_still_grow() -> None:
    settings = Engine()
    loaded = [tenant("a", 3 * 10**9, None, resident=10**9)]
    machine = Memory(64 * 10**9, NEED + 2 * 10**9)
    assert admit("new", MODEL, settings, loaded, machine)[1] == []
    with pytest.raises(EngineError, match="can be had now"):
        admit("new", MODEL, settings, loaded, Memory(64 * 10**9, NEED + 2 * 10**9 - 1))
    freed = [msgspec.structs.replace(loaded[0], idle_since=1.0)]
    assert admit("new", MODEL, settings, freed, Memory(64 * 10**9, NEED - 10**9))[1] == ["a"]


def test_a_configured_budget_is_believed() -> None:
    assert admit("new", MODEL, Engine(memory_mb=10**5), [], Memory(10**9, 1))[1] == []


def test_other_programs_are_named_when_nobody_is_loaded() -> None:
    with pytest.raises(EngineError, match="in use by other programs"):
        admit("new", MODEL, Engine(), [], Memory(64 * 10**9, 1))
