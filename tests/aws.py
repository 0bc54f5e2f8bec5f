"""AWS's machine-readable service models, read from the installed botocore, and its own parser for streams and replies.

The frames under tests/golden are made from the readable files beside them by our encoder; ``python -m tests.aws``
makes them again. A stand-in for Bedrock and SageMaker, written from the same models, is in tests/aws_stand_in.py.
"""

from __future__ import annotations

import base64
import functools
import json
import re
from collections.abc import Iterable, Iterator
from pathlib import Path
from typing import Any

import botocore.model
import botocore.parsers
import botocore.serialize
import botocore.session
import botocore.validate
from botocore.eventstream import EventStream

from nearfar.wire import aws_event_stream as frames

GOLDEN = Path(__file__).parent / "golden"
BEDROCK, SAGEMAKER = "bedrock-runtime", "sagemaker-runtime"


@functools.cache  # botocore reads the whole service for each session
def operation(service: str, name: str) -> Any:
    """The model of an operation."""
    return botocore.session.Session().get_service_model(service).operation_model(name)


def request(service: str, name: str, params: dict[str, Any]) -> dict[str, Any]:
    """The request as botocore would send it, after its validator and its patterns have found nothing wrong."""
    found = operation(service, name)
    report = botocore.validate.ParamValidator().validate(params, found.input_shape)
    assert not report.has_errors(), report.generate_report()
    check(found.input_shape, params)
    serializer = botocore.serialize.create_serializer("rest-json")
    sent: dict[str, Any] = serializer.serialize_to_request(params, found)
    return sent


def check(shape: Any, value: Any, where: str = "") -> None:
    """What botocore leaves to the service: enumerations, patterns, required members, one member of a union."""
    if shape.type_name == "structure" and not getattr(shape, "is_document_type", False):
        unknown = value.keys() - shape.members.keys()
        assert not unknown, f"{where}: {unknown}"
        missing = set(shape.required_members) - value.keys()
        assert not missing, f"{where}: {missing} missing"
        assert not getattr(shape, "is_tagged_union", False) or len(value) == 1, f"{where}: {value.keys()}"
        for name, item in value.items():
            check(shape.members[name], item, f"{where}.{name}")
    elif shape.type_name == "list":
        for at, item in enumerate(value):
            check(shape.member, item, f"{where}[{at}]")
    elif shape.type_name == "string":
        assert not shape.enum or value in shape.enum, f"{where}: {value!r} is none of {shape.enum}"
        pattern = shape.metadata.get("pattern")
        if pattern and r"\p" not in pattern:  # Java's classes of characters
            assert re.fullmatch(pattern, value), f"{where}: {value!r} is no {pattern}"


def params(shape: Any, value: Any) -> Any:
    """JSON as it is sent → the parameters that a user of boto3 gives: bytes where the JSON has base64."""
    if shape.type_name == "structure" and not getattr(shape, "is_document_type", False):
        return {name: params(shape.members[name], item) for name, item in value.items()}
    if shape.type_name == "list":
        return [params(shape.member, item) for item in value]
    return base64.b64decode(value, validate=True) if shape.type_name == "blob" else value


class _Raw:
    """What botocore's EventStream reads from: bytes, cut as given."""

    def __init__(self, pieces: Iterable[bytes]) -> None:
        self._pieces = pieces

    def stream(self) -> Iterator[bytes]:
        yield from self._pieces

    def close(self) -> None:
        pass


def events(service: str, name: str, pieces: Iterable[bytes]) -> list[dict[str, Any]]:
    """The events of a stream as boto3 hands them out; raises botocore's EventStreamError as it does."""
    shape = operation(service, name).get_event_stream_output()
    parser = botocore.parsers.EventStreamJSONParser()
    return list(EventStream(_Raw(pieces), shape, parser, name))


def reply(service: str, name: str, body: bytes) -> dict[str, Any]:
    """A plain reply as boto3 hands it out."""
    parser = botocore.parsers.create_parser("rest-json")
    found: dict[str, Any] = parser.parse(
        {"headers": {}, "body": body, "status_code": 200}, operation(service, name).output_shape
    )
    return found


def stream(lines: str) -> bytes:
    """Frames from a readable file: on each line ``[kind, payload]``, or ``[kind, payload, "exception"]``.

    A payload that is text stands for the bytes of a SageMaker part.
    """
    parts = []
    for line in lines.splitlines():
        kind, payload, *rest = json.loads(line)
        if rest:
            parts.append(frames.exception(kind, json.dumps(payload, separators=(",", ":")).encode()))
        elif isinstance(payload, str):
            parts.append(frames.event(kind, payload.encode(), "application/octet-stream"))
        else:
            parts.append(frames.event(kind, json.dumps(payload, separators=(",", ":")).encode()))
    return b"".join(parts)


def sources() -> list[Path]:
    """The readable files, each beside the frames made from it."""
    return sorted(GOLDEN.glob("*/frames_*.jsonl"))


def made_from(source: Path) -> Path:
    """Where the frames of ``source`` are."""
    return source.with_name(source.name.removeprefix("frames_")).with_suffix(".bin")


if __name__ == "__main__":
    for path in sources():
        made_from(path).write_bytes(stream(path.read_text()))
