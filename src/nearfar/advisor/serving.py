"""Tokens per second for many users at once: a roofline, and how near engines come. It knows no queue.

The form: as many sequences as the memory holds; a step reads the weights and every sequence's cache, or computes, which
of both takes longer; prompts are computed in between.
"""

from __future__ import annotations

import msgspec

from nearfar.advisor.buffers import Run
from nearfar.advisor.cache import cache, copies
from nearfar.advisor.constants import Constants
from nearfar.advisor.figures import Figure
from nearfar.advisor.rig import Rig
from nearfar.advisor.speed import tflops, work
from nearfar.advisor.weights import Weights
from nearfar.catalog.models import Model


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
    times = copies(model, run.engine, rig.count)
    per_token = times * cache(model, 4096, engine=run.engine, kind=run.kv).per_token or 1.0
    room = 0.9 * rig.usable - weights.total - rules.reserve_gb * 1e9 * rig.count
    fits = int(room / (per_token * length))
    if fits < 1:
        return None
    batch = min(fits, load.sequences or fits, 4096)
    bandwidth = rules.bandwidth * rig.bandwidth * rig.count
    compute = rules.compute * tflops(rig, run.quant) * 1e12 * rig.count
    operations = work(model)
    step = max(weights.read(batch) / bandwidth, operations * batch / compute)
    step += batch * per_token * (load.prompt + load.answer / 2) / bandwidth
    out = batch * load.answer / (load.answer * step + batch * operations * load.prompt / compute)
    span = rules.span(run.engine, moe=model.moe is not None)
    factor = rules.kinds.get(rig.device.kind, 1.0) * (rules.two_or_more if rig.count > 1 else 1.0)
    basis = f"{batch} sequences of {load.prompt} + {load.answer} tokens; {span.low:g} to {span.high:g} of the roofline"
    figure = Figure(low=span.low * out, value=span.value * out, high=span.high * out, basis=basis)
    figure = figure.times(factor)
    return Served(sequences=batch, out_tps=figure, total_tps=figure.times(length / load.answer))
