"""Compares the shipped price table with the one that the PyPI package litellm (MIT) carries, and writes what came out.

    uv pip install --no-deps litellm          # in an environment of its own
    python -m tools.prices.second SITE-PACKAGES [--check]

The package is not imported: its table is a file of JSON, its version stands beside it. Facts alone are taken, and of
those only names and the rates that differ by more than a tenth; a rate that holds at another time of day or for long
prompts, and that ours has too, is no difference.
"""

from __future__ import annotations

import argparse
import datetime as dt
import re
import sys
from collections.abc import Mapping
from decimal import Decimal
from pathlib import Path
from typing import Any

import msgspec

from nearfar.catalog import prices, second

OUT = Path(second.__file__).parent / "data" / "second_prices.json"
TABLE = "litellm/model_prices_and_context_window_backup.json"
TOLERATED = Decimal("0.1")
RATES = {
    "input": "input_cost_per_token",
    "output": "output_cost_per_token",
    "cached_input": "cache_read_input_token_cost",
}
"""Rate of nearfar → rate there, in USD per token."""
PLACES = {
    "openai": (("", "openai/"), r"openai|text-completion-openai"),
    "anthropic": (("", "anthropic/"), r"anthropic"),
    "gemini": (("gemini/",), r"gemini"),
    "vertex-ai": (("vertex_ai/", ""), r"vertex_ai.*"),
    "bedrock": (("bedrock/", ""), r"bedrock.*"),
    "mistral": (("mistral/",), r"mistral"),
    "deepseek": (("deepseek/",), r"deepseek"),
    "groq": (("groq/",), r"groq"),
    "together": (("together_ai/",), r"together_ai"),
    "fireworks": (("fireworks_ai/accounts/fireworks/models/", "fireworks_ai/"), r"fireworks_ai.*"),
    "cerebras": (("cerebras/",), r"cerebras"),
    "xai": (("xai/",), r"xai"),
    "moonshot": (("moonshot/",), r"moonshot"),
    "perplexity": (("perplexity/",), r"perplexity"),
    "zhipu": (("zai/",), r"zai"),
    "openrouter": (("openrouter/",), r"openrouter"),
}
"""Provider of nearfar → what stands before a model's name there, and the provider that is named there."""


def compared(
    ours: list[dict[str, Any]], theirs: Mapping[str, Any]
) -> tuple[dict[str, list[str]], list[dict[str, str]]]:
    """Provider → models that agree, and the rates that do not; models that are not there are in neither."""
    agreed: dict[str, list[str]] = {}
    doubts: list[dict[str, str]] = []
    for row in ours:
        other = _there(row, theirs)
        if other is None:
            continue
        differing = [
            {"provider": row["provider"], "model": row["model"], "rate": name, "here": row[name], "there": there}
            for name, there in other.items()
            if name in row and _differs(row, name, Decimal(there))
        ]
        doubts += differing
        if not differing:
            agreed.setdefault(row["provider"], []).append(row["model"])
    return agreed, doubts


def _there(row: Mapping[str, Any], theirs: Mapping[str, Any]) -> dict[str, str] | None:
    """Rates of the same model there, in USD per million tokens."""
    before, provider = PLACES[row["provider"]]
    for prefix in before:
        found = theirs.get(f"{prefix}{row['model']}")
        if found and re.fullmatch(provider, found.get("litellm_provider", "")) and RATES["input"] in found:
            return {
                name: f"{(Decimal(str(found[key])) * 10**6).normalize():f}"
                for name, key in RATES.items()
                if found.get(key) is not None
            }
    return None


def _differs(row: Mapping[str, Any], name: str, there: Decimal) -> bool:
    ours = [Decimal(part[name]) for part in (row, row.get("long"), row.get("then")) if part and name in part]
    return all(abs(mine - there) > TOLERATED * max(mine, there) for mine in ours)


def main() -> int:
    """Write the comparison; with ``--check`` only say whether it would change."""
    parser = argparse.ArgumentParser(description="Compare the shipped prices with a second source.")
    parser.add_argument("packages", type=Path, help="the site-packages in which litellm is installed")
    parser.add_argument("--check", action="store_true", help="say whether the file would change, and write nothing")
    wanted = parser.parse_args()
    (info,) = wanted.packages.glob("litellm-*.dist-info")
    version = info.name.removeprefix("litellm-").removesuffix(".dist-info")
    ours = msgspec.json.decode(prices.shipped_file().read_bytes())["price"]
    agreed, doubts = compared(ours, msgspec.json.decode((wanted.packages / TABLE).read_bytes()))
    today = dt.datetime.now(dt.UTC).date().isoformat()
    source = f"litellm {version} of PyPI"
    text = msgspec.json.format(
        msgspec.json.encode({"date": today, "source": source, "agreed": agreed, "doubt": doubts}), indent=1
    ).decode()
    second.load(text.encode())
    for each in doubts:
        print(f"{each['provider']}/{each['model']} {each['rate']}: {each['here']} here, {each['there']} there")
    told = sum(map(len, agreed.values()))
    differ = len({(each["provider"], each["model"]) for each in doubts})
    print(f"{told} of {len(ours)} models agree, {differ} differ, the others are not there", file=sys.stderr)
    if wanted.check:
        return int(OUT.read_text() != f"{text}\n")
    OUT.write_text(f"{text}\n")
    return 0


if __name__ == "__main__":
    raise SystemExit(main())
