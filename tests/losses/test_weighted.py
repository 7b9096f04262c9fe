from __future__ import annotations

import math
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


@pytest.mark.parametrize("weight", [-1.0, float("nan"), float("inf"), "much", None])
def test_impossible_weights_are_refused(weight: Any) -> None:
    with pytest.raises(MedrestoreError, match=r"loss\.l1\.weight=.* must be 0 or more"):
        WeightedSum({"l1": {"weight": weight, "term": L1()}})


@pytest.mark.parametrize(
    "entry", [{"weight": 1.0}, {}, {"weight": 1.0, "term": L1(), "wieght": 2}, {"term": L1(), "auto_steps": 2}]
)
def test_incomplete_entries_are_refused(entry: dict[str, Any]) -> None:
    with pytest.raises(MedrestoreError, match="needs weight and term"):
        WeightedSum({"l1": entry})


def test_backbone_moves_with_the_sum_and_is_not_saved() -> None:
    features = VGG19Features(["conv1_1"], "random")
    terms = WeightedSum({"feature": {"weight": 100.0, "term": FeatureLoss(features, "l1")}})
    assert not terms.state_dict() and not list(terms.parameters())
    terms.to(torch.float64)
    assert features.get_buffer("conv1_1_weight").dtype == torch.float64


def measuring(**entry: Any) -> WeightedSum:
    """An automatic L1 beside a fixed MSE."""
    terms = {"l1": {"weight": "auto", "term": L1(), **entry}, "mse": {"weight": 0.5, "term": MSE()}}
    return WeightedSum(terms, adversarial=True)


def step(terms: WeightedSum, restored: float, adversarial: float) -> float:
    """One generator step on images that differ by `restored`; the loss."""
    total, values = terms(torch.full((1, 1, 2, 2), restored), torch.zeros(1, 1, 2, 2))
    terms.observe(values, torch.tensor(adversarial))
    return total.item()


def test_weight_is_measured_once_and_frozen() -> None:
    terms = measuring(auto_ratio=2.0, auto_steps=3)
    for restored, adversarial in ((0.5, -4.0), (0.25, 1.0), (0.25, 7.0)):
        assert not terms.frozen()
        assert step(terms, restored, adversarial) == pytest.approx(100 * restored + 0.5 * restored**2)  # provisional
    # 2 * mean |-4, 1, 7| / mean(0.5, 0.25, 0.25)
    assert {name: value.item() for name, value in terms.frozen().items()} == {"l1": 2 * 4.0 / (1 / 3)}
    for adversarial in (1000.0, -1000.0, 0.0):
        assert step(terms, 0.5, adversarial) == pytest.approx(24 * 0.5 + 0.5 * 0.25)


def test_unmeasured_weight_is_not_counted_by_a_forward_alone() -> None:
    terms = measuring(auto_steps=1)
    for _ in range(3):  # the stage without an adversary
        terms(RESTORED, TARGET)
    assert int(terms.steps) == 0 and not terms.frozen()


@pytest.mark.parametrize("kill", [0, 1, 2, 3, 4])
def test_resume_in_the_middle_of_the_measurement_is_exact(kill: int) -> None:
    steps = [(0.1, -0.7), (0.3, 0.2), (0.7, 0.1), (0.2, 0.9), (0.6, 0.3)]
    unbroken, broken = measuring(auto_steps=3), measuring(auto_steps=3)
    expected = [step(unbroken, *values) for values in steps]
    found = [step(broken, *values) for values in steps[:kill]]
    resumed = measuring(auto_steps=3)
    resumed.load_state_dict(broken.state_dict())
    found += [step(resumed, *values) for values in steps[kill:]]
    assert found == expected
    for name, value in unbroken.state_dict().items():
        assert torch.equal(value, resumed.state_dict()[name])
    assert unbroken.frozen().keys() == {"l1"}


def test_steps_that_are_not_finite_do_not_count() -> None:
    terms = measuring(auto_steps=1)
    step(terms, 0.5, math.nan)
    step(terms, math.inf, 1.0)
    assert not terms.frozen()
    step(terms, 0.5, 1.0)
    assert terms.frozen()["l1"].item() == 2.0


@pytest.mark.parametrize(("restored", "adversarial"), [(0.0, 1.0), (0.5, 0.0)])
def test_nothing_to_measure_is_said(restored: float, adversarial: float) -> None:
    with pytest.raises(MedrestoreError, match=r"type loss\.l1\.weight=100"):
        step(measuring(auto_steps=1), restored, adversarial)


def test_two_automatic_terms_are_measured_apart() -> None:
    terms = WeightedSum(
        {
            "l1": {"weight": "auto", "term": L1(), "auto_steps": 1},
            "mse": WeightedTerm("auto", MSE(), auto_ratio=0.5, auto_steps=2),
        },
        adversarial=True,
    )
    step(terms, 0.5, 2.0)
    assert terms.frozen().keys() == {"l1"}
    step(terms, 0.25, 4.0)
    weights = {name: value.item() for name, value in terms.frozen().items()}
    assert weights == {"l1": 2 / 0.5, "mse": pytest.approx(0.5 * 6 / (0.25 + 0.0625))}


def test_gradient_carries_the_measured_weight() -> None:
    terms = measuring(auto_steps=1)
    step(terms, 0.5, 4.0)
    restored = torch.full((1, 1, 1, 1), 0.3, requires_grad=True)
    terms(restored, torch.zeros(1, 1, 1, 1))[0].backward()
    assert restored.grad is not None and restored.grad.item() == pytest.approx(8.0 + 0.5 * 2 * 0.3)


def test_automatic_weight_beside_an_entry_that_is_off() -> None:
    terms = WeightedSum(
        {"off": {"weight": 0, "term": Refusing()}, "l1": {"weight": "auto", "term": L1(), "auto_steps": 1}},
        adversarial=True,
    )
    step(terms, 0.5, 4.0)
    assert step(terms, 0.5, 0.0) == pytest.approx(4.0)


@pytest.mark.parametrize(
    ("entry", "adversarial", "told"),
    [
        ({}, False, r"adversarial loss.*type loss\.l1\.weight=100"),
        ({"auto_ratio": 0.0}, True, r"type loss\.l1\.auto_ratio=1\.0"),
        ({"auto_ratio": -1.0}, True, r"type loss\.l1\.auto_ratio=1\.0"),
        ({"auto_steps": 0}, True, r"type loss\.l1\.auto_steps=10"),
    ],
)
def test_impossible_measurements_are_refused(entry: dict[str, Any], adversarial: bool, told: str) -> None:
    with pytest.raises(MedrestoreError, match=told):
        WeightedSum({"l1": {"weight": "auto", "term": L1(), **entry}}, adversarial=adversarial)


def test_fixed_weights_leave_nothing_in_a_checkpoint() -> None:
    assert not WeightedSum({"l1": {"weight": 1, "term": L1()}}, adversarial=True).state_dict()
    assert set(measuring().state_dict()) == {"measured", "term_sums", "adversarial_sums", "steps"}
