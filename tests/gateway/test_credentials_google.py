"""Google's tokens: real keys and google-auth's own code; the token endpoint and the metadata server are written from
RFC 6749 and Google Cloud's "View and query VM metadata" and answer on loopback."""

from __future__ import annotations

import asyncio
import base64
import contextlib
import json
import subprocess
import sys
import threading
import time
from collections.abc import Callable, Iterator
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from typing import Any
from urllib.parse import parse_qs, urlsplit

import pytest
from cryptography.hazmat.primitives import hashes, serialization
from cryptography.hazmat.primitives.asymmetric import padding, rsa

from nearfar.core.errors import UpstreamError
from nearfar.gateway.credentials import signer as signer_for
from nearfar.gateway.credentials_google import MARGIN, SCOPE, Door, GoogleTokens, Token, signer, source
from nearfar.policy.seal import Origin

HERE = Origin(scheme="https", host="x", port=443)
SECRET = "r3fresh-t0ken"
USER = {
    "type": "authorized_user",
    "client_id": "id.apps.googleusercontent.com",
    "client_secret": "s3cret",
    "refresh_token": SECRET,
}


class Asked:
    """What came to the loopback server, and what it answers."""

    def __init__(self) -> None:
        self.url = ""
        self.requests: list[tuple[str, str, dict[str, str], str]] = []
        self.status = 200
        self.headers: dict[str, str] = {}
        self.body: object = {"access_token": "ya29.token", "expires_in": 3599, "token_type": "Bearer"}


@pytest.fixture
def issuer() -> Iterator[Asked]:
    asked = Asked()

    class Handler(BaseHTTPRequestHandler):
        def do_POST(self) -> None:
            length = int(self.headers.get("content-length") or 0)
            body = self.rfile.read(length).decode()
            asked.requests.append((self.command, self.path, {k.lower(): v for k, v in self.headers.items()}, body))
            data = asked.body if isinstance(asked.body, bytes) else json.dumps(asked.body).encode()
            self.send_response(asked.status)
            for name, value in {"content-length": str(len(data)), **asked.headers}.items():
                self.send_header(name, value)
            self.end_headers()
            self.wfile.write(data)

        do_GET = do_POST  # noqa: N815 - the name http.server looks for

        def log_message(self, *_: object) -> None:
            pass

    server = ThreadingHTTPServer(("127.0.0.1", 0), Handler)
    asked.url = f"http://127.0.0.1:{server.server_address[1]}"
    thread = threading.Thread(target=server.serve_forever, kwargs={"poll_interval": 0.01})
    thread.start()
    yield asked
    server.shutdown()
    thread.join()
    server.server_close()


@pytest.fixture(scope="module")
def key() -> rsa.RSAPrivateKey:
    return rsa.generate_private_key(65537, 2048)


def account(key: rsa.RSAPrivateKey, **more: str) -> dict[str, str]:
    pem = key.private_bytes(
        serialization.Encoding.PEM, serialization.PrivateFormat.PKCS8, serialization.NoEncryption()
    ).decode()
    return {
        "type": "service_account",
        "project_id": "p",
        "private_key_id": "k1",
        "private_key": pem,
        "client_email": "near@p.iam.gserviceaccount.com",
        "token_uri": "https://oauth2.googleapis.com/token",
        **more,
    }


def named(folder: Path, info: object) -> dict[str, str]:
    path = folder / "adc.json"
    path.write_text(info if isinstance(info, str) else json.dumps(info))
    return {"GOOGLE_APPLICATION_CREDENTIALS": str(path)}


def refused(ask: Callable[[], Token]) -> UpstreamError:
    with pytest.raises(UpstreamError) as caught:
        ask()
    assert caught.value.code == "upstream_credentials"
    assert caught.value.moves_on
    for secret in (SECRET, "s3cret", "PRIVATE KEY", "ya29"):
        assert secret not in caught.value.text
    return caught.value


def unpack(part: str) -> Any:
    return json.loads(base64.urlsafe_b64decode(part + "=" * (-len(part) % 4)))


def test_a_service_account_signs_its_own_token_without_a_connection(tmp_path: Path, key: rsa.RSAPrivateKey) -> None:
    token = source(named(tmp_path, account(key)))()
    head, claims, signature = token.value.split(".")
    assert unpack(head)["kid"] == "k1"
    found = unpack(claims)
    assert (found["iss"], found["scope"]) == ("near@p.iam.gserviceaccount.com", SCOPE)
    key.public_key().verify(
        base64.urlsafe_b64decode(signature + "=="), f"{head}.{claims}".encode(), padding.PKCS1v15(), hashes.SHA256()
    )
    assert abs(token.expires - found["exp"]) < 2
    assert token.value not in repr(token)


def test_another_token_endpoint_is_asked(tmp_path: Path, key: rsa.RSAPrivateKey, issuer: Asked) -> None:
    token = source(named(tmp_path, account(key, token_uri=f"{issuer.url}/token")))()
    assert token.value == "ya29.token"
    assert 3500 < token.expires - time.time() < 3700
    [(method, path, _, body)] = issuer.requests
    assert (method, path) == ("POST", "/token")
    assertion = parse_qs(body)["assertion"][0]
    assert unpack(assertion.split(".")[1])["scope"] == SCOPE


def test_a_users_login_where_gcloud_leaves_it(tmp_path: Path, issuer: Asked) -> None:
    folder = tmp_path / ".config" / "gcloud"
    folder.mkdir(parents=True)
    info = {**USER, "token_uri": f"{issuer.url}/token", "quota_project_id": "payer"}
    (folder / "application_default_credentials.json").write_text(json.dumps(info))
    for environ in ({"HOME": str(tmp_path)}, {"CLOUDSDK_CONFIG": str(folder)}):
        token = source(environ)()
        assert (token.value, token.project) == ("ya29.token", "payer")
    assert parse_qs(issuer.requests[0][3])["refresh_token"] == [SECRET]


def test_an_external_account_with_a_file(tmp_path: Path, issuer: Asked) -> None:
    (tmp_path / "subject").write_text("s3cret")
    info = {
        "type": "external_account",
        "audience": "//iam.googleapis.com/projects/1/locations/global/workloadIdentityPools/p/providers/x",
        "subject_token_type": "urn:ietf:params:oauth:token-type:jwt",
        "token_url": f"{issuer.url}/sts",
        "credential_source": {"file": str(tmp_path / "subject")},
    }
    assert source(named(tmp_path, info))().value == "ya29.token"
    [(_, path, _, body)] = issuer.requests
    assert path == "/sts"
    assert parse_qs(body)["subject_token"] == ["s3cret"]


def test_the_metadata_server(issuer: Asked) -> None:
    issuer.headers = {"Metadata-Flavor": "Google"}
    environ = {"GCE_METADATA_HOST": issuer.url.removeprefix("http://")}
    token = source(environ)()
    assert token.value == "ya29.token"
    [(method, path, headers, _)] = issuer.requests
    assert (method, headers["metadata-flavor"]) == ("GET", "Google")
    assert urlsplit(path).path == "/computeMetadata/v1/instance/service-accounts/default/token"
    assert parse_qs(urlsplit(path).query)["scopes"] == [SCOPE]
    issuer.body = {"error": "x"}
    refused(source(environ))
    issuer.status = 404
    assert "no service account" in refused(source(environ)).message
    issuer.headers = {}  # somebody else answers at this address
    refused(source(environ))
    refused(source({**environ, "NO_GCE_CHECK": "true"}))
    refused(source({"GCE_METADATA_HOST": "127.0.0.1:1"}))


def test_refusals_quote_nothing(tmp_path: Path, issuer: Asked) -> None:
    environ = named(tmp_path, {**USER, "token_uri": f"{issuer.url}/token"})
    issuer.status = 400
    issuer.body = {"error": "invalid_grant", "error_description": f"bad {SECRET}"}
    assert "invalid_grant" in refused(source(environ)).message
    issuer.body = {"error": SECRET}
    refused(source(environ))
    issuer.body = b"\xff"
    refused(source(environ))
    issuer.status, issuer.headers, issuer.body = 302, {"location": "http://elsewhere.example"}, {}
    assert "redirect" in refused(source(environ)).message
    refused(source(named(tmp_path, {**USER, "token_uri": "http://127.0.0.1:1/token"})))
    assert "https" in refused(source(named(tmp_path, {**USER, "token_uri": "http://oauth.example/token"}))).message


@pytest.mark.parametrize(
    "info",
    [
        "{",
        "[]",
        "\ud83d".encode("utf-8", "replace").decode(),
        {},
        {"type": 7},
        {"type": "gdch_service_account"},
        {"type": "external_account", "credential_source": {"environment_id": "aws1"}},
        {"type": "authorized_user", "refresh_token": SECRET},
        {"type": "service_account", "private_key": "-----BEGIN PRIVATE KEY-----\nx", "client_email": "e"},
        {
            "type": "service_account",
            "private_key": "PRIVATE KEY",
            "client_email": "e",
            "token_uri": "https://oauth2.googleapis.com/token",
        },
    ],
)
def test_files_that_are_none(tmp_path: Path, info: object) -> None:
    refused(source(named(tmp_path, info)))


def test_a_file_that_is_not_there(tmp_path: Path) -> None:
    refused(source({"GOOGLE_APPLICATION_CREDENTIALS": str(tmp_path / "none.json")}))


def test_a_proxy_is_asked_for_a_tunnel() -> None:
    door = Door("http://127.0.0.1:1")
    with pytest.raises(UpstreamError):
        door("https://oauth2.googleapis.com/token", "POST", b"x")


class Clock:
    def __init__(self) -> None:
        self.now = 1000.0
        self.asked = 0
        self.broken = False
        self.gate = threading.Event()
        self.gate.set()

    def ask(self) -> Token:
        assert self.gate.wait(20)
        self.asked += 1
        if self.broken:
            raise UpstreamError("no", code="upstream_credentials")
        return Token(value=f"t{self.asked}", expires=self.now + 3600)

    def time(self) -> float:
        return self.now


async def value(tokens: GoogleTokens) -> str:
    [(name, text)] = await tokens.headers("POST", HERE, "/x", (), b"")
    assert name == "authorization"
    return text


def test_one_renewal_serves_all_that_wait() -> None:
    clock = Clock()
    clock.gate.clear()

    async def scenario() -> None:
        tokens = GoogleTokens(clock.ask, clock=clock.time)
        waiting = [asyncio.create_task(value(tokens)) for _ in range(5)]
        await asyncio.sleep(0)
        waiting[0].cancel()
        await asyncio.sleep(0)
        clock.gate.set()
        found = await asyncio.gather(*waiting, return_exceptions=True)
        assert isinstance(found[0], asyncio.CancelledError)
        assert found[1:] == ["Bearer t1"] * 4
        assert await value(tokens) == "Bearer t1"
        assert clock.asked == 1

    asyncio.run(scenario())


def test_a_token_is_renewed_before_it_ends_beside_those_that_use_it() -> None:
    clock = Clock()

    async def settled(tokens: GoogleTokens) -> None:
        while tokens._renewal is not None:
            with contextlib.suppress(UpstreamError):
                await asyncio.shield(tokens._renewal)
            await asyncio.sleep(0)

    async def scenario() -> None:
        tokens = GoogleTokens(clock.ask, clock=clock.time)
        assert await value(tokens) == "Bearer t1"
        clock.now += 3600 - MARGIN + 1
        clock.broken = True
        assert await value(tokens) == "Bearer t1"
        await settled(tokens)
        assert await value(tokens) == "Bearer t1"  # not asked again at once
        assert clock.asked == 2
        clock.now += 20
        clock.broken = False
        assert await value(tokens) == "Bearer t1"
        await settled(tokens)
        assert await value(tokens) == "Bearer t3"
        clock.now += 4000
        clock.broken = True
        with pytest.raises(UpstreamError):
            await value(tokens)

    asyncio.run(scenario())


def test_who_pays_is_told() -> None:
    async def scenario() -> None:
        token = Token(value="t", expires=time.time() + 100, project="payer")
        tokens = GoogleTokens(lambda: token)
        found = await tokens.headers("POST", HERE, "/x", (), b"")
        assert found == (("authorization", "Bearer t"), ("x-goog-user-project", "payer"))

    asyncio.run(scenario())


def test_it_is_found_by_its_name_and_reads_nothing_before_it_is_asked() -> None:
    class Watched(dict[str, str]):
        def get(self, *_: Any) -> Any:
            raise AssertionError("read too early")

    assert isinstance(signer_for("google", {}, Watched()), GoogleTokens)
    assert isinstance(signer("", {}, Watched()), GoogleTokens)


def test_the_heavy_parts_are_imported_when_needed() -> None:
    code = "import sys, nearfar.gateway.credentials_google; print([m for m in sys.modules if m.startswith('google')])"
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert done.stdout.strip() == "[]"
