"""The configuration that goes with an advice is one that nearfar takes."""

from __future__ import annotations

import re
import tomllib
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


@pytest.mark.parametrize(
    ("hardware", "provider"), [("RTX 3090", "llama-cpp"), ("M4 Max", "llama-cpp"), ("EPYC 9654 + 256GB", "embedded")]
)
def test_near_is_the_engine_that_was_reckoned_with(hardware: str, provider: str) -> None:
    """The embedded engine computes on the processor: a graphics card's speed is not its."""
    made, found = advice(hardware=hardware, stay=True, quality="simple")
    assert found.recommended == "near"
    near = tomllib.loads(configuration(made, found))["deployments"]["near"]
    assert near["provider"] == provider
    assert near.get("place", "device") == "device"
    assert made.own is not None
    assert near["model"] == made.own.model.id


def test_contexts_side_by_side_fit_the_memory() -> None:
    made, found = advice(hardware="RTX 3090", stay=True, work={"input": 12_000})
    text = configuration(made, found)
    told = re.search(r"--parallel (\d+) -c (\d+)", text)
    assert told is not None
    assert made.own is not None
    assert int(told[2]) == int(told[1]) * made.question.context
    assert int(told[1]) == 1 or int(told[2]) <= made.own.estimate.kv_tokens.value


def test_a_machine_that_is_bought_has_its_own_model() -> None:
    made, found = advice(hardware="GTX 1050 Ti", stay=True)
    assert found.recommended == "buy"
    assert made.bought is not None
    assert made.bought.model.id in configuration(made, found)
