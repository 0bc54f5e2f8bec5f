from nearfar.core.errors import BadRequestError, ModelLoading, UpstreamError
from nearfar.core.places import Place
from nearfar.core.routing import Deployment
from nearfar.wire import openai_chat
from nearfar.wire.huggingface_chat import PROVIDER, SCALES_UP, error

BODY = b'{"model":"asked","messages":[{"role":"user","content":"hi"}]}'


def there(**options: str) -> Deployment:
    return Deployment(
        name="d",
        provider="huggingface-endpoints",
        model="m",
        wire="huggingface.chat",
        base_url="https://x.endpoints.huggingface.cloud/v1",
        place=Place.CLOUD,
        options=options,
    )


def test_the_proxy_waits_only_when_it_is_told_to() -> None:
    request = openai_chat.parse(BODY, "r")
    assert PROVIDER.encode(request, there(), None) == openai_chat.encode(request, there(), None)
    patient = PROVIDER.encode(request, there(scale_up_timeout="600"), None)
    assert ("X-Scale-Up-Timeout", "600") in patient.headers


def test_scaling_up_is_a_state_and_a_paused_endpoint_is_not_the_requests_fault() -> None:
    loading = error(503, {}, b'{"error":"503 Service Unavailable"}')
    assert isinstance(loading, ModelLoading)
    assert (loading.moves_on, loading.retry_after) == (True, SCALES_UP)
    assert error(503, {"retry-after": "5"}, b"").retry_after == 5
    paused = error(400, {}, b'{"error":"Bad Request: Invalid state: endpoint is paused"}')
    assert (type(paused), paused.code, paused.moves_on) == (UpstreamError, "endpoint_paused", True)
    assert isinstance(error(400, {}, b'{"error":"temperature is too high"}'), BadRequestError)
