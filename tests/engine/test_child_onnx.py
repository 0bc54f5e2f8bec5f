"""Without its package: what it says then, and what it would tell it. What it does with it is shown in tests/stages."""

from __future__ import annotations

import json
import sys
from pathlib import Path
from typing import Any

import pytest

from nearfar.core import install
from nearfar.engine import child_onnx
from nearfar.engine.child_chat import read

NOTHING: Any = None
"""A configuration that nobody may look at."""


def options(members: dict[str, Any], length: int = 10) -> dict[str, Any]:
    body = json.dumps({"messages": [{"role": "user", "content": "x"}]} | members)
    return child_onnx._options(read(body.encode(), child_onnx.Chat.can), length)


def test_a_missing_package_says_what_to_install(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(sys.modules, "onnxruntime_genai", None)
    ready, model = child_onnx.load(NOTHING)
    assert model is None
    assert (ready.code, ready.hint) == ("engine_missing", f"Install it with: {install.command('onnx')}")


def test_only_what_was_asked_for_departs_from_the_models_own_configuration() -> None:
    always = {"max_length": 10, "num_beams": 1, "num_return_sequences": 1}
    assert options({}) == always | {"do_sample": True}
    assert options({"temperature": 0, "seed": -1}) == always | {
        "do_sample": False,
        "temperature": 1.0,
        "random_seed": (1 << 31) - 1,
    }


def test_the_template_lies_in_one_of_two_places(tmp_path: Path) -> None:
    (tmp_path / "tokenizer_config.json").write_text('{"chat_template": "a"}')
    assert child_onnx._template(tmp_path) == "a"
    (tmp_path / "chat_template.jinja").write_text("b")
    assert child_onnx._template(tmp_path) == "b"
