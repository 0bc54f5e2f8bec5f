from __future__ import annotations

from collections.abc import Mapping

import pytest

from nearfar.catalog.prices import load, price_for, shipped, shipped_source
from nearfar.core.chat import Usage
from nearfar.core.money import NANO, Price, cost, upper_bound
from nearfar.providers import registry

HEAD = 'date = 2026-11-22\nsource = "a test"\n'
MINI = '[[price]]\nprovider = "openai"\nmodel = "mini"\ninput = 0.15\noutput = 0.6\ncached_input = 0.075\n'


def test_a_known_price_in_nano_usd_per_million_tokens() -> None:
    assert price_for("openai", "gpt-4o-mini") == Price(
        id="openai/gpt-4o-mini@2026-11-22",
        input=150_000_000,
        output=600_000_000,
        cached_input=75_000_000,
    )


@pytest.mark.parametrize(
    ("provider", "model", "row"),
    [
        ("openai", "gpt-4o-mini-2024-07-18", "gpt-4o-mini"),
        ("anthropic", "claude-haiku-4-5-20251001", "claude-haiku-4-5"),
        ("openai", "gpt-4o-2024-08-06", "gpt-4o"),
        ("openai", "gpt-4o-2024-05-13", "gpt-4o-2024-05-13"),
    ],
)
def test_a_dated_version_costs_what_its_model_costs_unless_it_has_a_row(provider: str, model: str, row: str) -> None:
    price = price_for(provider, model)
    assert price is not None
    assert price.id.startswith(f"{provider}/{row}@")


@pytest.mark.parametrize(
    ("provider", "model"),
    [
        ("openai", "gpt-4o-mini-audio-preview"),
        ("openai", "gpt-4o-mini-2024"),
        ("openai", "ft:gpt-4o-mini-2024-07-18:somebody::id"),
        ("openai", ""),
        ("ollama", "gpt-4o-mini"),
        ("anthropic", "gpt-4o-mini"),
        ("openai", "GPT-4o-mini"),
    ],
)
def test_what_is_not_in_the_table_is_unknown_never_guessed(provider: str, model: str) -> None:
    assert price_for(provider, model) is None


def test_the_shipped_table_is_plausible() -> None:
    table = shipped()
    assert len(table) >= 500
    assert {"openai", "anthropic", "gemini", "vertex-ai", "bedrock", "mistral"} <= {provider for provider, _ in table}
    assert len({price.id for price in table.values()}) == len(table)
    for (provider, model), price in table.items():
        assert price.id.startswith(f"{provider}/{model}@202"), price.id
        for rates in filter(None, (price, price.long, price.then)):
            assert 0 < rates.input <= 200 * NANO, price.id
            assert 0 <= rates.output <= 1000 * NANO, price.id
        if price.long is not None:
            assert price.above is not None
            assert price.above >= 10_000
        if price.then is not None:
            assert price.windows


def test_the_shipped_table_says_where_it_comes_from() -> None:
    source = shipped_source()
    assert "genai-prices" in source.source
    assert str(source.date) in source.source


def test_every_provider_of_the_table_is_one_of_ours() -> None:
    assert {provider for provider, _ in shipped()} <= set(registry.names())


def test_rates_may_depend_on_the_time_of_day() -> None:
    row = MINI + "then = { windows = [[01:00:00, 04:00:00], [22:00:00, 00:00:00]], input = 0.3, output = 1.2 }\n"
    price = load((HEAD + row).encode())["openai", "mini"]
    assert price.windows == ((60, 240), (1320, 1440))
    hour = 3600 * NANO
    usage = Usage(input=1000, output=0)
    assert [cost(price, usage, at=at * hour) for at in (0, 1, 4, 22, 23)] == [
        150_000,
        300_000,
        150_000,
        300_000,
        300_000,
    ]


def test_long_requests_cost_their_own_rates_all_of_them() -> None:
    row = MINI + "long = { above = 1000, input = 0.3, output = 1.2, cached_input = 0.15 }\n"
    price = load((HEAD + row).encode())["openai", "mini"]
    assert cost(price, Usage(input=1000, output=1_000)) == 1000 * 150 + 1000 * 600
    assert cost(price, Usage(input=1001, output=1_000)) == 1001 * 300 + 1000 * 1200
    assert cost(price, Usage(input=2000, output=0, cached=500)) == 1500 * 300 + 500 * 150
    assert upper_bound(price, 1000, 10) == 1000 * 150 + 10 * 600
    assert upper_bound(price, 1001, 10) == 1001 * 300 + 10 * 1200


def test_a_row_may_say_since_when() -> None:
    table = load((HEAD + MINI + "since = 2026-08-01\n").encode())
    assert table["openai", "mini"].id == "openai/mini@2026-08-01"


@pytest.mark.parametrize(
    ("text", "why"),
    [
        (HEAD + MINI + MINI, "openai/mini is priced twice"),
        (HEAD + MINI + "discount = 0.5\n", "discount"),
        (HEAD + MINI.replace("output = 0.6\n", ""), "output"),
        (HEAD + MINI.replace("0.15", "-0.15"), "openai/mini: -0.15 USD is no price"),
        (HEAD + MINI.replace("0.15", "0.0000000001"), "openai/mini: 1E-10 USD is no price"),
        (HEAD + MINI.replace("0.15", '"much"'), "not a price table"),
        (HEAD + MINI + "long = { above = 0, input = 1.0, output = 1.0 }\n", "long.above"),
        (HEAD + MINI.replace("0.15", "1500.0"), "cannot be right"),
        (HEAD + MINI.replace("0.15", "0.00001"), "cannot be right"),
        (HEAD + MINI + "then = { windows = [], input = 1.0, output = 1.0 }\n", "then.windows"),
        (HEAD + MINI + "then = { windows = [[05:00:00, 04:00:00]], input = 1.0, output = 1.0 }\n", "then.windows"),
        (HEAD.replace('"a test"', '""') + MINI, "names its source"),
        ("date = soon", "not a price table"),
        (HEAD, "price"),
    ],
)
def test_a_wrong_table_is_refused_with_the_reason(text: str, why: str) -> None:
    with pytest.raises(ValueError, match=why):
        load(text.encode())


def test_another_table_can_be_asked() -> None:
    table: Mapping[tuple[str, str], Price] = load((HEAD + MINI).encode())
    assert price_for("openai", "mini-2026-01-01", table) is table["openai", "mini"]
    assert price_for("openai", "gpt-4o-mini", table) is None
