import base64

import msgspec
import pytest
from hypothesis import given
from hypothesis import strategies as st

from nearfar.core.errors import BadRequestError
from nearfar.wire.gemini_generate_members import MARK, camel, objects, seal, unseal, version


def test_both_spellings_are_one_member() -> None:
    assert camel({"max_output_tokens": 1, "topK": 2, "top_p": 3}) == {"maxOutputTokens": 1, "topK": 2, "topP": 3}
    plain = {"topK": 2}
    assert camel(plain) is plain
    for both in ({"top_k": 1, "topK": 2}, {"topK": 1, "top_k": 2}):
        with pytest.raises(BadRequestError) as caught:
            camel(both, "generationConfig.")
        assert (caught.value.code, caught.value.param) == ("duplicate_key", "generationConfig.topK")


def test_a_list_of_one_may_be_the_object_alone() -> None:
    one = objects(msgspec.Raw(b'{"mime_type":"x"}'), "parts")
    assert one == objects(msgspec.Raw(b'[{"mimeType":"x"}]'), "parts") == [{"mimeType": msgspec.Raw(b'"x"')}]
    assert objects(None, "parts") == objects(msgspec.Raw(b"null"), "parts") == []
    with pytest.raises(BadRequestError) as caught:
        objects(msgspec.Raw(b'"x"'), "parts")
    assert caught.value.param == "parts"


@pytest.mark.parametrize(
    ("model", "found"),
    [
        ("gemini-2.5-flash", (2, 5)),
        ("gemini-3-pro-preview", (3, 0)),
        ("publishers/google/models/gemini-3.1-flash", (3, 1)),
        ("gemini-flash-latest", (99, 0)),
        ("mine", (99, 0)),
    ],
)
def test_versions(model: str, found: tuple[int, int]) -> None:
    assert version(model) == found


@given(st.sampled_from(["anthropic", "openai"]), st.sampled_from(["signature", "redacted"]), st.text())
def test_a_sealed_signature_comes_back_in_either_alphabet(vendor: str, kind: str, text: str) -> None:
    sealed = seal(vendor, kind, text)
    assert sealed.encode().startswith(MARK)
    assert unseal(sealed) == (vendor, kind, text)
    for_urls = base64.urlsafe_b64encode(base64.b64decode(sealed)).decode()
    assert unseal(for_urls) == (vendor, kind, text)


def test_googles_own_signature_stays_as_it_is() -> None:
    assert unseal("RXJZRENyTURBWEx1Zg==") == ("google", "signature", "RXJZRENyTURBWEx1Zg==")


@pytest.mark.parametrize("tail", ["!!", "AA", base64.b64encode(b"nothing").decode()])
def test_a_seal_that_was_changed_is_refused(tail: str) -> None:
    with pytest.raises(BadRequestError):
        unseal(MARK.decode() + tail)
