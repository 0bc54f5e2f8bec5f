import base64

import msgspec
import pytest

from nearfar.core.errors import NoRoute
from nearfar.wire.ollama_common import error_body, image_weight, keeps_alive, media, timestamp


def test_times_have_nine_digits() -> None:
    assert timestamp(1_700_000_000_000_000_005) == "2023-11-14T22:13:20.000000005Z"
    assert timestamp(0) == "1970-01-01T00:00:00.000000000Z"


def test_an_error_is_text_with_its_next_step() -> None:
    assert msgspec.json.decode(error_body(NoRoute("No model.", hint="Ask for another."), "r")) == {
        "error": "No model. Ask for another."
    }


@pytest.mark.parametrize("zero", ["0", "0.0", '"0"', '"0s"', '"0m"', '"0h0m0.0s"', '"0ms"', "-0"])
def test_unload_at_once(zero: str) -> None:
    assert not keeps_alive({"keep_alive": msgspec.Raw(zero.encode())})


@pytest.mark.parametrize(
    "kept", ["5", "-1", '"5m"', '"1h0m"', '"-1"', "null", "0.5", '""', '"0.5s"', "true", "[]", "{}", '"x"']
)
def test_kept(kept: str) -> None:
    assert keeps_alive({"keep_alive": msgspec.Raw(kept.encode())})


def test_a_long_duration_is_read_in_one_go() -> None:
    # A reader that tries every way to split the zeros would not come back in years.
    assert keeps_alive({"keep_alive": msgspec.Raw(b'"' + b"0" * 100_000 + b'x"')})
    assert not keeps_alive({"keep_alive": msgspec.Raw(b'"' + b"0m" * 10_000 + b'"')})


def test_kept_unless_said() -> None:
    assert keeps_alive({})


def test_media() -> None:
    for head, mime in ((b"GIF89a", "image/gif"), (b"RIFFxxxxWEBP", "image/webp")):
        assert media(base64.b64encode(head).decode(), "images[0]").mime == mime
    assert image_weight(["abc", "de"])[0] == 5
