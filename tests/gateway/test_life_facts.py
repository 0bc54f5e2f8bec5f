"""Facts about models in runtimes: pure values."""

from __future__ import annotations

from typing import Any

import pytest

from nearfar.core.places import Place
from nearfar.core.routing import Capability, Deployment
from nearfar.gateway.life_facts import COLD, UNKNOWN, UNKNOWN_LOAD, Fact, described, informed, matching, wait
from nearfar.providers.base import Running, Shown


def deployment(**more: Any) -> Deployment:
    values: dict[str, Any] = {
        "name": "d",
        "provider": "ollama",
        "model": "llama3.2",
        "wire": "w",
        "base_url": "u",
        "place": Place.LAN,
    }
    return Deployment(**(values | more))


@pytest.mark.parametrize(
    ("running", "found"),
    [
        ([], False),
        ([Running(model="other")], False),
        ([Running(model="other"), Running(model="llama3.2")], True),
        ([Running(model="llama3.2:latest")], True),
        ([Running(model="llama3.2:3b")], False),
        ([Running(model="")], True),
    ],
)
def test_whose_copy_it_is(running: list[Running], found: bool) -> None:
    assert (matching(deployment(), running) is not None) is found


def test_how_long_it_takes() -> None:
    assert wait(UNKNOWN, 7.0) == 0.0, "nothing is held against what nobody knows"
    assert wait(Fact(state="loaded", bytes=10**10), 7.0) == 0.0
    assert wait(COLD, None) == UNKNOWN_LOAD
    assert wait(Fact(state="cold", bytes=10**9), None) == 2.0
    assert wait(Fact(state="loading", bytes=10**9), 0.3) == 0.3, "what was seen counts more than the size"


def test_what_people_are_shown() -> None:
    shown = described(deployment(), Fact(state="loaded", context=4096, bytes=10**9), None)
    assert (shown.state, shown.context, shown.place, shown.load_seconds) == ("loaded", 4096, "lan", 2.0)


def test_a_runtimes_word_fills_gaps_and_changes_nothing_that_was_said() -> None:
    said = {"tools": Capability(), "images": Capability(can=True, source="declared")}
    shown = Shown(
        context=8192, capabilities={name: Capability(can=False, source="probed") for name in ("tools", "images")}
    )
    made = informed(deployment(capabilities=said), Fact(state="loaded", context=4096), shown)
    assert (made.context, made.loaded_context) == (8192, 4096)
    assert (made.capabilities["tools"].can, made.capabilities["images"].can) == (False, True)
    assert informed(deployment(context=2048), COLD, shown).context == 2048
    assert informed(deployment(), Fact(state="cold", context=4096), None).loaded_context is None
    assert informed(deployment(), UNKNOWN, None) == deployment()
