"""The configuration that runs what was advised, as the text of a file. It writes nothing."""

from __future__ import annotations

from nearfar.advisor.advise import Advice
from nearfar.advisor.options import Case, Way

_NEAR: frozenset[Way] = frozenset({"near", "buy", "rent", "hybrid", "cascade"})
_FAR: frozenset[Way] = frozenset({"api", "cloud", "hybrid", "cascade"})
_STRATEGY: dict[Way, str] = {
    "rent": "local-first",
    "hybrid": "local-first",
    "cascade": "cascade",
    "api": "cloud-only",
    "cloud": "cloud-only",
}
_KEYS = {
    "openai": "OPENAI_API_KEY",
    "anthropic": "ANTHROPIC_API_KEY",
    "gemini": "GEMINI_API_KEY",
    "openrouter": "OPENROUTER_API_KEY",
    "groq": "GROQ_API_KEY",
    "together": "TOGETHER_API_KEY",
    "fireworks": "FIREWORKS_API_KEY",
    "cerebras": "CEREBRAS_API_KEY",
    "mistral": "MISTRAL_API_KEY",
    "deepseek": "DEEPSEEK_API_KEY",
}
"""Where a provider's key is usually kept; others get a variable named after them."""


def configuration(case: Case, advice: Advice) -> str:
    """A ``config.toml``: a near deployment, a far one, a route over them and the policy, as far as they are needed."""
    way = advice.recommended
    lines = [
        "# Made by `nearfar advise`. Check it with `nearfar config check`, and see what would happen with",
        '# `nearfar route explain "…"`.',
        "",
    ]
    names = []
    if way in _NEAR and case.model is not None:
        names.append("near")
        lines += [*_near(case, way), ""]
    far = _far(advice)
    if far:
        names.append("far")
        lines += [*far, ""]
    if names:
        shown = ", ".join(f'"{name}"' for name in names)
        strategy = _STRATEGY.get(way, "local-only")
        lines += ["[routes.assistant]", f"deployments = [{shown}]", f'strategy = "{strategy}"', ""]
    lines += ["[policy]", f'preset = "{advice.preset}"']
    return "\n".join(lines) + "\n"


def _near(case: Case, way: Way) -> list[str]:
    near = case.rented if way == "rent" else case.bought if way == "buy" else case.own or case.bought
    model = case.model if near is None else near.model
    assert model is not None
    quant = "Q4_K_M" if near is None else near.quant
    if near is None or near.rig.device.processor:
        return [
            "[deployments.near]",
            f"# Weights: a GGUF file of {model.repo}, type {quant}. It is made known by",
            f"# `nearfar models pull OWNER/REPOSITORY-GGUF:{quant} --name {model.id}`.",
            'provider = "embedded"',
            f'model = "{model.id}"',
        ]
    many = int(max(1, min(_AT_ONCE, near.estimate.kv_tokens.low // case.question.context)))
    lines = [
        "[deployments.near]",
        f"# llama.cpp's server on the graphics card, with a GGUF file of {model.repo}, type {quant}:",
        f"# llama-server -m FILE.gguf --alias {model.id} -ngl 99 --parallel {many} -c {many * case.question.context}",
        'provider = "llama-cpp"',
        f'model = "{model.id}"',
    ]
    if way != "rent":
        return [
            *lines,
            "# It runs on this very machine: declared, because an address proves only the first hop.",
            _HERE,
        ]
    return [
        *lines,
        "# The rented machine, through a tunnel of yours that ends here.",
        'base_url = "http://127.0.0.1:9931/v1"',
        'place = "private-cloud"',
    ]


_AT_ONCE = 4
"""Requests that the server answers side by side at most, where their contexts fit."""
_HERE = 'place = "device"'


def _far(advice: Advice) -> list[str]:
    if advice.recommended not in _FAR:
        return []
    row = advice.options[advice.recommended].price.rpartition("@")[0]
    provider, _, model = row.partition("/")
    variable = _KEYS.get(provider, f"{provider.upper().replace('-', '_')}_API_KEY")
    return [
        "[deployments.far]",
        f'provider = "{provider}"',
        f'model = "{model}"',
        f'key = "env:{variable}"',
    ]
