"""A stand-in for Amazon Bedrock's and SageMaker's runtimes: it runs no model, and is AWS in nothing but the shapes.

Written from the service models in botocore: requests must pass its validator and carry a signature that botocore's own
signer makes for the same bytes, or the bearer token. Replies are the files under tests/golden, chosen by the model's
or endpoint's name: ``text``, ``tools``, ``reasoning``, ``guardrail``; ``throttle``, ``cut``, ``wait`` misbehave.
"""

from __future__ import annotations

import contextlib
import json
import re
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from typing import Any
from urllib.parse import unquote

from botocore.auth import SigV4Auth
from botocore.awsrequest import AWSRequest
from botocore.credentials import Credentials
from tests import aws
from tests.aws import BEDROCK, GOLDEN, SAGEMAKER

KEYS = {"AWS_ACCESS_KEY_ID": "AKIDSTANDIN", "AWS_SECRET_ACCESS_KEY": "stand-in/secret+key", "AWS_SESSION_TOKEN": "tok"}
TOKEN = "bedrock-token"
REGION = "eu-central-1"

_PATHS = (
    (re.compile(r"/model/([^/]+)/converse"), BEDROCK, "Converse", "bedrock_converse"),
    (re.compile(r"/model/([^/]+)/converse-stream"), BEDROCK, "ConverseStream", "bedrock_converse"),
    (re.compile(r"/model/([^/]+)/invoke"), BEDROCK, "InvokeModel", "bedrock_anthropic"),
    (
        re.compile(r"/model/([^/]+)/invoke-with-response-stream"),
        BEDROCK,
        "InvokeModelWithResponseStream",
        "bedrock_anthropic",
    ),
    (re.compile(r"/endpoints/([^/]+)/invocations"), SAGEMAKER, "InvokeEndpoint", "sagemaker_invoke"),
    (
        re.compile(r"/endpoints/([^/]+)/invocations-response-stream"),
        SAGEMAKER,
        "InvokeEndpointWithResponseStream",
        "sagemaker_invoke",
    ),
)
_SIGNED = re.compile(
    r"AWS4-HMAC-SHA256 Credential=([^/]+)/(\d{8})/([^/]+)/([^/]+)/aws4_request, SignedHeaders=(\S+), Signature=(\w+)"
)


class Running(ThreadingHTTPServer):
    """A running stand-in, and what it saw."""

    daemon_threads = True

    def __init__(self) -> None:
        super().__init__(("127.0.0.1", 0), _Handler)
        self.asked: list[tuple[str, Any]] = []
        """(path, body) of each request that was understood."""
        self.refused: list[str] = []
        """Why others were not."""
        self.left = threading.Event()
        """A client hung up while its reply was under way."""

    @property
    def url(self) -> str:
        """Its address."""
        return f"http://127.0.0.1:{self.server_address[1]}"


@contextmanager
def running() -> Iterator[Running]:
    """A stand-in until the block ends."""
    with Running() as server:
        thread = threading.Thread(target=server.serve_forever, kwargs={"poll_interval": 0.01})
        thread.start()
        try:
            yield server
        finally:
            server.shutdown()
            thread.join()


class _Handler(BaseHTTPRequestHandler):
    protocol_version = "HTTP/1.1"
    server: Running

    def do_POST(self) -> None:
        body = self.rfile.read(int(self.headers["content-length"]))
        if self.path == "/openai/v1/chat/completions":
            found = self._admit(BEDROCK, body)
            self._seen(body) if not found else self._error(403, "AccessDeniedException", found)
            if not found:
                self._plain((GOLDEN / "sagemaker_openai" / "plain_text.json").read_bytes())
            return
        for pattern, service, name, folder in _PATHS:
            match = pattern.fullmatch(self.path)
            if match:
                self._answer(unquote(match[1]), service, name, folder, body)
                return
        self._error(404, "ResourceNotFoundException", "no such path")

    def _answer(self, target: str, service: str, name: str, folder: str, body: bytes) -> None:
        wrong = self._admit(service, body)
        if wrong:
            self._error(403, "InvalidSignatureException", wrong)
            return
        wrong = _objection(service, name, target, body)
        if wrong:
            self.server.refused.append(wrong)
            self._error(400, "ValidationException", wrong)
            return
        self._seen(body)
        what = next((word for word in ("throttle", "cut", "wait", "tools", "guardrail") if word in target), "text")
        if what == "throttle":
            self._error(429, "ThrottlingException", "Too many requests, please wait before trying again.")
        elif "tream" in name:
            self._stream(folder, what)
        else:
            files = sorted((GOLDEN / folder).glob("plain_*.json"))
            chosen = next((path for path in files if what in path.stem), files[0])
            self._plain(chosen.read_bytes())

    def _admit(self, service: str, body: bytes) -> str:
        """What is wrong with the authorisation; empty when nothing is."""
        given = self.headers.get("authorization", "")
        if given == f"Bearer {TOKEN}":
            return ""
        found = _SIGNED.fullmatch(given)
        wanted = {BEDROCK: "bedrock", SAGEMAKER: "sagemaker"}[service]
        if not found or (found[1], found[3], found[4]) != (KEYS["AWS_ACCESS_KEY_ID"], REGION, wanted):
            self.server.refused.append(f"authorization: {given[:60]}")
            return "no signature for this service"
        signed = {name: self.headers[name] for name in found[5].split(";")}
        for name in ("host", "content-type", "x-amz-date", "x-amz-security-token"):
            if name not in signed:
                self.server.refused.append(f"{name} is not signed")
                return "too little is signed"
        request = AWSRequest("POST", f"http://{self.headers['host']}{self.path}", headers=signed, data=body)
        request.context["timestamp"] = signed["x-amz-date"]
        keys = Credentials(KEYS["AWS_ACCESS_KEY_ID"], KEYS["AWS_SECRET_ACCESS_KEY"], KEYS["AWS_SESSION_TOKEN"])
        signer = SigV4Auth(keys, wanted, REGION)
        text = signer.string_to_sign(request, signer.canonical_request(request))
        if signer.signature(text, request) != found[6]:
            self.server.refused.append("the signature is another")
            return "The request signature we calculated does not match the signature you provided."
        return ""

    def _seen(self, body: bytes) -> None:
        self.server.asked.append((self.path, json.loads(body)))

    def _error(self, status: int, kind: str, words: str) -> None:
        self._plain(json.dumps({"message": words}).encode(), status, ("x-amzn-ErrorType", f"{kind}:http://aws/"))

    def _plain(self, body: bytes, status: int = 200, *headers: tuple[str, str]) -> None:
        self.send_response(status)
        for name, value in (("content-type", "application/json"), ("content-length", str(len(body))), *headers):
            self.send_header(name, value)
        self.end_headers()
        self.wfile.write(body)

    def _stream(self, folder: str, what: str) -> None:
        files = sorted((GOLDEN / folder).glob("stream_*.bin"))
        word = what if what not in {"cut", "wait"} else "text"
        data = next((path for path in files if word in path.stem), files[-1]).read_bytes()
        self.send_response(200)
        self.send_header("content-type", "application/vnd.amazon.eventstream")
        self.send_header("transfer-encoding", "chunked")
        self.end_headers()
        sent = len(data) * 2 // 3 if what in {"cut", "wait"} else len(data)
        pieces = [data[start : min(start + 77, sent)] for start in range(0, sent, 77)]
        if what == "wait":
            with contextlib.suppress(ConnectionError):
                for piece in pieces:
                    self._chunk(piece)
                self.connection.recv(1)
            self.server.left.set()
            self.close_connection = True
            return
        for piece in pieces:
            self._chunk(piece)
        # A cut at AWS's side: the body ends as its framing says, in the middle of a message.
        self.wfile.write(b"0\r\n\r\n")

    def _chunk(self, data: bytes) -> None:
        self.wfile.write(b"%x\r\n%b\r\n" % (len(data), data))

    def log_message(self, format: str, *args: object) -> None:
        pass


def _objection(service: str, name: str, target: str, body: bytes) -> str:
    """What botocore's validator says against the request; empty when nothing."""
    shape = aws.operation(service, name).input_shape
    try:
        if "Converse" in name:
            aws.request(service, name, {**aws.params(shape, json.loads(body)), "modelId": target})
        elif service == BEDROCK:
            aws.request(service, name, {"modelId": target, "body": body})
        else:
            aws.request(service, name, {"EndpointName": target, "Body": body})
    except (AssertionError, KeyError, ValueError) as error:
        return f"{type(error).__name__}: {error}"[:500]
    return ""
