"""The bench of translations runs over every pair. Its values are nobody's claim."""

from __future__ import annotations

import pytest

from bench import translate
from nearfar.core.chat import TextDelta
from nearfar.wire import registry


def test_every_pair_of_unlike_wires_is_measured() -> None:
    told = translate.figures(10.0, 5.0, rounds=1)
    pairs = told["pairs"]
    assert isinstance(pairs, dict)
    assert len(pairs) == len(translate.CLIENTS) * len(translate.PROVIDERS) - 4, "four dialects are spoken on both sides"
    assert told["worst_request_us"] == max(cost[0] for cost in pairs.values())
    assert told["worst_chunk_us"] == max(cost[1] for cost in pairs.values())
    assert told["worst_request_ratio"] == pytest.approx(float(str(told["worst_request_us"])) / 10, abs=0.01)


@pytest.mark.parametrize("name", translate.CLIENTS)
def test_the_prompt_is_two_kilobytes_in_every_dialect(name: str) -> None:
    data = translate.body(name, stream=True)
    assert 2000 <= len(data) <= 2200
    assert translate.ask(registry.client_wire(name), stream=True).stream


@pytest.mark.parametrize("name", translate.PROVIDERS)
def test_each_piece_of_the_stream_holds_text(name: str) -> None:
    wire = registry.provider_wire(name)
    request = translate.ask(registry.client_wire("openai.chat"), stream=True)
    decoder = wire.decoder(request, True)
    chunks = [chunk for piece in translate.pieces(wire) for chunk in decoder.feed(piece)] + decoder.close()
    texts = [event for chunk in chunks for event in chunk.events if isinstance(event, TextDelta)]
    assert len(texts) >= translate.PIECES
