from nearfar.wire.tokens import of_text


def test_english_counts_more_than_the_vendors_rule_of_thumb() -> None:
    prose = b"The estimate may be wrong, but only in one direction, so that nothing is cut in silence. " * 10
    assert len(prose) / 4 < of_text(prose) < len(prose) / 2.5


def test_a_chinese_character_counts_more_than_one() -> None:
    text = "請問附近哪裡有醫院" * 10
    assert len(text) <= of_text(text.encode()) <= 2 * len(text)


def test_mixed_text_counts_both_parts() -> None:
    plain, wide = b"word " * 30, "中文".encode() * 30
    assert abs(of_text(plain + wide) - of_text(plain) - of_text(wide)) <= 2


def test_inline_media_do_not_count_as_text() -> None:
    assert of_text(b"x" * 300 + b"A" * 60_000, without=60_000) == 100
    assert of_text("中".encode() * 100 + b"A" * 60_000, without=60_000) == 150
    assert of_text(b"") == 1
