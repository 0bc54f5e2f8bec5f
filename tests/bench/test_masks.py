"""The bench of masks runs and measures what it says. Its values are nobody's claim."""

from __future__ import annotations

from bench import masks
from nearfar.privacy.mask import mask, mask_text
from nearfar.privacy.scan import Scanner


def test_every_figure_is_measured() -> None:
    told = masks.figures(rounds=1, turns=5)
    assert len(told) == 17
    assert all(value > 0 for value in told.values())


def test_the_reply_is_really_restored() -> None:
    own = masks.vault()
    chunks = masks.reply(own)
    assert len(chunks) == masks.CHUNKS
    back = masks.restored(own, chunks)
    assert "⟦" not in back
    assert back.count("病人") == masks.CHUNKS / 10


def test_the_reply_is_really_redacted() -> None:
    out = masks.redacted(Scanner(), [masks.SAID[at : at + 3] for at in range(0, len(masks.SAID), 3)])
    assert out == "病人 Alice Wong 的電話是 [redacted:tw.mobile] 信箱 [redacted:email] 。"


def test_the_request_is_really_masked() -> None:
    assert [finding.kind for finding in masks.findings(masks.SAID)] == ["person", "tw.mobile", "email"]
    assert mask_text(masks.SAID, masks.findings(masks.SAID), masks.vault()).count("⟦") == 3
    said = masks.history(10)
    out = mask(said, [masks.findings(spot.text) for spot in said], masks.vault())
    assert sum("⟦" in text for text in out) == 2
