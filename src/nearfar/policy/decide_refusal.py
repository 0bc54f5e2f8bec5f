"""Why nothing may be tried, where it was the policy that said so: the error that fits. It decides nothing."""

from __future__ import annotations

from nearfar.core.errors import EgressDenied, GuardError, NearfarError, PiiBlocked
from nearfar.core.places import Class
from nearfar.core.routing import Decision
from nearfar.policy.classify import PARTS
from nearfar.policy.decide import summary

_EXPLAIN = "`nearfar route explain` shows every reason."
_ASIDE = frozenset({"strategy", "operation", "offline"})


def refusal(decision: Decision) -> NearfarError | None:
    """The error for a decision that ranks nothing; None where no rule about content is the cause.

    A failed detector: GuardError, since no near deployment could answer either. A class that was found, not said:
    PiiBlocked. Said, or images, or content held elsewhere: EgressDenied.
    """
    if decision.ranked:
        return None
    codes = {item.code for item in decision.rejected} - _ASIDE
    why = summary(decision)
    if "guard" in codes:
        return GuardError(
            f"The content could not be looked at ({decision.guard}), and no deployment on this machine or network may "
            f"answer instead: {why}.",
            hint="Add a near deployment to the route, or mend the detector; `nearfar doctor` looks at it.",
        )
    if "place" in codes and (found := _found(decision)):
        return PiiBlocked(
            f"The request holds what makes it {decision.class_.label} ({'; '.join(found)}), and no deployment that may "
            f"see that can answer: {why}.",
            hint=f"Leave that out, add a near deployment, or list your own values as harmless. {_EXPLAIN}",
        )
    if codes == {"media"}:
        return EgressDenied(
            f"Images, audio and documents cannot be masked, so policy {decision.policy} keeps them near: {why}.",
            code="media_denied",
            hint="Add a near deployment that reads them, or choose a policy that lets them go: `nearfar policy show`.",
        )
    if "elsewhere" in codes and not codes - {"elsewhere", "place", "media"}:
        return EgressDenied(
            f"The request draws on content or tools elsewhere: {why}.",
            code="elsewhere_denied",
            hint="Name them in the policy under [elsewhere] allow, or leave them out and send the content itself.",
        )
    return None


def _found(decision: Decision) -> list[str]:
    """What raised the class, if it was content: what was said about a request beside it is no find."""
    top = [reason for reason in decision.reasons if reason.class_ == decision.class_ > Class.PUBLIC]
    if any(reason.source not in {*PARTS, "unknown"} for reason in top):
        return []
    return [reason.text for reason in top]
