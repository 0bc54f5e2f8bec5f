"""What somebody wants advice on: the nine questions as one value. It answers nothing."""

from __future__ import annotations

import msgspec

from nearfar.advisor.assumptions import Box
from nearfar.advisor.rig import Rig
from nearfar.advisor.rules import Quality
from nearfar.advisor.workload import Workload


class Question(msgspec.Struct, frozen=True, kw_only=True):
    """A case to be advised on."""

    workload: Workload
    stay: bool = False
    """No content may leave: a clinic, a bank, a ministry."""
    offline: bool = False
    """There is no network."""
    quality: Quality = "solid"
    traditional_chinese: bool = False
    vision: bool = False
    tools: bool = False
    finetune: bool = False
    """A model of one's own, or one that is tuned."""
    prototype: bool = False
    """It must stand this week, and nothing may be bought for it."""
    operator: bool = True
    """Somebody can look after a machine."""
    use: str = ""
    """What the licence must allow, in words: ``commercial, EU, 2M users``."""
    rig: Rig | None = None
    """The machine that is there already; None: there is none."""
    box: Box
    """The machine that would be bought."""
    box_rig: Rig
    """Its devices."""
    cloud: str = ""
    """PROVIDER/MODEL to compare with; empty: what stands for the quality."""
    tariff: str = "tw-average"

    @property
    def near_only(self) -> bool:
        """Whether a cloud is out of the question for every call."""
        return self.stay or self.offline or self.workload.private_share >= 1

    @property
    def context(self) -> int:
        """Tokens of context that a call needs, with room for calls twice as long as the mean."""
        return max(4096, round(2 * (self.workload.input + self.workload.generated)))
