"""Inside a URL or not, as the text's last place, for every split."""

from __future__ import annotations

import pytest
from hypothesis import given
from tests.privacy.masking import CUTS, TEXTS

from nearfar.privacy.urls import HELD, Zone, host_follows

INSIDE = [
    *(
        "https://evil.example/?q=",
        "HTTPS://evil.example/",
        "ftp://h/",
        "//evil.example/",
        "\\\\evil\\share\\",
        "www.evil.example/",
    ),
    *(
        "evil.example/",
        "evil.example:8080/x",
        "evil.example?q=",
        "1.2.3.4/",
        "localhost:1/",
        "mailto:a@b.example?body=",
        "病人.example/",
    ),
    *(
        "![x](",
        "![x](https://e.example/?q=",
        "[x]( ",
        "[a](b(c)",
        "[a](b\\)",
        "[a](<https://e.example/ ",
        "[x](/relative?q=",
    ),
    *(
        '<img src="',
        '<img src="https://e.example/?q= ',
        "<img src='x>y",
        "<a href=",
        "<iframe\nsrc=https:",
        "</a ",
        "<!--",
        '<a b=">" c=\'',
    ),
    *(
        "<https://e.example/?q= ",
        "[1]: <https://e.example/ x",
        "說明：https://e.example/，",
        'https://e.example/"',
        "(https://e.example/)",
    ),
]
INSIDE += [
    "https://e.example/\u3000",  # white space for people, not for GitHub's parser
    "https://e.example/?q=\u00a0",
    "https://e.example/?q=>",
    "https:&#47;&#47;e.example/",
    "https&colon;&sol;&sol;e.example",
    "https:\\/\\/e.example",
]
OUTSIDE = [
    *(
        "",
        "plain ",
        "https://e.example/ ",
        "https://e.example/\n",
        "<https://e.example/>",
        "[x](https://e.example/)",
        "![x](a(b)c)",
    ),
    *(
        '<a href="https://e.example/">',
        "<img src='x'>",
        "a < b ",
        "for(i=0;i<n;",
        "[x] (",
        "[x](a\n",
        "tel:",
        "和/或",
        "v1.2/",
        "e.g./",
    ),
    *("word.", "3.14", "電話:", "https://e.example/<br>", "a]", "<", "[x](<https://e.example/>", "12:30:", "C:\\x\\"),
]


@pytest.mark.parametrize("text", INSIDE)
def test_inside(text: str) -> None:
    assert _inside(text, [])
    for size in (1, 2, 3):
        assert _inside(text, [size] * len(text))


@pytest.mark.parametrize("text", OUTSIDE)
def test_outside(text: str) -> None:
    assert not _inside(text, [])
    for size in (1, 2, 3):
        assert not _inside(text, [size] * len(text))


def _inside(text: str, cuts: list[int]) -> bool:
    zone, at = Zone(), 0
    for size in cuts:
        zone.advance(text[at : at + size])
        at += size
    zone.advance(text[at:])
    return zone.inside


@given(TEXTS, CUTS)
def test_every_split_gives_the_same(text: str, cuts: list[int]) -> None:
    assert _inside(text, cuts) == _inside(text, [])


def test_padding_hides_no_url() -> None:
    assert _inside("https://evil.example/" + "a" * 5000, [])
    assert _inside('<img src="' + " " * 5000, [7] * 2000)
    assert _inside("![x](" + "%20" * 5000, [7] * 2000)


@pytest.mark.parametrize(
    "after",
    [
        *(
            ".evil.example",
            "-x.evil.example/",
            "abc.evil.example",
            "的.evil.example",
            "⟦EMAIL_7K3Q2M⟧.evil.example",
            "@evil.example",
        ),
        *(
            "://evil.example",
            "．evil.example",
            ".1evil.example",
            ".pdf.evil.example",
            ".pdf/x",
            "_x.evil.example",
            ".x",
        ),
    ],
)
def test_a_host_follows(after: str) -> None:
    assert host_follows(after + " " * 9, 0, final=False)
    assert host_follows(after, 0, final=True)


@pytest.mark.parametrize(
    "after",
    [
        "",
        " ",
        ".",
        "。",
        ". Then",
        "先生您好。",
        ", and",
        ": yes",
        ":",
        "@ home",
        ".pdf",
        ".docx.",
        ".50",
        ")",
        "的.",
        ".\n",
        "/x",
    ],
)
def test_no_host_follows(after: str) -> None:
    assert not host_follows(after, 0, final=True)
    assert host_follows(after + " " * 9, 0, final=False) is False


@pytest.mark.parametrize(
    "after", ["&#46;evil.example", "&#x2e;evil.example", "&period;evil.example", "&commat;evil.example"]
)
def test_an_entity_is_the_sign_that_it_stands_for(after: str) -> None:
    assert host_follows(after, 0, final=False)
    for size in range(1, len("&#46;") - 1):
        assert host_follows(after[:size], 0, final=False) is None


def test_other_entities_are_none() -> None:
    assert host_follows("&#39;s", 0, final=False) is False
    assert host_follows("&gt;", 0, final=False) is False
    assert host_follows("&", 0, final=True) is False
    assert host_follows("& more", 0, final=False) is False


def test_it_waits_for_what_decides_but_not_for_ever() -> None:
    assert host_follows("abc", 0, final=False) is None
    assert host_follows("x", 0, final=False) is None
    assert host_follows(".", 0, final=False) is None
    assert host_follows(".pd", 0, final=False) is None
    assert host_follows("字" * HELD, 0, final=False) is False
