from collections.abc import Iterator
from dataclasses import dataclass, field, replace
from typing import Literal, Self

import pytest
import torch
from torch import Tensor

from medrestore.classical import Unsharp, WienerOracle, tune
from medrestore.errors import MedrestoreError


@dataclass(frozen=True)
class Shift:
    """Adds a constant: the best one is known."""

    by: float = 0.0
    kind: Literal["classical"] = field(default="classical", init=False)

    name = "shift"
    needs_kernel = False
    scale = 1

    @property
    def parameters(self) -> dict[str, float | int]:
        return {"by": self.by}

    def grid(self) -> list[dict[str, float | int]]:
        return [{"by": by} for by in (0.0, 0.1, 0.2, 0.3)]

    def with_parameters(self, parameters: dict[str, float | int]) -> Self:
        return replace(self, **parameters)

    def restore(self, degraded: Tensor, kernel: Tensor | None = None) -> Tensor:
        return (degraded + self.by).clamp(0, 1)


def image() -> Tensor:
    return 0.2 + 0.4 * torch.rand(1, 1, 12, 12, generator=torch.Generator().manual_seed(0))


def test_the_known_best_is_found() -> None:
    truth = image()
    assert tune(Shift(), [(truth - 0.19, truth, None)]).parameters == {"by": 0.2}


def test_one_setting_for_all_images_by_mean_decibel() -> None:
    # Shifts of 0, 0.1, 0.2, 0.3 leave errors of .11 .01 .09 .19 twice and .28 .18 .08 .02 once: 0.1 wins, although the
    # mean squared error is smallest at 0.2.
    truth = image()
    pairs = [(truth - by, truth, None) for by in (0.11, 0.11, 0.28)]
    errors = {by: sum((by - missing) ** 2 for missing in (0.11, 0.11, 0.28)) for by in (0.1, 0.2)}
    assert errors[0.2] < errors[0.1]
    assert tune(Shift(), pairs).parameters == {"by": 0.1}


def test_one_perfect_image_does_not_outvote_the_others() -> None:
    truth = image()
    pairs = [(truth, truth, None), *[(truth - 0.2001, truth, None)] * 9]
    assert tune(Shift(), pairs).parameters == {"by": 0.2}


def test_unsharp_recovers_the_amount_it_was_built_with() -> None:
    degraded = image()
    truth = Unsharp(sigma=2.0, amount=0.75).restore(degraded)
    assert tune(Unsharp(), [(degraded, truth, None)]) == Unsharp(sigma=2.0, amount=0.75)


def test_pairs_are_streamed_once_and_those_without_kernel_left_out() -> None:
    truth, kernel = image(), torch.ones(1, 1)
    seen: list[int] = []

    def stream() -> Iterator[tuple[Tensor, Tensor, Tensor | None]]:
        for number, known in enumerate((None, kernel)):
            seen.append(number)
            yield truth, truth, known

    tuned = tune(WienerOracle(), stream())
    assert seen == [0, 1]
    assert tuned.parameters["noise"] == 1e-6  # nothing to undo and no noise


def test_nothing_to_tune_on_is_said() -> None:
    with pytest.raises(MedrestoreError, match="unsharp needs validation images"):
        tune(Unsharp(), [])
    with pytest.raises(MedrestoreError, match="wiener_oracle"):
        tune(WienerOracle(), [(image(), image(), None)])
