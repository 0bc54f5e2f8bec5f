"""Media as Converse's blocks: formats of the service model, names that Bedrock takes."""

import base64
import json
from typing import Any

import msgspec
import pytest
from hypothesis import given
from hypothesis import strategies as st
from tests import aws

from nearfar.core.conversation import Media as Block
from nearfar.core.errors import BadRequestError
from nearfar.wire import bedrock_converse_media
from nearfar.wire.bedrock_converse_media import Media
from nearfar.wire.deviations import Deviations

SHAPE = aws.operation(aws.BEDROCK, "Converse").input_shape.members["messages"].member.members["content"].member


def block(kind: str, mime: str, **fields: Any) -> dict[str, Any]:
    found, _ = Media(Deviations()).block(Block(kind=kind, mime=mime, data="AAAA", **fields))
    plain: dict[str, Any] = json.loads(msgspec.json.encode(found))
    aws.check(SHAPE, aws.params(SHAPE, plain))
    return plain


def test_every_format_is_one_of_the_service_models() -> None:
    kinds = {"image": "_IMAGES", "document": "_DOCUMENTS", "audio": "_SOUNDS"}
    for kind, table in kinds.items():
        for mime, form in getattr(bedrock_converse_media, table).items():
            assert block(kind, mime)[kind]["format"] == form
            assert block(kind, f"{mime.upper()}; charset=x")[kind]["format"] == form


@pytest.mark.parametrize(("kind", "mime"), [("image", "image/bmp"), ("document", "image/png"), ("video", "video/mp4")])
def test_other_formats_are_refused(kind: str, mime: str) -> None:
    with pytest.raises(BadRequestError, match=mime) as caught:
        block(kind, mime)
    assert caught.value.code == "unsupported"


def test_what_lies_elsewhere_is_refused() -> None:
    with pytest.raises(BadRequestError, match="URL"):
        Media(Deviations()).block(Block(kind="image", url="s3://bucket/key"))


def test_titles_and_contexts_of_documents_travel() -> None:
    extra = {"title": msgspec.Raw(b'"The plan"'), "context": msgspec.Raw(b'"c"'), "later": msgspec.Raw(b"1")}
    found, rest = Media(Deviations()).block(Block(kind="document", mime="text/plain", data="aGk=", extra=extra))
    assert (found["document"]["name"], bytes(found["document"]["context"])) == ("The plan", b'"c"')
    assert rest.keys() == {"later"}


@given(st.lists(st.text(max_size=300), min_size=1, max_size=4))
def test_names_are_allowed_and_differ(names: list[str]) -> None:
    media = Media(Deviations())
    found = []
    for name in names:
        extra = {"title": msgspec.Raw(json.dumps(name).encode())}
        try:
            msgspec.json.decode(extra["title"])
        except msgspec.DecodeError:
            continue  # half a surrogate pair never gets past the parser
        document = Block(kind="document", mime="text/plain", data=base64.b64encode(b"x").decode(), extra=extra)
        found.append(media.block(document)[0]["document"]["name"])
    assert len(set(found)) == len(found)
    for name in found:
        assert 1 <= len(name) <= 200
        assert name == " ".join(name.split())
        assert all(char.isascii() and (char.isalnum() or char in " -()[]") for char in name)
