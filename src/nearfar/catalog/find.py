"""Finds a model of the catalogue by what people and files call it. It knows names, not what a model needs."""

from __future__ import annotations

import re
from collections.abc import Mapping

import msgspec

from nearfar.catalog.models import Model, shipped
from nearfar.catalog.names import find, nearest, split_quant
from nearfar.core.errors import NotFoundError

_MUST = re.compile(r"\d+(?:\.\d+)?[bmen]")
"""A size may not be passed over: 7b is not 8b."""


class FoundModel(msgspec.Struct, frozen=True, kw_only=True):
    """A model, and how sure it is that it was meant."""

    model: Model
    quant: str
    """The type of weights that the name speaks of; empty without one."""
    exact: bool
    ignored: tuple[str, ...] = ()
    """Words of the name that were passed over."""


def find_model(name: str, models: Mapping[str, Model] | None = None) -> FoundModel:
    """The model that ``name`` (an id, a repository, a file's name) means. Raises NotFoundError with the nearest."""
    known = shipped() if models is None else models
    if name in known:
        return FoundModel(model=known[name], quant="", exact=True)
    stem, quant = split_quant(name)
    names = {key: (model.id, model.repo.rpartition("/")[2], *model.aliases) for key, model in known.items()}
    match = find(stem, names, must=_MUST)
    if match is None:
        near = nearest(stem, known)
        raise NotFoundError(
            f"There is no model {name!r} in the catalogue.",
            code="model_not_found",
            hint=(f"Did you mean {' or '.join(near)}? " if near else "") + "All of them: nearfar models search",
        )
    return FoundModel(model=known[match.key], quant=quant, exact=match.exact, ignored=match.ignored)
