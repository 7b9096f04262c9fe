"""The weighted sum of content terms that a config describes.

A weight is a number, or `auto`: measured once against the adversarial loss, then frozen. That is how paper S3's
"greater weights ... to ensure that both losses were on a relatively similar scale" becomes a number that can be
repeated.
"""

from __future__ import annotations

import math
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any, Literal, cast

import torch
from torch import Tensor, nn

from medrestore.errors import MedrestoreError
from medrestore.shared_batch import batch_mean

_PROVISIONAL = 100.0  # DeblurGAN's weight of its feature loss, in force until `auto` is measured
_KEYS = {"weight", "term"}
_AUTO_KEYS = {"auto_ratio", "auto_steps"}


@dataclass(frozen=True)
class WeightedTerm:
    """A content term and its weight.

    Attributes:
        weight: 0 or more, or `auto`.
        term: `(restored, target, mask=None) -> scalar`.
        auto_ratio: with `auto`: the weighted term is to be this many times the adversarial loss.
        auto_steps: with `auto`: how many generator steps are measured.
    """

    weight: float | Literal["auto"]
    term: nn.Module
    auto_ratio: float = 1.0
    auto_steps: int = 10


class WeightedSum(nn.Module):
    """Sum of weight x term over named content terms. A term of weight 0 is not computed.

    The weight of an `auto` term is 100 until `observe` has seen `auto_steps` generator steps with the adversary on;
    from then on it is auto_ratio * mean |adversarial loss| / mean term of those steps. Sums, count and result are
    buffers: they are in every checkpoint, so that a resume in the middle of the measurement changes nothing. Of a
    batch that several processes share the losses of the whole batch are measured.

    Args:
        terms: by name, each a `WeightedTerm` or a mapping with `weight`, `term` and, for `auto`, `auto_ratio` and
            `auto_steps`.
        adversarial: whether there is an adversarial loss that `auto` can be measured against.

    Attributes:
        measured: weight of each `auto` term, in the order of `auto`; NaN until it is known. There are no buffers where
            every weight is a number.

    Raises:
        MedrestoreError: a weight that is negative or no number, an entry without `weight` and `term`, or `auto` without
            an adversarial loss.
    """

    measured: Tensor
    term_sums: Tensor
    adversarial_sums: Tensor
    steps: Tensor

    def __init__(self, terms: Mapping[str, WeightedTerm | Mapping[str, Any]], adversarial: bool = False) -> None:
        super().__init__()
        entries = {name: _checked(name, entry, adversarial) for name, entry in terms.items()}
        self.weights = {name: entry.weight for name, entry in entries.items()}
        self.terms = nn.ModuleDict({name: entry.term for name, entry in entries.items()})
        self.auto = {name: entry for name, entry in entries.items() if entry.weight == "auto"}
        if self.auto:
            self.register_buffer("measured", torch.full((len(self.auto),), math.nan))
            self.register_buffer("term_sums", torch.zeros(len(self.auto)))
            self.register_buffer("adversarial_sums", torch.zeros(len(self.auto)))
            self.register_buffer("steps", torch.zeros(len(self.auto), dtype=torch.int64))

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
            weight = self.weight(name)
            if isinstance(weight, Tensor) or weight > 0:
                value = term(restored, target, mask)
                total = total + weight * value
                values[name] = value.detach()
        return total, values

    def weight(self, name: str) -> float | Tensor:
        """The weight in force, a scalar; a tensor where it is `auto`."""
        if name not in self.auto:
            return cast(float, self.weights[name])
        measured = self.measured[list(self.auto).index(name)]
        return torch.where(measured.isnan(), _PROVISIONAL, measured)

    def frozen(self) -> dict[str, Tensor]:
        """The `auto` weights that are measured by now."""
        return {name: self.measured[i] for i, name in enumerate(self.auto) if not self.measured[i].isnan()}

    @torch.no_grad()
    def observe(self, values: Mapping[str, Tensor], adversarial: Tensor) -> None:
        """Let the `auto` weights see one generator step; nothing happens once they are measured.

        A step with a value that is not finite is not counted.

        Args:
            values: of the terms, from `forward`.
            adversarial: the adversarial loss of this step as it stands in the generator's loss.

        Raises:
            MedrestoreError: the steps to measure are over and no weight follows, because one of the sides was 0.
        """
        for i, (name, entry) in enumerate(self.auto.items()):
            if not bool(self.measured[i].isnan()):
                continue
            term, opposed = batch_mean(values[name]), batch_mean(adversarial)
            if not bool(torch.isfinite(term) & torch.isfinite(opposed)):
                continue
            self.term_sums[i] += term
            self.adversarial_sums[i] += opposed.abs()
            self.steps[i] += 1
            if int(self.steps[i]) == entry.auto_steps:
                self.measured[i] = entry.auto_ratio * self.adversarial_sums[i] / self.term_sums[i]
                if not (self.measured[i].isfinite() and self.measured[i] > 0):
                    raise MedrestoreError(
                        f"loss.{name}.weight=auto cannot be measured: in {entry.auto_steps} steps the term summed to "
                        f"{float(self.term_sums[i]):.3g} and the adversarial loss to "
                        f"{float(self.adversarial_sums[i]):.3g}; type loss.{name}.weight={_PROVISIONAL:.0f}"
                    )


def _checked(name: str, entry: WeightedTerm | Mapping[str, Any], adversarial: bool) -> WeightedTerm:
    if not isinstance(entry, WeightedTerm):
        if not _KEYS <= set(entry) <= _KEYS | _AUTO_KEYS:
            raise MedrestoreError(
                f"loss.{name} has {', '.join(sorted(map(str, entry))) or 'nothing'}; it needs weight and term, "
                f"e.g. loss.{name}.weight=1.0"
            )
        entry = WeightedTerm(**entry)
    if entry.weight == "auto":
        return _checked_auto(name, entry, adversarial)
    try:
        weight = float(entry.weight)
    except (TypeError, ValueError):
        weight = math.nan
    if not (math.isfinite(weight) and weight >= 0):
        raise MedrestoreError(
            f"loss.{name}.weight={entry.weight} must be 0 or more, or auto; type loss.{name}.weight=0"
        )
    return WeightedTerm(weight, entry.term)


def _checked_auto(name: str, entry: WeightedTerm, adversarial: bool) -> WeightedTerm:
    if not adversarial:
        raise MedrestoreError(
            f"loss.{name}.weight=auto is measured against an adversarial loss, and there is none here; "
            f"type loss.{name}.weight={_PROVISIONAL:.0f}"
        )
    if not 0 < entry.auto_ratio < math.inf:
        raise MedrestoreError(
            f"loss.{name}.auto_ratio={entry.auto_ratio} must be above 0; type loss.{name}.auto_ratio=1.0"
        )
    if entry.auto_steps < 1:
        raise MedrestoreError(
            f"loss.{name}.auto_steps={entry.auto_steps} measures nothing; type loss.{name}.auto_steps=10"
        )
    return entry
