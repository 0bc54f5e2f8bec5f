"""Keys from the environment and from botocore's real chain, against a container's credential endpoint on loopback."""

import asyncio
import json
import sys
import threading
import time
from collections.abc import Callable, Iterator
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path

import pytest

from nearfar.core import install
from nearfar.core.errors import UpstreamError
from nearfar.gateway import credentials
from nearfar.gateway.credentials_aws import RECHECK, AwsSigner, Source, chain, signer
from nearfar.gateway.sigv4 import Credentials
from nearfar.policy.seal import Origin

AWS = Origin(scheme="https", host="bedrock-runtime.us-east-1.amazonaws.com", port=443)
ENV = {"AWS_ACCESS_KEY_ID": "AKIDENV", "AWS_SECRET_ACCESS_KEY": "the secret", "AWS_REGION": "eu-central-1"}


def sign(signer: credentials.Signer, origin: Origin = AWS) -> dict[str, str]:
    return dict(asyncio.run(signer.headers("POST", origin, "/model/m/converse", (), b"{}")))


@pytest.fixture(autouse=True)
def bare(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    """Botocore reads the process's environment: nothing of this machine may be found there."""
    import os

    for name in [name for name in os.environ if name.startswith("AWS_")]:
        monkeypatch.delenv(name)
    monkeypatch.setenv("AWS_CONFIG_FILE", str(tmp_path / "config"))
    monkeypatch.setenv("AWS_SHARED_CREDENTIALS_FILE", str(tmp_path / "credentials"))
    monkeypatch.setenv("AWS_EC2_METADATA_DISABLED", "true")
    monkeypatch.setenv("BOTO_CONFIG", str(tmp_path / "boto"))


def test_keys_of_the_environment_sign_without_the_extra(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(sys.modules, "botocore", None)
    headers = sign(signer("bedrock", {}, ENV))
    assert "Credential=AKIDENV/" in headers["authorization"]
    assert "/eu-central-1/bedrock/aws4_request" in headers["authorization"]
    assert "x-amz-security-token" not in headers
    assert sign(signer("bedrock", {}, {**ENV, "AWS_SESSION_TOKEN": "t"}))["x-amz-security-token"] == "t"


def test_the_deployments_region_wins() -> None:
    headers = sign(signer("sagemaker", {"region": "us-west-2"}, ENV))
    assert "/us-west-2/sagemaker/aws4_request" in headers["authorization"]


def test_the_general_way_to_a_signer_leads_here() -> None:
    assert (
        "/us-west-2/bedrock/" in sign(credentials.signer("aws:bedrock", {"region": "us-west-2"}, ENV))["authorization"]
    )


def test_without_keys_and_without_the_extra_it_says_what_to_do(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(sys.modules, "botocore", None)
    monkeypatch.setitem(sys.modules, "botocore.session", None)
    monkeypatch.setitem(sys.modules, "botocore.exceptions", None)
    with pytest.raises(UpstreamError, match=r"not installed") as caught:
        sign(signer("bedrock", {"region": "us-east-1"}, {}))
    assert install.command("aws") in caught.value.hint
    assert caught.value.code == "upstream_credentials"
    assert caught.value.moves_on


def test_without_a_region_it_says_what_to_do() -> None:
    with pytest.raises(UpstreamError, match="no AWS region"):
        sign(signer("bedrock", {}, {"AWS_ACCESS_KEY_ID": "a", "AWS_SECRET_ACCESS_KEY": "b"}))


def test_a_profile_is_found_and_wins_over_the_environment(tmp_path: Path) -> None:
    text = "[work]\naws_access_key_id = AKIDWORK\naws_secret_access_key = s\naws_session_token = t\n"
    (tmp_path / "credentials").write_text(text)
    headers = sign(signer("bedrock", {"profile": "work", "region": "us-east-1"}, ENV))
    assert "Credential=AKIDWORK/" in headers["authorization"]
    assert headers["x-amz-security-token"] == "t"


def test_nothing_found_and_a_missing_profile_are_told_without_secrets() -> None:
    with pytest.raises(UpstreamError, match="No AWS credentials were found"):
        sign(signer("bedrock", {"region": "us-east-1"}, {}))
    with pytest.raises(UpstreamError, match=r"ProfileNotFound") as caught:
        sign(signer("bedrock", {"region": "us-east-1", "profile": "customer-secret"}, {}))
    assert "customer-secret" not in caught.value.text


class Container(ThreadingHTTPServer):
    """Stands in for a container's credential endpoint, as the ECS developer guide describes it."""

    daemon_threads = True
    seconds = 3600
    asked = 0
    status = 200

    @property
    def url(self) -> str:
        return f"http://127.0.0.1:{self.server_address[1]}/creds"


class _Handler(BaseHTTPRequestHandler):
    server: Container

    def do_GET(self) -> None:
        self.server.asked += 1
        expires = time.strftime("%Y-%m-%dT%H:%M:%SZ", time.gmtime(time.time() + self.server.seconds))
        keys = {"AccessKeyId": f"AKID{self.server.asked}", "SecretAccessKey": "s", "Token": "t", "Expiration": expires}
        body = json.dumps(keys).encode()
        self.send_response(self.server.status)
        self.send_header("content-length", str(len(body)))
        self.end_headers()
        self.wfile.write(body)

    def log_message(self, format: str, *args: object) -> None:
        pass


@pytest.fixture
def container(monkeypatch: pytest.MonkeyPatch) -> Iterator[Container]:
    with Container(("127.0.0.1", 0), _Handler) as server:
        thread = threading.Thread(target=server.serve_forever, kwargs={"poll_interval": 0.01})
        thread.start()
        monkeypatch.setenv("AWS_CONTAINER_CREDENTIALS_FULL_URI", server.url)
        yield server
        server.shutdown()
        thread.join()


class Clock:
    """Seconds that pass when told."""

    def __init__(self) -> None:
        self.now = 1000.0

    def __call__(self) -> float:
        return self.now


def scene(source: Source, steps: Callable[[AwsSigner, Clock], object]) -> None:
    clock = Clock()
    found = AwsSigner("bedrock", "us-east-1", source, clock=clock)
    steps(found, clock)


def key_id(headers: dict[str, str]) -> str:
    return headers["authorization"].partition("Credential=")[2].partition("/")[0]


def test_a_containers_keys_are_asked_for_once_while_they_last(container: Container) -> None:
    def steps(signer: AwsSigner, clock: Clock) -> None:
        assert [key_id(sign(signer)) for _ in range(3)] == ["AKID1"] * 3
        clock.now += RECHECK + 1
        assert key_id(sign(signer)) == "AKID1"

    scene(chain("", "us-east-1"), steps)
    assert container.asked == 1


def test_keys_that_are_about_to_expire_are_replaced_in_time(container: Container) -> None:
    container.seconds = 300

    def steps(signer: AwsSigner, clock: Clock) -> None:
        first = key_id(sign(signer))
        assert key_id(sign(signer)) == first
        clock.now += RECHECK + 1
        assert key_id(sign(signer)) != first

    scene(chain("", "us-east-1"), steps)


def test_all_who_wait_share_one_question(container: Container) -> None:
    signer = AwsSigner("bedrock", "us-east-1", chain("", "us-east-1"))

    async def many() -> list[tuple[tuple[str, str], ...]]:
        asking = [signer.headers("POST", AWS, "/", (), b"") for _ in range(20)]
        return await asyncio.gather(*asking)

    assert {key_id(dict(headers)) for headers in asyncio.run(many())} == {"AKID1"}
    assert container.asked == 1


def test_one_who_leaves_does_not_stop_the_asking() -> None:
    go, calls = threading.Event(), []

    def source() -> Credentials:
        calls.append(1)
        go.wait(10)
        return Credentials(access_key="AKID", secret_key="s")

    signer = AwsSigner("bedrock", "us-east-1", source)

    async def scenario() -> str:
        first, second = (asyncio.create_task(signer.headers("POST", AWS, "/", (), b"")) for _ in range(2))
        while not calls:
            await asyncio.sleep(0)
        first.cancel()
        await asyncio.gather(first, return_exceptions=True)
        go.set()
        return key_id(dict(await second))

    assert asyncio.run(scenario()) == "AKID"
    assert calls == [1]


@pytest.mark.slow  # botocore itself tries again after a while
def test_a_source_that_failed_is_asked_again_and_its_words_stay_out(container: Container) -> None:
    container.status = 400
    signer = AwsSigner("bedrock", "us-east-1", chain("", "us-east-1"))
    with pytest.raises(UpstreamError, match="could not be had") as caught:
        sign(signer)
    assert "AKID" not in caught.value.text
    container.status = 200
    assert key_id(sign(signer)).startswith("AKID")


@pytest.mark.parametrize(
    ("origin", "host"),
    [
        (Origin(scheme="https", host="h", port=443), "h"),
        (Origin(scheme="http", host="127.0.0.1", port=8000), "127.0.0.1:8000"),
        (Origin(scheme="http", host="::1", port=8000), "[::1]:8000"),
    ],
)
def test_the_signed_host_is_the_one_that_is_sent(origin: Origin, host: str) -> None:
    from nearfar.gateway.fleet import build_head

    assert f"host: {host}\r\n".encode() in build_head("POST", "/", origin, ())
    found = signer("bedrock", {}, ENV)
    expected = found._sigv4.sign(
        Credentials(access_key="AKIDENV", secret_key="the secret"), "POST", host, "/", (), b"", "20261122T000000Z"
    )
    fixed = AwsSigner("bedrock", "eu-central-1", found._keys or chain("", ""), today=lambda: time.gmtime(1795305600))
    assert asyncio.run(fixed.headers("POST", origin, "/", (), b"")) == expected
