"""Transcriptions through the edge. What upstreams answer is a matter of tests/sdk/test_responses.py."""

from __future__ import annotations

from pathlib import Path

import pytest
from tests import running, stand_in
from tests.server.served import loaded, run, served

FORM = (
    b'--b\r\nContent-Disposition: form-data; name="model"\r\n\r\nfar\r\n'
    b'--b\r\nContent-Disposition: form-data; name="file"; filename="a.wav"\r\n\r\nRIFF\r\n--b--\r\n'
)


@pytest.mark.parametrize(
    ("body", "kind"),
    [
        (FORM, "multipart/form-data; boundary=other"),
        (FORM, "multipart/form-data; boundary=b; boundary=c"),
        (FORM, "multipart/form-data"),
        (FORM, "application/json"),
        (FORM, ""),
        (b"", "multipart/form-data; boundary=b"),
        (b'{"model":"far"}', "application/json"),
        (FORM[:-6], "multipart/form-data; boundary=b"),
        (FORM.replace(b'"file"', b'"sound"'), "multipart/form-data; boundary=b"),
    ],
)
def test_bad_forms(tmp_path: Path, stand_in: stand_in.Running, body: bytes, kind: str) -> None:
    async def scenario() -> None:
        async with served(loaded(tmp_path, running.far("far", stand_in.url))) as app:
            reply = await app.ask("/v1/audio/transcriptions", body, headers={"content-type": kind})
            assert (reply.status, reply.error["type"]) == (400, "invalid_request_error")

    run(scenario())


def test_a_deployment_without_the_door_refuses(tmp_path: Path, stand_in: stand_in.Running) -> None:
    async def scenario() -> None:
        async with served(loaded(tmp_path, running.far("far", stand_in.url))) as app:
            headers = {"content-type": 'multipart/form-data; boundary="b"'}
            reply = await app.ask("/v1/audio/transcriptions", FORM, headers=headers)
            assert (reply.status, reply.error["code"]) == (400, "unsupported")

    run(scenario())
