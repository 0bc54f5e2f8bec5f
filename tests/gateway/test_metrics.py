"""What a gateway counts."""

from tests.attempts import begin, end

from nearfar.core.chat import Usage
from nearfar.gateway.metrics import GAUGES, Metrics


def lines(metrics: Metrics) -> list[str]:
    return [line for line in metrics.text().decode().splitlines() if not line.startswith("#")]


def test_an_attempt_shows_in_the_shared_names_and_ours() -> None:
    metrics = Metrics()
    first = begin("a")
    metrics.started(first.deployment)
    assert f'nearfar_backend_inflight{{deployment="{first.deployment}"}} 1' in lines(metrics)
    last = end("a", usage=Usage(input=100, output=7), cost=2_500_000_000)
    metrics.ended(first, last)
    metrics.up(first.deployment, cooling=False)
    text = "\n".join(lines(metrics))
    labels = (
        f'gen_ai_operation_name="{first.operation}",gen_ai_provider_name="{first.provider}",'
        f'gen_ai_request_model="{first.model}"'
    )
    assert f'nearfar_backend_inflight{{deployment="{first.deployment}"}} 0' in text
    assert f'nearfar_backend_up{{deployment="{first.deployment}"}} 1' in text
    assert f'gen_ai_client_token_usage_sum{{{labels},gen_ai_token_type="input"}} 100' in text
    assert f'gen_ai_client_token_usage_sum{{{labels},gen_ai_token_type="output"}} 7' in text
    assert f"nearfar_cost_usd_total{{{labels}}} 2.5" in text
    assert f'nearfar_attempts_total{{{labels},place="{first.place}",outcome="ok",error_type=""}} 1' in text


def test_unknown_costs_and_counts_add_nothing() -> None:
    metrics = Metrics()
    metrics.started("d")
    metrics.ended(begin("a", deployment="d"), end("a", usage=None, cost=None, outcome="cut", error="stream_cut"))
    text = "\n".join(lines(metrics))
    assert "cost_usd_total{" not in text
    assert "token_usage_sum{" not in text
    assert 'outcome="cut",error_type="stream_cut"' in text
    metrics.up("d", cooling=True)
    assert 'nearfar_backend_up{deployment="d"} 0' in "\n".join(lines(metrics))


def test_a_request_shows_its_duration_first_content_overhead_and_end() -> None:
    metrics = Metrics()
    metrics.overhead("chat", 0.0002)
    metrics.request(operation="chat", route="auto", status=200, seconds=0.5, first=0.05)
    metrics.request(operation="chat", route="", status=404, seconds=0.001, first=None)
    metrics.rejected("model_not_found")
    metrics.decision("near", "local-first")
    metrics.fallback("near", "engine_error")
    metrics.deviation("dropped:seed")
    metrics.deviation("retry")
    text = "\n".join(lines(metrics))
    name = 'gen_ai_operation_name="chat",gen_ai_original_model='
    assert f'gen_ai_server_request_duration_sum{{{name}"auto",status="200"}} 0.5' in text
    assert f'gen_ai_server_request_duration_count{{{name}"",status="404"}} 1' in text
    assert f'gen_ai_server_time_to_first_token_count{{{name}"auto"}} 1' in text
    assert 'nearfar_gateway_overhead_seconds_bucket{gen_ai_operation_name="chat",le="0.00025"} 1' in text
    assert 'nearfar_rejected_requests_total{code="model_not_found"} 1' in text
    assert 'nearfar_route_decisions_total{target="near",reason="local-first"} 1' in text
    assert 'nearfar_deviations_total{kind="dropped"} 1' in text
    assert 'nearfar_deviations_total{kind="retry"} 1' in text
    assert 'nearfar_fallbacks_total{source="near",reason="engine_error"} 1' in text


def test_the_gauges_are_named() -> None:
    metrics = Metrics()
    text = metrics.text().decode()
    kinds = dict(line.split(" ")[2:4] for line in text.splitlines() if line.startswith("# TYPE"))
    assert sorted(name for name, kind in kinds.items() if kind == "gauge") == sorted(GAUGES)


def test_who_waits_for_a_slot_shows() -> None:
    metrics = Metrics()
    metrics.queued("near", "slot", 0.3)
    metrics.queued("near", "wait", 2.0)
    metrics.depth("near", 4)
    text = "\n".join(lines(metrics))
    assert 'nearfar_queue_wait_seconds_count{deployment="near",outcome="slot"} 1' in text
    assert 'nearfar_queue_wait_seconds_sum{deployment="near",outcome="wait"} 2' in text
    assert 'nearfar_queue_depth{deployment="near"} 4' in text


def test_what_is_learned_from_and_by_whose_word() -> None:
    metrics, other = Metrics(), Metrics()
    metrics.label("judged")
    metrics.label("judged")
    metrics.judge("third", 0.9, trusted=True)
    other.judge("third", 0.5, trusted=False)
    text = metrics.text(other.snapshot()).decode()
    assert 'nearfar_labels_total{outcome="judged"} 2' in text
    assert 'nearfar_judge_agreement{judge="third"} 0.5' in text
    assert 'nearfar_judge_trusted{judge="third"} 0' in text, "one worker that distrusts it is enough"
