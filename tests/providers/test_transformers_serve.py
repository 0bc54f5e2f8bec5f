"""How ``transformers serve`` is recognised; tests/live/test_transformers_serve.py asks the real one."""

from nearfar.providers.transformers_serve import PROVIDER, read_paths


def test_its_description_of_itself_is_its_mark() -> None:
    own = b'{"openapi":"3.1.0","paths":{"/load_model":{},"/reset":{},"/v1/chat/completions":{},"/health":{}}}'
    assert read_paths(own) == []


def test_other_servers_on_this_port_are_not_it() -> None:
    """vLLM describes itself at the same address."""
    vllm = b'{"openapi":"3.1.0","paths":{"/v1/chat/completions":{},"/v1/models":{},"/health":{}}}'
    for body in (vllm, b"{}", b'{"paths":[]}', b"\xff", b"null"):
        assert read_paths(body) is None


def test_both_probes_must_agree() -> None:
    assert [probe.path for probe in PROVIDER.probes] == ["/v1/models", "/openapi.json"]
