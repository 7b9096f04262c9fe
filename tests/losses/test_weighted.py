from __future__ import annotations

from typing import Any

import pytest
import torch
from torch import Tensor, nn

from medrestore.errors import MedrestoreError
from medrestore.losses import L1, MSE, FeatureLoss, WeightedSum, WeightedTerm
from medrestore.networks import VGG19Features

RESTORED, TARGET = torch.tensor([2.0, -1.0]).view(1, 1, 1, 2), torch.zeros(1, 1, 1, 2)


class Refusing(nn.Module):
    def forward(self, restored: Tensor, target: Tensor, mask: Tensor | None = None) -> Tensor:
        raise AssertionError("a term of weight 0 was computed")


def test_sum_and_unweighted_values() -> None:
    terms = WeightedSum({"l1": {"weight": 2, "term": L1()}, "mse": WeightedTerm(0.5, MSE())})
    restored = RESTORED.clone().requires_grad_()
    total, values = terms(restored, TARGET)
    assert total.item() == pytest.approx(2 * 1.5 + 0.5 * 2.5)
    assert {name: value.item() for name, value in values.items()} == {"l1": 1.5, "mse": 2.5}
    assert total.requires_grad and not any(value.requires_grad for value in values.values())


def test_mask_reaches_the_terms() -> None:
    terms = WeightedSum({"l1": {"weight": 1, "term": L1()}})
    total, _ = terms(RESTORED, TARGET, torch.tensor([1.0, 0.0]).view(1, 1, 1, 2))
    assert total.item() == 2.0


def test_term_of_weight_zero_is_not_computed() -> None:
    total, values = WeightedSum({"off": {"weight": 0, "term": Refusing()}})(RESTORED, TARGET)
    assert total.item() == 0 and values == {}


@pytest.mark.parametrize("weight", [-1.0, float("nan"), float("inf")])
def test_impossible_weights_are_refused(weight: float) -> None:
    with pytest.raises(MedrestoreError, match=r"loss\.l1\.weight=.* must be 0 or more"):
        WeightedSum({"l1": {"weight": weight, "term": L1()}})


@pytest.mark.parametrize("entry", [{"weight": 1.0}, {}, {"weight": 1.0, "term": L1(), "wieght": 2}])
def test_incomplete_entries_are_refused(entry: dict[str, Any]) -> None:
    with pytest.raises(MedrestoreError, match="needs weight and term"):
        WeightedSum({"l1": entry})


def test_backbone_moves_with_the_sum_and_is_not_saved() -> None:
    features = VGG19Features(["conv1_1"], "random")
    terms = WeightedSum({"feature": {"weight": 100.0, "term": FeatureLoss(features, "l1")}})
    assert not terms.state_dict() and not list(terms.parameters())
    terms.to(torch.float64)
    assert features.get_buffer("conv1_1_weight").dtype == torch.float64
