"""Compiles the price table that ships with nearfar from the PyPI package genai-prices (MIT), which must be installed.

    python -m tools.prices [--check] [--second api.json]

Facts alone are taken: rates, the length and the times of day from which others hold. A rate is asked for as it applies
to one request, not per million tokens of one request, which would be the rate of long prompts. What nearfar cannot
express, or what cannot be right, is left out and told: a model without a row has an unknown price, never a wrong one.
``--second`` is the file https://models.dev/api.json (MIT), fetched by whoever wants the two compared: rates that differ
by more than a tenth are told.
"""

from __future__ import annotations

import argparse
import datetime as dt
import importlib
import importlib.metadata
import re
import sys
from decimal import ROUND_UP, Decimal
from pathlib import Path
from typing import Any

import msgspec

from nearfar.catalog import prices
from nearfar.core.money import NANO

OUT = Path(prices.__file__).parent / "data" / "prices.json"

# Provider of nearfar → provider there, and which of its models.
PROVIDERS = {
    "openai": ("openai", r".*"),
    "anthropic": ("anthropic", r".*"),
    "gemini": ("google", r"gem(ini|ma)-.*"),
    "vertex-ai": ("google", r"(gemini|claude)-.*"),
    "bedrock": ("aws", r".*"),
    "mistral": ("mistral", r"[^:]*"),
    "deepseek": ("deepseek", r".*"),
    "groq": ("groq", r".*"),
    "together": ("together", r".*"),
    "fireworks": ("fireworks", r".*"),
    "cerebras": ("cerebras", r".*"),
    "xai": ("x-ai", r".*"),
    "moonshot": ("moonshotai", r".*"),
    "perplexity": ("perplexity", r".*"),
    "zhipu": ("zhipuai", r".*"),
    "openrouter": (
        "openrouter",
        r"(anthropic|deepseek|google|meta-llama|microsoft|mistralai|moonshotai|openai|qwen|x-ai|z-ai)/[^:]*",
    ),
}
SECOND = {"gemini": "google", "vertex-ai": "google-vertex", "bedrock": "amazon-bedrock", "together": "togetherai"}
"""Provider of nearfar → provider at models.dev, where they differ."""
TOLERATED = Decimal("0.1")
_ODD = re.compile(r"tts|audio|live|image|realtime|transcribe|voice|sonic|whisper|ocr|voxtral|robotics|omni|orpheus")
"""Charged by other things than tokens of text, in part or in whole."""


def rows(today: dt.date) -> tuple[list[dict[str, Any]], list[str]]:
    """All rows, and what was left out and why."""
    get_snapshot = importlib.import_module("genai_prices.data_snapshot").get_snapshot

    known = {provider.id: provider for provider in get_snapshot().providers}
    made, left = [], []
    for ours, (theirs, which) in PROVIDERS.items():
        for model in known[theirs].models:
            if not re.fullmatch(which, model.id) or _ODD.search(model.id):
                continue
            try:
                made.append({"provider": ours, "model": model.id, **_row(model.prices, today)})
            except ValueError as error:
                left.append(f"{ours}/{model.id}: {error}")
    return sorted(made, key=lambda row: (row["provider"], row["model"])), left


def _row(found: Any, today: dt.date) -> dict[str, Any]:
    if not isinstance(found, list):
        return _rates(found)
    base, since, windows, then = None, None, [], None
    for each in found:
        constraint = each.constraint
        if constraint is None:
            base = each.prices
        elif hasattr(constraint, "start_date"):
            if constraint.start_date <= today:
                base, since = each.prices, constraint.start_date
        elif then is None or then == each.prices:
            windows.append([f"{_utc(constraint.start_time)}", f"{_utc(constraint.end_time)}"])
            then = each.prices
        else:
            raise ValueError("different rates at more than one time of day")
    if base is None:
        raise ValueError("no rate holds today")
    row = _rates(base)
    if since is not None:
        row["since"] = since.isoformat()
    if then is not None:
        row["then"] = {"windows": windows, **_rates(then)}
    return row


def _utc(time: dt.time) -> str:
    if time.utcoffset() != dt.timedelta(0):
        raise ValueError("a time of day that is not in UTC")
    return time.replace(tzinfo=None).isoformat()


def _rates(found: Any) -> dict[str, Any]:
    names = {
        "input": found.input_mtok,
        "output": found.output_mtok or Decimal(0),
        "cached_input": found.cache_read_mtok,
        "cache_write": found.cache_write_mtok,
    }
    if names["input"] is None:
        raise ValueError("not charged by tokens")
    starts = sorted({tier.start for value in names.values() for tier in getattr(value, "tiers", ())})
    row: dict[str, Any] = {name: _exact(_base(value)) for name, value in names.items() if value is not None}
    if len(starts) > 1:
        raise ValueError("more than two lengths with rates of their own")
    if starts:
        row["long"] = {
            "above": starts[0],
            **{name: _exact(_last(value)) for name, value in names.items() if value is not None},
        }
    return row


def _exact(rate: Decimal) -> str:
    """Rates that somebody divided are rounded up to what the ledger counts in."""
    return f"{rate.quantize(Decimal(1) / NANO, ROUND_UP).normalize():f}"


def _base(value: Any) -> Decimal:
    return Decimal(getattr(value, "base", value))


def _last(value: Any) -> Decimal:
    tiers = getattr(value, "tiers", ())
    return Decimal(tiers[-1].price) if tiers else _base(value)


def disagreements(made: list[dict[str, Any]], second: dict[str, Any]) -> list[str]:
    """Where models.dev's rates differ from ours by more than a tenth."""
    told = []
    for row in made:
        theirs = second.get(SECOND.get(row["provider"], row["provider"]), {}).get("models", {}).get(row["model"], {})
        rates = theirs.get("cost", {})
        for name, there in (("input", "input"), ("output", "output"), ("cached_input", "cache_read")):
            if name in row and there in rates:
                mine, other = Decimal(row[name]), Decimal(str(rates[there]))
                if abs(mine - other) > TOLERATED * max(mine, other):
                    told.append(f"{row['provider']}/{row['model']} {name}: {mine} here, {other} in the second source")
    return told


def main() -> int:
    """Write the table; with ``--check`` only say whether it would change."""
    parser = argparse.ArgumentParser(description="Compile the shipped price table.")
    parser.add_argument("--check", action="store_true", help="say whether the table would change, and write nothing")
    parser.add_argument("--second", type=Path, help="models.dev's api.json, to compare with")
    wanted = parser.parse_args()
    today = dt.datetime.now(dt.UTC).date()
    version = importlib.metadata.version("genai-prices")
    made, left = rows(today)
    good = []
    for row in made:
        one = {"date": today.isoformat(), "source": "a row"}
        try:
            prices.load(msgspec.json.encode({**one, "price": [row]}))
            good.append(row)
        except ValueError as error:
            left.append(str(error))
    source = f"rates of the PyPI package genai-prices {version} as they hold on {today}; the vendors' own pages prevail"
    head = msgspec.json.encode({"date": today.isoformat(), "source": source}).decode()[:-1]
    lines = ",\n".join(msgspec.json.encode(row).decode() for row in good)
    text = f'{head},"price":[\n{lines}\n]}}\n'
    if wanted.second:
        for line in disagreements(good, msgspec.json.decode(wanted.second.read_bytes())):
            print(f"disagreement: {line}", file=sys.stderr)
    for line in left:
        print(f"left out: {line}", file=sys.stderr)
    print(f"{len(good)} rows, {len(left)} left out, {len(text) / 1000:.0f} kB", file=sys.stderr)
    if wanted.check:
        return int(OUT.read_text() != text)
    OUT.write_text(text)
    return 0


if __name__ == "__main__":
    raise SystemExit(main())
