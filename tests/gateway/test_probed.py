import msgspec

from nearfar.core.places import Place
from nearfar.core.routing import Capability, Deployment
from nearfar.gateway.probed import believe, known, target
from nearfar.store.capabilities import Finding

THERE = Deployment(
    name="d",
    provider="vllm",
    model="m",
    wire="openai.chat",
    base_url="http://127.0.0.1:8000/v1",
    place=Place.DEVICE,
    capabilities={
        "seed": Capability(can=True, source="catalogue", date="2026-01-01"),
        "tools": Capability(can=True, source="declared", date="2026-01-01"),
    },
)


def finding(what: str, can: bool | None, about: str = "") -> Finding:
    return Finding(deployment="d", target=about or target(THERE), what=what, can=can, date="2026-11-22")


def test_a_probe_knows_better_than_the_catalogue_and_less_than_the_owner() -> None:
    known = believe(THERE, [finding("seed", False), finding("tools", False), finding("json_schema", True)]).capabilities
    assert known["seed"] == Capability(can=False, source="probed", date="2026-11-22")
    assert known["tools"].can is True, "the owner's word"
    assert known["json_schema"].can is True


def test_what_was_not_settled_and_what_is_about_something_else_changes_nothing() -> None:
    assert (
        believe(THERE, [finding("seed", None), finding("seed", False, "vllm other http://127.0.0.1:8000/v1")]) is THERE
    )


def test_what_is_told_is_what_was_found_out_and_what_is_needed() -> None:
    capabilities = {
        "tools": Capability(can=True, source="catalogue"),
        "seed": Capability(can=True, source="catalogue"),
        "images": Capability(can=True, source="declared"),
        "json_schema": Capability(can=False, source="probed", date="2026-11-22"),
    }
    told = known(msgspec.structs.replace(THERE, capabilities=capabilities), frozenset({"seed"}))
    assert list(told) == ["images", "json_schema", "seed"]
