"""Who has to leave so that one more model fits into memory. Pure: it starts and stops nothing."""

from __future__ import annotations

import msgspec

from nearfar.core.errors import EngineError
from nearfar.engine.estimate import Plan, advice, plan, size
from nearfar.engine.header import Header
from nearfar.engine.machine import Memory
from nearfar.settings.model import Engine

SHARE_OF_MACHINE = 0.7


class Tenant(msgspec.Struct, frozen=True, kw_only=True):
    """A loaded or loading model. All sizes are bytes."""

    name: str
    reserved: int
    """What it was admitted with."""
    resident: int
    """What it occupies by now."""
    idle_since: float | None
    """When it was last used; None while it is in use or loading."""


def admit(name: str, header: Header, settings: Engine, tenants: list[Tenant], memory: Memory) -> tuple[Plan, list[str]]:
    """How model ``name`` will be run, and the idle tenants, least recently used first, that must leave for it.

    Nobody leaves in vain: if even all idle ones are not enough, it raises EngineError, which says what is needed, what
    can be had, and what to do.
    """
    planned = plan(header, settings)
    need, limit = planned.estimate.total, budget(settings, memory)
    if need > limit:
        raise EngineError(
            f"{name} needs about {planned.estimate.text}; the budget is {size(limit)}.",
            code="engine_memory",
            hint=f"{advice(header, settings, limit)} Or raise engine.memory_mb, if the machine has more.",
        )
    staying = {tenant.name: tenant for tenant in tenants}
    idle = sorted((tenant.idle_since, tenant.name) for tenant in tenants if tenant.idle_since is not None)
    leaving: list[str] = []
    while need > (room := _room(tenants, leaving, settings, memory)):
        if not idle:
            others = ", ".join(f"{tenant.name} ({size(tenant.reserved)})" for tenant in staying.values())
            raise EngineError(
                f"{name} needs about {planned.estimate.text}; {size(max(0, room))} can be had now, "
                f"the rest is in use by {others or 'other programs'}.",
                code="engine_memory",
                hint=f"Try again when they are idle, or unload one. {advice(header, settings, max(0, room))}",
            )
        leaving.append(idle.pop(0)[1])
        del staying[leaving[-1]]
    return planned, leaving


def budget(settings: Engine, memory: Memory) -> int:
    """Bytes that loaded models may take together."""
    if settings.memory_mb is not None:
        return settings.memory_mb * 1_000_000
    return int(memory.limit * SHARE_OF_MACHINE)


def _room(tenants: list[Tenant], leaving: list[str], settings: Engine, memory: Memory) -> int:
    """Bytes that a new model may take once ``leaving`` have left.

    Who configured a budget is believed. Otherwise it is also what the machine has free, less what those who stay may
    still grow.
    """
    staying = [tenant for tenant in tenants if tenant.name not in leaving]
    room = budget(settings, memory) - sum(tenant.reserved for tenant in staying)
    if settings.memory_mb is None:
        growing = sum(max(0, tenant.reserved - tenant.resident) for tenant in staying)
        freed = sum(tenant.resident for tenant in tenants if tenant.name in leaving)
        room = min(room, memory.available + freed - growing)
    return room
