"""Policies as data: what ships, what an owner's file and single settings make of it, what is refused."""

from __future__ import annotations

import typing
from pathlib import Path

import msgspec
import pytest

from nearfar.core.places import Class, Place, Treatment
from nearfar.policy import presets
from nearfar.policy.rules import Rules
from nearfar.settings.errors import SettingsError
from nearfar.settings.model import Policy, PresetName, RouteSetting, Settings


def rules(preset: str = "default", **more: object) -> Rules:
    policy = msgspec.convert({"preset": preset, **more}, Policy)
    return presets.rules(Settings(policy=policy))


def test_every_preset_has_a_file_and_is_a_setting() -> None:
    shipped = {path.stem for path in presets._DATA.glob("*.toml")} - {"kinds"}
    assert shipped == set(presets.NAMES) == set(typing.get_args(PresetName))


@pytest.mark.parametrize("name", presets.NAMES)
def test_a_preset_is_whole_dated_and_sourced(name: str) -> None:
    file = presets.preset(name)
    assert (file.name, file.extends) == (name, "")
    assert file.title
    assert file.title_zh
    assert all(source.name for source in file.source)
    assert file.source
    built = rules(name)
    assert built.name == name
    assert len(built.version) == 16
    assert not built.harmless


@pytest.mark.parametrize("name", presets.NAMES)
@pytest.mark.parametrize("able", list(Treatment))
def test_a_more_sensitive_class_never_goes_further(name: str, able: Treatment) -> None:
    built = rules(name)
    for purpose in ("serve", *built.purposes):
        reached = [built.limits(class_, purpose).furthest(able) for class_ in Class]
        assert reached == sorted(reached, reverse=True)


def test_the_default_is_what_held_before_there_were_presets() -> None:
    built = rules()
    assert [built.limits(item).furthest() for item in Class] == [Place.CLOUD, Place.CLOUD, Place.DEVICE, Place.DEVICE]
    assert (built.name, built.default, built.audit, built.offline) == ("default", Class.INTERNAL, None, False)


@pytest.mark.parametrize("name", ["team", "tw-medical", "tw-finance", "government", "offline"])
@pytest.mark.parametrize("kind", ["medical.diagnosis", "medical_record", "genetic.test", "criminal.record"])
def test_special_data_never_leaves_the_house(name: str, kind: str) -> None:
    built = rules(name)
    class_ = built.kinds.of(kind).class_
    assert class_ == Class.RESTRICTED
    assert built.limits(class_).furthest() <= Place.LAN


def test_what_each_preset_is_for() -> None:
    assert rules("tw-medical").limits(rules("tw-medical").kinds.of("tw.national_id").class_).furthest() == Place.LAN
    assert rules("team").limits(Class.CONFIDENTIAL).treatment(Place.CLOUD) is Treatment.MASKED
    assert rules("government").limits(Class.INTERNAL).furthest() == Place.LAN
    assert rules("government").audit == Class.PUBLIC
    assert rules("tw-finance").limits(Class.CONFIDENTIAL).furthest() == Place.PRIVATE_CLOUD
    assert rules("offline").limits(Class.PUBLIC).furthest() == Place.LAN
    assert rules("offline").offline
    assert rules("developer").unnamed(frozenset({"web_search"})) == []
    for name in presets.NAMES:
        if name != "developer":
            assert rules(name).unnamed(frozenset({"web_search"})) == ["web_search"]


def test_images_of_staff_stay_near_unless_a_policy_says_otherwise() -> None:
    assert {name for name in presets.NAMES if rules(name).limits(Class.INTERNAL).media > Place.LAN} == {
        "default",
        "developer",
    }


def test_a_place_in_the_settings_is_the_furthest_altogether() -> None:
    own = rules("team", internal="lan", confidential="device", restricted="device")
    assert own.limits(Class.INTERNAL).furthest() == Place.LAN
    assert own.limits(Class.CONFIDENTIAL).furthest() == Place.DEVICE
    assert (own.name, rules(internal="lan").name) == ("team (changed)", "configured")
    assert own.version != rules("team").version


def test_settings_that_reach_further_for_what_is_more_sensitive_are_refused() -> None:
    with pytest.raises(SettingsError, match="may not travel further"):
        rules("team", restricted="cloud")


def test_the_owners_file_extends_a_preset(tmp_path: Path) -> None:
    path = tmp_path / "policy.toml"
    path.write_text(
        """
name = "clinic"
date = 2026-11-22
extends = "tw-medical"
audit = "never"
wait = 3
[classes.internal]
clear = "lan"
[purposes.judge]
public = "lan"
internal = "lan"
confidential = "device"
restricted = "device"
[groups]
contact = "internal"
[kinds]
"clinic.chart_no" = "restricted"
[tools]
trusted = ["print_*"]
[elsewhere]
allow = ["file_id"]
[harmless]
"*" = ["02-2737-9999"]
front-desk = ["04541302"]
""",
        encoding="utf-8",
    )
    routes = {"front-desk": RouteSetting(deployments=("x",), harmless=("own line",))}
    settings = Settings(policy=Policy(file=str(path), harmless=("mine",)), routes=routes)
    made = presets.effective(settings, {"policy.harmless": "file config.toml:3"})
    own = made.rules
    assert (own.name, own.audit, own.wait, own.default) == ("clinic", None, 3.0, Class.CONFIDENTIAL)
    assert own.limits(Class.INTERNAL).furthest() == Place.LAN
    assert own.limits(Class.PUBLIC, "judge").furthest() == Place.LAN
    assert own.kinds.of("email").class_ == Class.INTERNAL
    assert own.kinds.of("clinic.chart_no").class_ == Class.RESTRICTED
    assert own.trusts("print_label")
    assert own.unnamed(frozenset({"file_id", "mcp"})) == ["mcp"]
    assert own.harmless_on("front-desk") == ("02-2737-9999", "mine", "04541302", "own line")
    assert made.origins["classes.public.clear"] == "preset tw-medical"
    assert made.origins["classes.internal.masked"] == f"file {path}"
    assert made.origins["harmless.*"] == "file config.toml:3"
    assert made.title.startswith("Clinics")
    assert [file.name for file in made.files] == ["tw-medical", "clinic"]


def test_the_version_stands_for_every_value(tmp_path: Path) -> None:
    seen = set()
    for number, line in enumerate(("", "wait = 1", "[kinds]\nemail = 'public'", "[harmless]\nr = ['1']")):
        path = tmp_path / f"{number}.toml"
        path.write_text(f"name = 'p'\ndate = 2026-11-22\n{line}\n")
        seen.add(presets.rules(Settings(policy=Policy(file=str(path)))).version)
        assert presets.rules(Settings(policy=Policy(file=str(path)))).version in seen
    assert len(seen) == 4


@pytest.mark.parametrize(
    ("text", "why"),
    [
        ("", "is not a policy"),
        ("name = 'x'\ndate = 2026-11-22\nsurprise = 1", "unknown field"),
        ("name = 'x'\ndate = 2026-11-22\nextends = 'nobody'", "is no preset"),
        ("name = 'x'\ndate = 2026-11-22\n[classes.public]\nclear = 'moon'", "unknown place"),
        ("name = 'x'\ndate = 2026-11-22\n[classes.public]\nclear = 'cloud'\nmasked = 'lan'", "may not be nearer"),
        ("name = 'x'\ndate = 2026-11-22\n[classes.restricted]\nclear = 'cloud'", "may not travel further"),
        ("name = 'x'\ndate = 2026-11-22\n[purposes.judge]\npublic = 'lan'", "may not travel further"),
        ("name = 'x'\ndate = 2026-11-22\n[groups]\nnobody = 'public'", "no kind is in the group"),
        ("name = 'x'\ndate = 2026-11-22\naudit = 'sometimes'", "unknown class"),
        ("name = 'x'\ndate = 2026-11-22\nwait = -1", "less than 0"),
    ],
)
def test_a_file_that_is_wrong_stops_the_start(tmp_path: Path, text: str, why: str) -> None:
    path = tmp_path / "policy.toml"
    path.write_text(text)
    with pytest.raises(SettingsError, match=why) as caught:
        presets.rules(Settings(policy=Policy(file=str(path))))
    assert caught.value.problems[0].key == "policy.file"
    assert "nearfar policy" in caught.value.hint


def test_a_file_that_cannot_be_read_stops_the_start(tmp_path: Path) -> None:
    with pytest.raises(SettingsError, match="No such file"):
        presets.rules(Settings(policy=Policy(file=str(tmp_path / "none.toml"))))
    large = tmp_path / "large.toml"
    large.write_bytes(b"#" * (presets.MAX_BYTES + 1))
    with pytest.raises(SettingsError, match="larger than"):
        presets.rules(Settings(policy=Policy(file=str(large))))


def test_an_unknown_preset() -> None:
    with pytest.raises(KeyError):
        presets.preset("nobody")


def test_a_policy_is_observed_only_where_somebody_chose_both_words() -> None:
    tried = Settings(policy=Policy(preset="tw-medical", mode="observe", confidential="lan"))
    observed = presets.observed(tried)
    assert observed is not None
    assert observed.name == "tw-medical (changed)"
    held = presets.enforced(tried)
    assert (held.name, held.audit) == ("configured", None)
    assert held.limits(Class.CONFIDENTIAL).furthest() == Place.LAN, "single places hold all the same"
    assert held.limits(Class.RESTRICTED).furthest() == Place.DEVICE
    offline = presets.enforced(msgspec.structs.replace(tried, offline=True))
    assert offline.offline
    for name in presets.NAMES:
        chosen = Settings(policy=msgspec.convert({"preset": name}, Policy))
        assert presets.observed(chosen) is None, "no preset is observed by itself"
        assert presets.enforced(chosen) == presets.rules(chosen)


def test_observing_nothing_is_a_mistake(tmp_path: Path) -> None:
    with pytest.raises(SettingsError, match="nothing to observe"):
        presets.enforced(Settings(policy=Policy(mode="observe")))
    path = tmp_path / "own.toml"
    path.write_text('name = "own"\ndate = 2026-11-22\n[classes.public]\nclear = "nowhere"\n', "utf-8")
    with pytest.raises(SettingsError, match="nowhere"):
        presets.enforced(Settings(policy=Policy(mode="observe", file=str(path))))
    path.write_text('name = "own"\ndate = 2026-11-22\nmode = "observe"\n', "utf-8")
    with pytest.raises(SettingsError, match="mode"):
        presets.rules(Settings(policy=Policy(file=str(path))))


def test_a_policy_names_who_rewrites(tmp_path: Path) -> None:
    path = tmp_path / "own.toml"
    path.write_text(
        'name = "own"\ndate = 2026-11-22\nextends = "team"\n[rewriting]\nroute = "ward"\n'
        '[classes.confidential]\nclear = "lan"\nmasked = "private-cloud"\nrewritten = "cloud"\n',
        "utf-8",
    )
    own = presets.effective(Settings(policy=Policy(file=str(path))))
    assert (own.rules.rewriter, own.rules.rewrites) == ("ward", True)
    assert own.origins["rewriting.route"] == f"file {path}"
    assert own.rules.limits(Class.CONFIDENTIAL).treatment(Place.CLOUD) is Treatment.REWRITTEN
    assert not any(rules(name).rewrites for name in presets.NAMES), "no preset lets anything go rewritten"
    assert rules("team").rewriter == "local"


def test_what_replies_may_bring_up_is_said_by_the_file_and_by_the_settings(tmp_path: Path) -> None:
    assert all(rules(name).replies == "pass" for name in presets.NAMES)
    path = tmp_path / "own.toml"
    start = 'name = "own"\ndate = 2026-11-22\nextends = "team"\n'
    path.write_text(start + 'replies = "tell"\nreply_kinds = ["secret", "email", "us.*"]\n', "utf-8")
    own = presets.effective(Settings(policy=Policy(file=str(path))))
    assert (own.rules.replies, own.rules.reply_kinds) == ("tell", ("secret", "email", "us.*"))
    assert own.origins["replies"] == f"file {path}"
    assert rules("team", replies="redact", file=str(path)).replies == "redact"
    assert rules("team", replies="redact").version != rules("team").version
    for wrong, why in (('replies = "hide"', "pass, tell, redact"), ('reply_kinds = ["mails"]', "no kind and no group")):
        path.write_text(f"{start}{wrong}\n", "utf-8")
        with pytest.raises(SettingsError, match=why):
            presets.rules(Settings(policy=Policy(file=str(path))))
