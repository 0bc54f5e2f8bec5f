"""What is asked of models in a month: how often, how long, when. It knows neither prices nor machines."""

from __future__ import annotations

import math
from pathlib import Path

import msgspec

from nearfar.core.errors import BadRequestError

HOURS = 730.0
"""Hours of an average month."""
_MOST = 1e12


class Workload(msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """A month of calls. Tokens are means per call."""

    calls: float
    """Per month."""
    input: float = 1000
    """Tokens of the prompt, those from a cache included."""
    output: float = 300
    """Tokens of the visible answer."""
    reasoning: float = 0
    """Tokens of thinking before it, which are charged as output."""
    cached_share: float = 0
    """Share of the prompt that a cloud reads from its cache."""
    batch_share: float = 0
    """Share of the calls that may wait for a batch."""
    retries: float = 0
    """Share of the calls that are asked once more."""
    hours: float = HOURS
    """Hours of a month in which calls come: 176 for office hours."""
    peak: float = 3
    """Calls in the busiest hour, as a multiple of the mean of these hours."""
    private_share: float = 0
    """Share of the calls that may not leave."""

    @property
    def asked(self) -> float:
        """Calls per month with those asked again."""
        return self.calls * (1 + self.retries)

    @property
    def generated(self) -> float:
        """Tokens that a model writes for a call."""
        return self.output + self.reasoning

    @property
    def peak_per_hour(self) -> float:
        """Calls in the busiest hour."""
        return self.asked / self.hours * self.peak

    def at(self, calls: float) -> Workload:
        """The same calls, more or fewer of them."""
        return msgspec.structs.replace(self, calls=calls)


def checked(workload: Workload) -> Workload:
    """``workload``, if it can be. Raises BadRequestError."""
    for name in workload.__struct_fields__:
        value = getattr(workload, name)
        if not math.isfinite(value) or value < 0 or value > _MOST:
            raise BadRequestError(
                f"{name} must be a number from 0 to {_MOST:g}, not {value:g}.",
                param=name,
                hint="Example: nearfar advise --calls 20000 --input 1000 --output 300",
            )
    for name in ("cached_share", "batch_share", "private_share"):
        if getattr(workload, name) > 1:
            raise BadRequestError(
                f"{name} is a share from 0 to 1, not {getattr(workload, name):g}.", param=name, hint="0.3 is 30 %."
            )
    if not 0 < workload.hours <= 744:
        raise BadRequestError(
            f"A month has 1 to 744 hours, not {workload.hours:g}.", param="hours", hint="Office hours: --hours 176"
        )
    if workload.peak < 1:
        raise BadRequestError(
            "The busiest hour is at least as busy as the mean: peak is 1 or more.",
            param="peak",
            hint="Example: --peak 3",
        )
    if workload.input + workload.generated == 0:
        raise BadRequestError(
            "Calls without a single token cost nothing anywhere.",
            param="input",
            hint="Example: --input 1000 --output 300",
        )
    return workload


def read(path: Path) -> Workload:
    """The workload in a TOML file whose keys are the members of Workload. Raises BadRequestError."""
    try:
        return checked(msgspec.toml.decode(path.read_bytes(), type=Workload))
    except OSError as error:
        raise BadRequestError(
            f"{path} cannot be read: {error.strerror or error}.",
            hint="A workload.toml holds lines such as calls = 20000, input = 1000, output = 300.",
        ) from error
    except msgspec.DecodeError as error:
        raise BadRequestError(
            f"{path} is not a workload: {error}.", hint=f"Members: {', '.join(Workload.__struct_fields__)}."
        ) from error
