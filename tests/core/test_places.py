"""Two ordered axes and their names."""

from __future__ import annotations

import pytest

from nearfar.core.places import Class, Place, Treatment


def test_places_are_ordered_by_distance() -> None:
    assert Place.DEVICE < Place.LAN < Place.PRIVATE_CLOUD < Place.CLOUD
    assert [place.label for place in Place] == ["device", "lan", "private-cloud", "cloud"]
    assert [place for place in Place if place.near] == [Place.DEVICE, Place.LAN]


def test_classes_are_ordered_by_sensitivity() -> None:
    assert Class.PUBLIC < Class.INTERNAL < Class.CONFIDENTIAL < Class.RESTRICTED
    assert [item.label for item in Class] == ["public", "internal", "confidential", "restricted"]


def test_names_are_read_back() -> None:
    assert [Place.parse(place.label) for place in Place] == list(Place)
    assert [Class.parse(item.label) for item in Class] == list(Class)
    assert [Treatment.parse(item.label) for item in Treatment] == list(Treatment)


@pytest.mark.parametrize("text", ["", "Cloud", "PRIVATE_CLOUD", "private_cloud", "moon"])
def test_an_unknown_place_is_refused_with_the_names(text: str) -> None:
    with pytest.raises(ValueError, match="use one of device, lan, private-cloud, cloud"):
        Place.parse(text)


@pytest.mark.parametrize("text", ["", "Public", "secret"])
def test_an_unknown_class_is_refused_with_the_names(text: str) -> None:
    with pytest.raises(ValueError, match="use one of public, internal, confidential, restricted"):
        Class.parse(text)


def test_treatments_are_ordered_by_how_little_they_tell() -> None:
    assert [item.label for item in sorted(Treatment)] == ["clear", "masked", "rewritten"]
    with pytest.raises(ValueError, match="use one of clear, masked, rewritten"):
        Treatment.parse("plain")
