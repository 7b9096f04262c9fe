"""The weighted sum of content terms that a config describes."""

from __future__ import annotations

import math
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

from torch import Tensor, nn

from medrestore.errors import MedrestoreError


@dataclass(frozen=True)
class WeightedTerm:
    """A content term and its weight.

    Attributes:
        weight: 0 or more.
        term: `(restored, target, mask=None) -> scalar`.
    """

    weight: float
    term: nn.Module


class WeightedSum(nn.Module):
    """Sum of weight x term over named content terms. A term of weight 0 is not computed.

    Args:
        terms: by name, each a `WeightedTerm` or a mapping with `weight` and `term`.

    Raises:
        MedrestoreError: a weight that is negative or no number, or an entry without `weight` and `term`.
    """

    def __init__(self, terms: Mapping[str, WeightedTerm | Mapping[str, Any]]) -> None:
        super().__init__()
        checked = {name: _checked(name, entry) for name, entry in terms.items()}
        self.weights = {name: entry.weight for name, entry in checked.items()}
        self.terms = nn.ModuleDict({name: entry.term for name, entry in checked.items()})

    def forward(self, restored: Tensor, target: Tensor, mask: Tensor | None = None) -> tuple[Tensor, dict[str, Tensor]]:
        """Compare `(N, C, H, W)` in [0, 1] with its target.

        Args:
            restored: the generator's output.
            target: the same shape.
            mask: `(N, 1, H, W)`, 1 where the target is valid; None where all of it is.

        Returns:
            The sum, and each term's value without its weight, detached.
        """
        total = restored.new_zeros(())
        values: dict[str, Tensor] = {}
        for name, term in self.terms.items():
            if self.weights[name] > 0:
                value = term(restored, target, mask)
                total = total + self.weights[name] * value
                values[name] = value.detach()
        return total, values


def _checked(name: str, entry: WeightedTerm | Mapping[str, Any]) -> WeightedTerm:
    if not isinstance(entry, WeightedTerm):
        if set(entry) != {"weight", "term"}:
            raise MedrestoreError(
                f"loss.{name} has {', '.join(sorted(map(str, entry))) or 'nothing'}; it needs weight and term, "
                f"e.g. loss.{name}.weight=1.0"
            )
        entry = WeightedTerm(float(entry["weight"]), entry["term"])
    if not (math.isfinite(entry.weight) and entry.weight >= 0):
        raise MedrestoreError(f"loss.{name}.weight={entry.weight} must be 0 or more; type loss.{name}.weight=0")
    return entry
