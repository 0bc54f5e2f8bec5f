"""Tokens per second for many users at once: a roofline, and how near engines come. It knows no queue.

The form: as many sequences as the memory holds; a step reads the weights and every sequence's cache, or computes, which
of both takes longer; prompts are computed in between.
"""

from __future__ import annotations

import math

import msgspec

from nearfar.advisor.buffers import Run
from nearfar.advisor.cache import cache, copies
from nearfar.advisor.constants import Constants, Serving, Span
from nearfar.advisor.figures import Figure
from nearfar.advisor.rig import Rig
from nearfar.advisor.speed import tflops, work
from nearfar.advisor.weights import Weights
from nearfar.catalog.models import Model

_MOST = 4096
"""Sequences that an engine handles at once."""
_SLOW, _QUICK = 1.5, 0.3
"""Times an engine's own time for a token, in the range that is printed: processors differ, and so do settings."""


class Load(msgspec.Struct, frozen=True, kw_only=True):
    """What is asked."""

    prompt: int = 1000
    answer: int = 1000
    sequences: int = 0
    """At once; 0: as many as fit."""


class Served(msgspec.Struct, frozen=True, kw_only=True):
    """What comes out, of all users together."""

    sequences: int
    out_tps: Figure
    total_tps: Figure
    """With the prompts' tokens."""


def serve(model: Model, weights: Weights, run: Run, rig: Rig, constants: Constants, load: Load) -> Served | None:
    """Throughput under ``load``; None when not even one sequence fits."""
    rules = constants.serving
    length = load.prompt + load.answer
    per_token = copies(model, run.engine, rig.count) * cache(model, 4096, engine=run.engine, kind=run.kv).per_token
    room = 0.9 * rig.usable - weights.total - rules.reserve_gb * 1e9 * rig.count
    fits = int(room / (max(per_token, 1.0) * length))
    if fits < 1:
        return None
    most = min(fits, _MOST)
    batch = min(most, load.sequences or most)
    shares = rules.span(run.engine, moe=model.moe is not None)
    # What is asked beyond the best number of sequences waits: more users never get less in all.
    tried = {batch, *(1 << power for power in range(batch.bit_length()))}
    paces = [(_nearer(shares, count, most), _roofline(model, weights, rig, run, rules, load, count)) for count in tried]
    span, out = max(paces, key=lambda each: _pace(each[0].value, each[1], each[0].answer_us))
    factor = rules.kinds.get(rig.device.kind, 1.0) * (rules.two_or_more if rig.count > 1 else 1.0)
    basis = (
        f"{batch} sequences of {load.prompt} + {load.answer} tokens; {span.low:.2g} to {span.high:.2g} of the roofline"
    )
    if span.answer_us:
        basis += f", {span.answer_us:g} µs of the engine's own a token"
    figure = Figure(
        low=_pace(span.low, out, span.answer_us * _SLOW),
        value=_pace(span.value, out, span.answer_us),
        high=_pace(span.high, out, span.answer_us * _QUICK),
        basis=basis,
    )
    figure = figure.times(factor)
    return Served(sequences=batch, out_tps=figure, total_tps=figure.times(length / load.answer))


def _pace(share: float, roofline: float, own_us: float) -> float:
    """Tokens per second: ``share`` of the roofline, and ``own_us`` of the engine's program for each."""
    return 1 / (1 / (share * roofline) + own_us * 1e-6)


def _roofline(model: Model, weights: Weights, rig: Rig, run: Run, rules: Serving, load: Load, batch: int) -> float:
    """Tokens per second that ``batch`` sequences could get at best."""
    per_token = copies(model, run.engine, rig.count) * cache(model, 4096, engine=run.engine, kind=run.kv).per_token
    bandwidth = rules.bandwidth * rig.bandwidth * rig.count
    compute = rules.compute * tflops(rig, run.quant) * 1e12 * rig.count
    operations = work(model)
    step = max(weights.read(batch) / bandwidth, operations * batch / compute)
    step += batch * per_token * (load.prompt + load.answer / 2) / bandwidth
    return batch * load.answer / (load.answer * step + batch * operations * load.prompt / compute)


def _nearer(span: Span, batch: int, most: int) -> Span:
    """The shares for ``batch`` sequences: those of the table hold for ``most``; with fewer, engines come nearer."""
    weight = math.log(batch) / math.log(most) if most > 1 else 1.0
    value = 1.0 - (1.0 - span.value) * weight
    low, high = value * span.low / span.value, value * span.high / span.value
    return Span(low=low, value=value, high=high, answer_us=span.answer_us)
