"""What a gateway counts: the names in one table, and the calls that the path of a request makes.

Shared names follow OpenTelemetry's GenAI conventions as Envoy AI Gateway spells them for Prometheus
(open-telemetry/semantic-conventions-genai, status Development, read 2026-11); ours begin with ``nearfar_``.
No label holds a key, a caller or text of a request.
"""

from __future__ import annotations

import msgspec

from nearfar.core.attempts import Begin, End
from nearfar.core.money import NANO
from nearfar.gateway.exposition import Counter, Gauge, Histogram, Registry, Snapshot

DURATION_BUCKETS = (0.01, 0.02, 0.04, 0.08, 0.16, 0.32, 0.64, 1.28, 2.56, 5.12, 10.24, 20.48, 40.96, 81.92)
TOKEN_BUCKETS = tuple(float(4**power) for power in range(14))
OVERHEAD_BUCKETS = (0.0001, 0.00025, 0.0005, 0.001, 0.0025, 0.005, 0.01, 0.025, 0.1, 0.5, 1.0)
GAUGES = (
    *("nearfar_backend_inflight", "nearfar_backend_up", "nearfar_queue_depth"),
    *("nearfar_router_evidence", "nearfar_router_alarms"),
    *("nearfar_judge_agreement", "nearfar_judge_trusted"),
)
"""What ends with its process, unlike counts."""
_ATTEMPT = ("gen_ai_operation_name", "gen_ai_provider_name", "gen_ai_request_model")
_REQUEST = ("gen_ai_operation_name", "gen_ai_original_model")


class _Rows(msgspec.Struct):
    """The rows that an ended attempt is added to; those of what it did not report are not there yet."""

    inflight: list[float]
    attempts: list[float]
    input: list[float] | None = None
    output: list[float] | None = None
    cost: list[float] | None = None


class Metrics:
    """Counters, gauges and histograms of one process."""

    def __init__(self) -> None:
        self._requests: dict[tuple[str, str, int], list[float]] = {}
        self._endings: dict[tuple[str, ...], _Rows] = {}
        """What was counted before → its rows: a request adds to a dozen, and each lookup by labels costs."""
        self._registry = Registry()
        # Rows stand in the text in this order.
        self._count_attempts()
        self._count_decisions()
        self._count_learning()
        self._count_backends()

    def _count_attempts(self) -> None:
        """What requests and their attempts took."""
        add = self._registry.add
        self._duration = add(
            Histogram(
                "gen_ai_server_request_duration",
                "Seconds from a request's arrival to the end of its reply.",
                (*_REQUEST, "status"),
                DURATION_BUCKETS,
            )
        )
        self._first = add(
            Histogram(
                "gen_ai_server_time_to_first_token",
                "Seconds from a request's arrival to the first content that the client could see.",
                _REQUEST,
                DURATION_BUCKETS,
            )
        )
        self._tokens = add(
            Histogram(
                "gen_ai_client_token_usage",
                "Tokens that upstreams reported, per attempt.",
                (*_ATTEMPT, "gen_ai_token_type"),
                TOKEN_BUCKETS,
            )
        )
        self._attempts = add(
            Counter(
                "nearfar_attempts",
                "Attempts at deployments, by outcome.",
                (*_ATTEMPT, "place", "outcome", "error_type"),
            )
        )
        self._cost = add(Counter("nearfar_cost_usd", "Cost of attempts whose price is known, in USD.", _ATTEMPT))
        self._overhead = add(
            Histogram(
                "nearfar_gateway_overhead_seconds",
                "Seconds from a request's arrival until the first attempt's bytes left.",
                ("gen_ai_operation_name",),
                OVERHEAD_BUCKETS,
            )
        )

    def _count_decisions(self) -> None:
        """Where requests went, and what became of them on their way."""
        add = self._registry.add
        self._decisions = add(
            Counter("nearfar_route_decisions", "Where requests ran, and by which strategy.", ("target", "reason"))
        )
        self._fallbacks = add(
            Counter("nearfar_fallbacks", "Failovers: from a deployment, because of an error.", ("source", "reason"))
        )
        self._deviations = add(
            Counter("nearfar_deviations", "Requests that were changed or asked again on their way, by kind.", ("kind",))
        )
        self._rejected = add(
            Counter("nearfar_rejected_requests", "Requests answered with an error, by its code.", ("code",))
        )
        self._observed = add(
            Counter(
                "nearfar_policy_observed",
                "What a policy that is only observed would have done with requests, by class and outcome.",
                ("policy", "class", "outcome"),
            )
        )

    def _count_learning(self) -> None:
        """Learned routers, and what they learn from."""
        add = self._registry.add
        self._leans = add(
            Counter(
                "nearfar_router_leans",
                "Which side learned routers would have go first: followed, observed only, or resting (no canary).",
                ("route", "lean"),
            )
        )
        self._evidence = add(
            Gauge(
                "nearfar_router_evidence",
                "E-value against the promise of a route's router since its last alarm; 20 is an alarm.",
                ("route",),
                over_workers=max,
            )
        )
        self._alarms = add(
            Gauge(
                "nearfar_router_alarms",
                "How often the threshold of a route's router was tightened because it lost more than was promised.",
                ("route",),
                over_workers=max,
            )
        )
        self._labels = add(
            Counter(
                "nearfar_labels",
                "Requests answered near and far, by what became of the pair: compared, waiting, judged, or why not.",
                ("outcome",),
            )
        )
        self._agreement = add(
            Gauge(
                "nearfar_judge_agreement",
                "Share of the anchors on which a judge agreed when it was last tried.",
                ("judge",),
                over_workers=min,
            )
        )
        self._trusted = add(
            Gauge(
                "nearfar_judge_trusted",
                "1 while a judge agrees with enough anchors for its labels to be used.",
                ("judge",),
                over_workers=min,
            )
        )

    def _count_backends(self) -> None:
        """How deployments stand."""
        add = self._registry.add
        self._inflight = add(
            Gauge("nearfar_backend_inflight", "Attempts under way at a deployment.", ("deployment",), over_workers=sum)
        )
        self._waits = add(
            Histogram(
                "nearfar_queue_wait_seconds",
                "Seconds that requests waited for a slot of a busy deployment, by what came of it.",
                ("deployment", "outcome"),
                DURATION_BUCKETS,
            )
        )
        self._depth = add(
            Gauge(
                "nearfar_queue_depth",
                "Requests that wait for a slot of a deployment at this moment.",
                ("deployment",),
                over_workers=sum,
            )
        )
        self._up = add(
            Gauge(
                "nearfar_backend_up",
                "1 while a deployment is not cooling down.",
                ("deployment",),
                over_workers=min,
            )
        )

    def request(self, *, operation: str, route: str, status: int, seconds: float, first: float | None) -> None:
        """A request ended. ``route`` is empty when none was found: asked names are the clients' invention."""
        key = (operation, route, status)
        row = self._requests.get(key)
        if row is None:
            row = self._requests[key] = self._duration.row((operation, route, str(status)))
        self._duration.count(row, seconds)
        if first is not None:
            self._first.observe((operation, route), first)

    def overhead(self, operation: str, seconds: float) -> None:
        """The first attempt's bytes are about to leave."""
        self._overhead.observe((operation,), seconds)

    def decision(self, target: str, reason: str) -> None:
        """A request ran at ``target``."""
        self._decisions.inc((target, reason))

    def fallback(self, source: str, code: str) -> None:
        """The request moves on from ``source``."""
        self._fallbacks.inc((source, code))

    def deviation(self, what: str) -> None:
        """Something was changed on the way, ``dropped:seed`` for one; what stands before the colon is counted."""
        self._deviations.inc((what.partition(":")[0],))

    def deviated(self, changes: tuple[str, ...]) -> None:
        """An attempt leaves with ``changes``."""
        for what in changes:
            self.deviation(what)

    def rejected(self, code: str) -> None:
        """A request was answered with an error."""
        self._rejected.inc((code,))

    def observed(self, policy: str, class_: str, outcome: str) -> None:
        """A policy that is only observed would have done ``outcome``."""
        self._observed.inc((policy, class_, outcome))

    def leaned(self, route: str, lean: str) -> None:
        """A learned router was asked: ``near``, ``far``, ``…_observed``, ``…_resting`` or ``fallback``."""
        self._leans.inc((route, lean))

    def promised(self, route: str, evidence: float, alarms: int) -> None:
        """How the promise of a router stands: asked when somebody looks."""
        self._evidence.set((route,), evidence)
        self._alarms.set((route,), alarms)

    def label(self, outcome: str) -> None:
        """A request was answered near and far, and this became of the pair; see ``gateway.learning``."""
        self._labels.inc((outcome,))

    def judge(self, name: str, agreement: float, *, trusted: bool) -> None:
        """How a judge did on the anchors."""
        self._agreement.set((name,), agreement)
        self._trusted.set((name,), int(trusted))

    def started(self, deployment: str) -> None:
        """An attempt is under way."""
        self._inflight.add((deployment,), 1)

    def depth(self, deployment: str, waiting: int) -> None:
        """How many wait for ``deployment``: asked when somebody looks."""
        self._depth.set((deployment,), waiting)

    def queued(self, deployment: str, outcome: str, seconds: float) -> None:
        """A request wanted a slot that was not free. ``outcome``: ``slot``, ``full`` or ``wait`` (too long)."""
        self._waits.observe((deployment, outcome), seconds)

    def up(self, deployment: str, *, cooling: bool) -> None:
        """Whether ``deployment`` rests: asked when somebody looks, because a rest ends by itself."""
        self._up.set((deployment,), 0 if cooling else 1)

    def ended(self, begin: Begin, end: End) -> None:
        """An attempt ended."""
        operation, provider, model = begin.operation, begin.provider, begin.model
        key = (begin.deployment, operation, provider, model, begin.place, end.outcome, end.error)
        rows = self._endings.get(key)
        if rows is None:
            rows = self._endings[key] = _Rows(self._inflight.row(key[:1]), self._attempts.row(key[1:]))
        rows.inflight[0] -= 1
        rows.attempts[0] += 1
        usage = end.usage
        if usage is not None:
            if usage.input:
                rows.input = rows.input or self._tokens.row((operation, provider, model, "input"))
                self._tokens.count(rows.input, usage.input)
            if usage.output:
                rows.output = rows.output or self._tokens.row((operation, provider, model, "output"))
                self._tokens.count(rows.output, usage.output)
        if end.cost:
            rows.cost = rows.cost or self._cost.row((operation, provider, model))
            rows.cost[0] += end.cost / NANO

    def snapshot(self) -> Snapshot:
        """All values as they are now."""
        return self._registry.snapshot()

    def text(self, *others: Snapshot) -> bytes:
        """Prometheus exposition of this process, joined with the snapshots of other workers."""
        return self._registry.text(self.snapshot(), *others)
