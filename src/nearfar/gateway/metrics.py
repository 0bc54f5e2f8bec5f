"""Prometheus metrics: their names in one table, and one object that counts. It knows no request's content.

Shared names follow OpenTelemetry's GenAI conventions as Envoy AI Gateway spells them for Prometheus
(open-telemetry/semantic-conventions-genai, status Development, read 2026-11); ours begin with ``nearfar_``.
No label holds a key, a caller or text of a request.
"""

from __future__ import annotations

import functools
import os.path

from nearfar.core.attempts import Begin, End
from nearfar.core.money import NANO

DURATION_BUCKETS = (0.01, 0.02, 0.04, 0.08, 0.16, 0.32, 0.64, 1.28, 2.56, 5.12, 10.24, 20.48, 40.96, 81.92)
OVERHEAD_BUCKETS = (0.0001, 0.00025, 0.0005, 0.001, 0.0025, 0.005, 0.01, 0.025, 0.1, 0.5, 1.0)


class Metrics:
    """Counters and histograms of one gateway. Children are looked up once per label set."""

    def __init__(self, multiprocess_dir: str = "") -> None:
        """``multiprocess_dir``: the folder that the workers of one gateway share; empty for one process."""
        # prometheus_client brings an HTTP server of its own: a quarter of the whole import, so only when counting.
        from prometheus_client import CollectorRegistry, Counter, Gauge, Histogram, disable_created_metrics

        disable_created_metrics()  # a second series per counter that nobody asked for
        self._folder = multiprocess_dir
        self.registry = CollectorRegistry()
        add = self.registry
        labels = ("gen_ai_operation_name", "gen_ai_provider_name", "gen_ai_request_model")
        self._duration = Histogram(
            "gen_ai_server_request_duration",
            "Seconds from a request's arrival to the end of its reply.",
            ("gen_ai_operation_name", "gen_ai_original_model", "status"),
            buckets=DURATION_BUCKETS,
            registry=add,
        )
        self._first = Histogram(
            "gen_ai_server_time_to_first_token",
            "Seconds from a request's arrival to the first content that the client could see.",
            ("gen_ai_operation_name", "gen_ai_original_model"),
            buckets=DURATION_BUCKETS,
            registry=add,
        )
        self._tokens = Counter(
            "gen_ai_client_token_usage",
            "Tokens that upstreams reported.",
            (*labels, "gen_ai_token_type"),
            registry=add,
        )
        self._attempts = Counter(
            "nearfar_attempts",
            "Attempts at deployments, by outcome.",
            (*labels, "place", "outcome", "error_type"),
            registry=add,
        )
        self._cost = Counter("nearfar_cost_usd", "Cost of attempts whose price is known, in USD.", labels, registry=add)
        self._overhead = Histogram(
            "nearfar_gateway_overhead_seconds",
            "Seconds from a request's arrival until the first attempt's bytes left.",
            ("gen_ai_operation_name",),
            buckets=OVERHEAD_BUCKETS,
            registry=add,
        )
        self._decisions = Counter(
            "nearfar_route_decisions", "Where requests ran, and by which strategy.", ("target", "reason"), registry=add
        )
        self._fallbacks = Counter(
            "nearfar_fallbacks",
            "Failovers: from a deployment, because of an error.",
            ("source", "reason"),
            registry=add,
        )
        self._rejected = Counter(
            "nearfar_rejected_requests", "Requests answered with an error, by its code.", ("code",), registry=add
        )
        self._inflight = Gauge(
            "nearfar_backend_inflight",
            "Attempts under way at a deployment.",
            ("deployment",),
            registry=add,
            multiprocess_mode="livesum",
        )
        self._up = Gauge(
            "nearfar_backend_up",
            "1 while a deployment is not cooling down.",
            ("deployment",),
            registry=add,
            multiprocess_mode="livemin",
        )
        self._ledger_errors = Counter(
            "nearfar_ledger_errors", "Records that could not be journalled at once.", registry=add
        )
        self._duration_of = functools.lru_cache(512)(self._duration.labels)
        self._first_of = functools.lru_cache(512)(self._first.labels)
        self._tokens_of = functools.lru_cache(2048)(self._tokens.labels)
        self._attempts_of = functools.lru_cache(2048)(self._attempts.labels)
        self._cost_of = functools.lru_cache(512)(self._cost.labels)
        self._overhead_of = functools.lru_cache(16)(self._overhead.labels)
        self._decisions_of = functools.lru_cache(512)(self._decisions.labels)
        self._inflight_of = functools.lru_cache(512)(self._inflight.labels)
        self._up_of = functools.lru_cache(512)(self._up.labels)

    def request(self, *, operation: str, route: str, status: int, seconds: float, first: float | None) -> None:
        """A request ended. ``route`` is empty when none was found: asked names are the clients' invention."""
        self._duration_of(operation, route, str(status)).observe(seconds)
        if first is not None:
            self._first_of(operation, route).observe(first)

    def overhead(self, operation: str, seconds: float) -> None:
        """The first attempt's bytes are about to leave."""
        self._overhead_of(operation).observe(seconds)

    def decision(self, target: str, reason: str) -> None:
        """A request ran at ``target``."""
        self._decisions_of(target, reason).inc()

    def fallback(self, source: str, code: str) -> None:
        """The request moves on from ``source``."""
        self._fallbacks.labels(source, code).inc()

    def rejected(self, code: str) -> None:
        """A request was answered with an error."""
        self._rejected.labels(code).inc()

    def started(self, deployment: str) -> None:
        """An attempt is under way."""
        self._inflight_of(deployment).inc()

    def ended(self, begin: Begin, end: End, *, cooling: bool) -> None:
        """An attempt ended."""
        labels = (begin.operation, begin.provider, begin.model)
        self._inflight_of(begin.deployment).dec()
        self._up_of(begin.deployment).set(0 if cooling else 1)
        self._attempts_of(*labels, begin.place, end.outcome, end.error).inc()
        usage = end.usage
        if usage is not None:
            if usage.input:
                self._tokens_of(*labels, "input").inc(usage.input)
            if usage.output:
                self._tokens_of(*labels, "output").inc(usage.output)
        if end.cost:
            self._cost_of(*labels).inc(end.cost / NANO)

    def ledger_error(self) -> None:
        """A record is waiting because the journal could not be written."""
        self._ledger_errors.inc()

    def text(self) -> bytes:
        """The exposition format, over all workers when there are several."""
        from prometheus_client import CollectorRegistry, generate_latest

        if self._folder and os.path.isdir(self._folder):  # noqa: PTH112  prometheus_client wants the same string
            from prometheus_client.multiprocess import MultiProcessCollector

            registry = CollectorRegistry()
            MultiProcessCollector(registry, path=self._folder)  # type: ignore[no-untyped-call]  # untyped upstream
            return generate_latest(registry)
        return generate_latest(self.registry)
