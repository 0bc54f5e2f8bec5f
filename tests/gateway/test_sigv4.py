"""Our signatures are botocore's: for the requests we send, and for any others."""

import datetime as dt
from unittest import mock
from urllib.parse import quote

import botocore.auth
import pytest
from botocore.awsrequest import AWSRequest
from botocore.credentials import Credentials as TheirCredentials
from hypothesis import given
from hypothesis import strategies as st

from nearfar.gateway.sigv4 import Credentials, SigV4

NOW = dt.datetime(2026, 11, 22, 8, 30, 1, tzinfo=dt.UTC)
STAMP = "20261122T083001Z"
KEYS = Credentials(access_key="AKIDEXAMPLE", secret_key="a secret/with+signs")


def theirs(
    keys: Credentials, service: str, region: str, method: str, url: str, headers: list[tuple[str, str]], body: bytes
) -> dict[str, str]:
    """The headers that botocore adds."""
    request = AWSRequest(method=method, url=url, data=body)
    for name, value in headers:
        request.headers.add_header(name, value)
    found = TheirCredentials(keys.access_key, keys.secret_key, keys.token or None)
    with mock.patch.object(botocore.auth, "get_current_datetime", return_value=NOW):
        botocore.auth.SigV4Auth(found, service, region).add_auth(request)
    return {name.lower(): value for name, value in request.headers.items()}


tokens = st.text(st.characters(min_codepoint=33, max_codepoint=126), min_size=1, max_size=30)
names = st.from_regex(r"[A-Za-z][A-Za-z0-9-]{0,12}", fullmatch=True).filter(
    lambda name: name.lower() not in {"host", "date", "content-length", "authorization"} | {"x-amz-date"}
)
values = st.text(st.characters(min_codepoint=32, max_codepoint=126), max_size=20)
parts = st.text(st.characters(codec="utf-8", exclude_categories=["Cs"]), max_size=12) | st.sampled_from([".", "..", ""])
paths = st.lists(parts, max_size=5).map(lambda found: "/" + "/".join(quote(part, safe="") for part in found))
queries = st.lists(st.tuples(parts, parts), max_size=3).map(
    lambda found: "&".join(f"{quote(name, safe='')}={quote(value, safe='')}" for name, value in found)
)


@given(
    keys=st.builds(
        lambda a, s, t: Credentials(access_key=a, secret_key=s, token=t), tokens, tokens, st.just("") | tokens
    ),
    service=st.sampled_from(["bedrock", "sagemaker"]),
    region=st.sampled_from(["us-east-1", "ap-northeast-1"]),
    method=st.sampled_from(["POST", "GET", "put"]),
    path=paths,
    query=queries,
    headers=st.lists(st.tuples(names, values), max_size=5, unique_by=lambda pair: pair[0].lower()),
    body=st.binary(max_size=60),
)
def test_every_signature_is_botocores(
    keys: Credentials,
    service: str,
    region: str,
    method: str,
    path: str,
    query: str,
    headers: list[tuple[str, str]],
    body: bytes,
) -> None:
    target = f"{path}?{query}" if query else path
    host = f"{service}.{region}.example.com"
    mine = dict(SigV4(service, region).sign(keys, method, host, target, headers, body, STAMP))
    expected = theirs(keys, service, region, method, f"https://{host}{target}", headers, body)
    assert mine["authorization"] == expected["authorization"]
    assert mine["x-amz-date"] == expected["x-amz-date"]
    assert mine.get("x-amz-security-token") == expected.get("x-amz-security-token")


def test_an_encoded_colon_is_signed_encoded_twice() -> None:
    path = "/model/anthropic.claude-sonnet-4-5-20250929-v1%3A0/converse"
    headers = [("content-type", "application/json")]
    signer = SigV4("bedrock", "us-east-1")
    mine = dict(signer.sign(KEYS, "POST", "127.0.0.1:8000", path, headers, b"{}", STAMP))
    expected = theirs(KEYS, "bedrock", "us-east-1", "POST", f"http://127.0.0.1:8000{path}", headers, b"{}")
    assert mine["authorization"] == expected["authorization"]
    plain = path.replace("%3A", ":")
    other = theirs(KEYS, "bedrock", "us-east-1", "POST", f"http://127.0.0.1:8000{plain}", headers, b"{}")
    assert mine["authorization"] != other["authorization"]


def test_the_derived_key_follows_the_secret_and_the_day() -> None:
    signer = SigV4("bedrock", "us-east-1")

    def signature(secret: str, stamp: str, signer: SigV4 = signer) -> str:
        keys = Credentials(access_key="a", secret_key=secret)
        return dict(signer.sign(keys, "POST", "h", "/", [], b"", stamp))["authorization"]

    for secret, stamp in (("one", STAMP), ("two", STAMP), ("two", "20261123T000000Z"), ("one", STAMP)):
        assert signature(secret, stamp) == signature(secret, stamp, SigV4("bedrock", "us-east-1"))


@pytest.mark.parametrize("name", ["User-Agent", "Content-Length", "X-Amzn-Trace-Id", "Transfer-Encoding"])
def test_what_hops_may_change_is_not_signed(name: str) -> None:
    signer = SigV4("bedrock", "us-east-1")
    with_it = signer.sign(KEYS, "POST", "h", "/", [(name, "1")], b"", STAMP)
    assert with_it == signer.sign(KEYS, "POST", "h", "/", [], b"", STAMP)


def test_keys_are_never_shown() -> None:
    assert "secret" not in repr(KEYS)
    assert "AKID" not in repr(KEYS)
