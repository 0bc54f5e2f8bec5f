"""The maker of the comparison of prices: it finds models under their other names and tells what differs."""

from __future__ import annotations

from tools.prices import second as maker


def test_models_are_found_under_their_names_there() -> None:
    ours = [
        {"provider": "fireworks", "model": "a", "input": "1", "output": "2"},
        {"provider": "gemini", "model": "b", "input": "1", "output": "2"},
        {"provider": "openai", "model": "c", "input": "1", "output": "2"},
        {"provider": "vertex-ai", "model": "d", "input": "1", "output": "2"},
    ]
    theirs = {
        "fireworks_ai/accounts/fireworks/models/a": {
            "litellm_provider": "fireworks_ai",
            "input_cost_per_token": 1.05e-6,
            "output_cost_per_token": 2.5e-6,
        },
        "gemini/b": {"litellm_provider": "gemini", "input_cost_per_token": 1e-6, "output_cost_per_token": 2e-6},
        "c": {"litellm_provider": "azure", "input_cost_per_token": 9e-6},
        "d": {"litellm_provider": "vertex_ai-language-models", "output_cost_per_image": 1},
    }
    agreed, doubts = maker.compared(ours, theirs)
    assert agreed == {"gemini": ["b"]}
    assert doubts == [{"provider": "fireworks", "model": "a", "rate": "output", "here": "2", "there": "2.5"}]


def test_a_rate_of_another_time_of_day_or_of_long_prompts_is_no_difference() -> None:
    theirs = {"deepseek/a": {"litellm_provider": "deepseek", "input_cost_per_token": 2e-6}}
    row = {"provider": "deepseek", "model": "a", "input": "1", "output": "2"}
    assert maker.compared([row], theirs)[1]
    for other in ("then", "long"):
        assert maker.compared([{**row, other: {"input": "2"}}], theirs) == ({"deepseek": ["a"]}, [])
