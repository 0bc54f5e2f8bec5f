"""The record of Transformers in a child; what its engine really does is shown in tests/stages."""

from __future__ import annotations

from nearfar.core.places import Place
from nearfar.providers import registry


def test_it_promises_no_json_and_no_certain_call() -> None:
    found = registry.find("transformers")
    assert found.place is Place.DEVICE
    assert not any(found.capabilities[name].can for name in ("json_schema", "json_mode", "tool_choice"))
    assert found.capabilities["logprobs"].can
