"""Forms with one meaning."""

import pytest
from hypothesis import given
from hypothesis import strategies as st

from nearfar.core.errors import BadRequestError
from nearfar.wire.multipart import MAX_PARTS, Part, read


def part(head: str, content: bytes = b"x") -> bytes:
    return b"--b\r\n" + head.encode() + b"\r\n\r\n" + content + b"\r\n"


def field(name: str, content: bytes = b"x", more: str = "") -> bytes:
    return part(f'Content-Disposition: form-data; name="{name}"{more}', content)


END = b"--b--\r\n"


def test_fields_and_files() -> None:
    body = (
        field("model", b"m") + field("file", b"\0\xff\r\n--\r\n", '; filename="a.wav"\r\nContent-Type: audio/wav') + END
    )
    form = read(body)
    assert form.content_type == "multipart/form-data; boundary=b"
    assert [(p.name, body[p.start : p.end], p.filename, p.mime) for p in form.parts] == [
        ("model", b"m", None, ""),
        ("file", b"\0\xff\r\n--\r\n", "a.wav", "audio/wav"),
    ]
    assert read(field("a", b"") + END.rstrip()).parts == [Part("a", 49, 49)]


def test_lists_are_fields_with_brackets() -> None:
    assert [p.name for p in read(field("a[]") + field("a[]") + END).parts] == ["a[]", "a[]"]
    with pytest.raises(BadRequestError) as caught:
        read(field("a") + field("a") + END)
    assert caught.value.code == "duplicate_key"


def test_boundaries_with_odd_signs_are_quoted() -> None:
    odd = (field("a") + END).replace(b"--b", b"--b:/?=")
    assert read(odd).content_type == 'multipart/form-data; boundary="b:/?="'


@pytest.mark.parametrize(
    "body",
    [
        b"",
        b"{}",
        END,
        b"preamble\r\n" + field("a") + END,
        field("a") + END + b"epilogue",
        field("a"),
        field("a")[:-4],
        field("a", b"x\r\n--bad") + END,
        field("a", b"x\r\n--b x") + END,
        b"--b\n\n" + END,
        b"--b \r\n\r\n" + END,
        part("Content-Type: text/plain") + END,
        part('Content-Disposition: attachment; name="a"') + END,
        part("Content-Disposition: form-data; name=a") + END,
        part('Content-Disposition: form-data; name="a"; name="b"') + END,
        part("Content-Disposition: form-data; name=\"a\"; filename*=UTF-8''x") + END,
        part('Content-Disposition: form-data; name="a"\r\nContent-Transfer-Encoding: base64') + END,
        part('Content-Disposition: form-data; name="a"\r\n folded: x') + END,
        part('Content-Disposition: form-data; name="a"\r\nContent-Disposition: form-data; name="b"') + END,
        part('Content-Disposition: form-data; name="a\\"b"') + END,
        part('Content-Disposition: form-data; name="a"\r\nContent-Length: 2') + END,
        part('Content-Disposition: form-data; name="' + "a" * 5000 + '"') + END,
        b"".join(field(f"a{number}") for number in range(MAX_PARTS + 1)) + END,
    ],
)
def test_everything_else_is_refused(body: bytes) -> None:
    with pytest.raises(BadRequestError) as caught:
        read(body)
    assert caught.value.code == "invalid_multipart"


@given(st.binary(max_size=200).filter(lambda content: b"\r\n--b" not in content))
def test_any_content_is_read_as_it_is(content: bytes) -> None:
    body = field("a", content) + END
    [found] = read(body).parts
    assert body[found.start : found.end] == content


@given(st.binary(max_size=60), st.integers(0, 300))
def test_rubbish_is_refused_or_read(rubbish: bytes, place: int) -> None:
    body = field("a") + field("b") + END
    try:
        form = read(body[:place] + rubbish + body[place:])
    except BadRequestError:
        return
    assert form.parts
