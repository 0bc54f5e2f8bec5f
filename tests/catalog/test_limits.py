"""The headers of limits, as data."""

from nearfar.catalog.limits import meters
from nearfar.providers import registry


def test_every_row_names_a_provider_and_headers_in_lower_case() -> None:
    known = set(registry.names())
    for name, meter in meters().items():
        assert name in known
        assert meter.headers
        for header, (number, part) in meter.headers.items():
            assert header == header.lower()
            assert getattr(meter.windows[number], part).encode() == header


def test_each_family_is_read() -> None:
    assert meters()["openai"].headers[b"x-ratelimit-remaining-tokens"] == (1, "remaining")
    assert meters()["anthropic"].headers[b"anthropic-ratelimit-output-tokens-reset"] == (3, "reset")
    assert meters()["openai-compatible"].headers[b"x-ratelimit-reset"] == (2, "reset"), "of two families"
    assert "ollama" not in meters()


def test_a_head_without_the_common_word_says_nothing_about_limits() -> None:
    for name, one in meters().items():
        assert len(one.word) > 4, name
        assert all(one.word in header for header in one.headers)
