"""Money as integers of nano-USD, and what an attempt costs. It knows no vendor and no currency rate."""

from __future__ import annotations

import msgspec

from nearfar.core.chat import Usage

NANO = 1_000_000_000


class Price(msgspec.Struct, frozen=True, kw_only=True):
    """What a deployment charges, in nano-USD per million tokens.

    ``id`` names the row and its date, so an entry can be priced again as of its day.
    ``cached_input`` and ``cache_write`` fall back to ``input`` when the vendor states none.
    """

    id: str
    input: int
    output: int
    cached_input: int | None = None
    cache_write: int | None = None
    above: int | None = None
    """With more input tokens than this, all of the request costs ``long``'s rates; None when length does not matter."""
    long: Price | None = None
    windows: tuple[tuple[int, int], ...] = ()
    """Times of day with rates of their own, as minutes of the day in UTC: from, up to but not including."""
    then: Price | None = None
    """The rates in ``windows``; None when the time does not matter."""


FREE = Price(id="free", input=0, output=0)
"""Own hardware: the tokens cost nothing per request (electricity and depreciation are the advisor's subject)."""


def cost(price: Price | None, usage: Usage | None, *, at: int | None = None) -> int | None:
    """Nano-USD for ``usage``, rounded up; None when price or counts are unknown. Unknown is not zero.

    Where tokens are free, their number need not be known. ``at``: when the request was made, in nanoseconds since the
    epoch; None asks for the rates outside of ``windows``.
    """
    if price is None:
        return None
    if price.then is not None and at is not None:
        price = _at_time(price, at)
    if not price.input and not price.output:
        return 0
    if usage is None or usage.input is None or usage.output is None:
        return None
    if price.long is not None:
        price = _at_length(price, usage.input)
    cached = usage.cached or 0
    written = usage.cache_write or 0
    if not (cached or written):
        return -(-(usage.input * price.input + usage.output * price.output) // 1_000_000)
    plain = max(0, usage.input - cached - written)
    total = (
        plain * price.input
        + cached * (price.input if price.cached_input is None else price.cached_input)
        + written * (price.input if price.cache_write is None else price.cache_write)
        + usage.output * price.output
    )
    return -(-total // 1_000_000)


def upper_bound(price: Price | None, input_tokens: int, output_tokens: int) -> int | None:
    """The most a request can cost: every input token at its dearest rate, every allowed output token, at any time."""
    if price is None:
        return None
    if price.then is not None:
        later = upper_bound(price.then, input_tokens, output_tokens)
        now = upper_bound(msgspec.structs.replace(price, then=None), input_tokens, output_tokens)
        return max(later or 0, now or 0)
    if price.long is not None:
        price = _at_length(price, input_tokens)
    dearest = max(price.input, price.cached_input or 0, price.cache_write or 0)
    return -(-(input_tokens * dearest + output_tokens * price.output) // 1_000_000)


def likely(price: Price, input_tokens: int, output_tokens: float) -> float:
    """Nano-USD for a request of this size when nothing of it is cached."""
    if not price.input and not price.output:
        return 0.0
    if price.long is not None:
        price = _at_length(price, input_tokens)
    return (input_tokens * price.input + output_tokens * price.output) / 1_000_000


def _at_length(price: Price, input_tokens: int) -> Price:
    if price.long is None or price.above is None or input_tokens <= price.above:
        return price
    return price.long


_MINUTE = 60 * 10**9
_DAY = 24 * 60


def _at_time(price: Price, at: int) -> Price:
    minute = at // _MINUTE % _DAY
    if price.then is not None and any(start <= minute < end for start, end in price.windows):
        return price.then
    return price


def usd(nano: int | None) -> str:
    """``nano`` for people: ``$0.000123``, or ``unknown``."""
    if nano is None:
        return "unknown"
    text = f"{nano / NANO:.6f}" if abs(nano) < NANO // 100 else f"{nano / NANO:.4f}"
    return f"${text}"
