"""The record of ONNX Runtime GenAI in a child; what its engine really does is shown in tests/stages."""

from __future__ import annotations

from nearfar.core.places import Place
from nearfar.engine.child_onnx import Chat
from nearfar.providers import registry


def test_it_promises_json_and_drops_what_its_engine_refuses() -> None:
    found = registry.find("onnx-runtime")
    assert found.place is Place.DEVICE
    assert found.capabilities["json_schema"].can
    assert not found.embeddings_wire
    assert set(found.drop).isdisjoint(Chat.can)
