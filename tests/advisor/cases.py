"""Cases for tests of advice: a question, looked up in what ships with nearfar."""

from __future__ import annotations

import functools
from typing import Any

from nearfar.advisor import assumptions, constants, options
from nearfar.advisor.advise import Advice, advise
from nearfar.advisor.options import Case
from nearfar.advisor.question import Question
from nearfar.advisor.report import Page, page
from nearfar.advisor.rig import named
from nearfar.advisor.words import words
from nearfar.advisor.workload import Workload
from nearfar.catalog import models, prices, second

BASE = assumptions.shipped()


@functools.cache
def _models() -> list[models.Model]:
    return list(models.shipped().values())


def case(box: str = "rtx-5090-box", hardware: str = "", work: dict[str, Any] | None = None, **said: Any) -> Case:
    """``work`` are members of Workload, ``said`` those of Question."""
    bought = BASE.box_of(box)
    question = Question(
        workload=Workload(**{"calls": 20_000, **(work or {})}),
        box=bought,
        box_rig=named(bought.device, gpus=bought.count),
        rig=named(hardware) if hardware else None,
        **said,
    )
    return options.case(question, BASE, _models(), prices.shipped(), constants.shipped())


def advice(**said: Any) -> tuple[Case, Advice]:
    """A case and what is advised on it."""
    made = case(**said)
    return made, advise(made)


def report(language: str = "en", **said: Any) -> Page:
    """The report of an advice."""
    made, found = advice(**said)
    return page(made, found, words(language), prices.shipped_source(), second.shipped())
