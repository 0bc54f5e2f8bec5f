from __future__ import annotations

from nearfar.advisor.tensors import matrices, parameters
from nearfar.catalog.models import shipped


def test_counts_of_well_known_models() -> None:
    known = shipped()
    assert parameters(known["llama-3-8b"]) == 8_029_995_008
    assert parameters(known["deepseek-r1"]) == 671_025_397_760
    assert abs(parameters(known["mixtral-8x7b"]) / 46_702_526_464 - 1) < 1e-4


def test_tied_tables_are_there_once_and_experts_in_their_layers() -> None:
    known = shipped()
    assert not [each for each in matrices(known["gemma-3-1b"]) if each.role == "output"]
    experts = [each for each in matrices(known["llama-4-maverick"]) if each.role == "expert_up"]
    assert [each.count for each in experts] == [24]


def test_layers_that_use_keys_as_values() -> None:
    values = [each for each in matrices(shipped()["gemma-4-31b"]) if each.role == "v"]
    assert [each.count for each in values] == [50]
