"""The configuration that goes with an advice is one that nearfar takes."""

from __future__ import annotations

from pathlib import Path

import pytest
from tests.advisor.cases import advice

from nearfar.advisor.setup import configuration
from nearfar.settings.load import load


@pytest.mark.parametrize(
    "said",
    [
        {},
        {"stay": True, "hardware": "RTX 3090"},
        {"offline": True, "hardware": "M1 Max"},
        {"prototype": True},
        {"quality": "best", "hardware": "RTX 3090", "work": {"calls": 50_000}},
        {"work": {"peak": 12, "calls": 150_000}, "hardware": "RTX 3090"},
        {"finetune": True},
        {"cloud": "gemini/gemini-2.5-pro", "quality": "best"},
    ],
)
def test_it_is_sound_and_holds_no_key(said: dict[str, object], tmp_path: Path) -> None:
    made, found = advice(**said)
    path = tmp_path / "config.toml"
    path.write_text(configuration(made, found))
    names = dict.fromkeys(("OPENAI_API_KEY", "ANTHROPIC_API_KEY", "OPENROUTER_API_KEY", "GEMINI_API_KEY"), "x")
    loaded = load(config=path, overrides={}, environ={**names, "HOME": str(tmp_path)})
    assert loaded.settings.policy.preset == found.preset
    if said.get("stay") or said.get("offline"):
        assert set(loaded.settings.deployments) <= {"near"}
    route = loaded.settings.routes["assistant"]
    assert set(route.deployments) == set(loaded.settings.deployments)
