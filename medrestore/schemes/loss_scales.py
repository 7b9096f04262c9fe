"""Scaling of losses in float16, with a scale of its own for each optimiser.

One `GradScaler` for all, whose `update` follows every step, counts the steps of five critic updates and one generator
update together: its scale grows six times as often as it should, and an overflow of the critic lowers the generator's.
"""

from __future__ import annotations

from typing import Any

import torch
from torch import Tensor

_NETWORKS = ("generator", "critic")
_LEAST = 1.0  # a loss that overflows unscaled is no matter of its scale


class LossScales:
    """Loss scales of both optimisers; without a device there are none, and everything is the identity.

    Args:
        device: `cuda`, or `cpu` for tests.
        start: the first scale.
        patience: steps without overflow after which a scale is doubled.
    """

    def __init__(self, device: str | None = None, start: float = 2.0**16, patience: int = 2000) -> None:
        self.scalers: dict[str, torch.amp.GradScaler] = {}
        if device is not None:
            self.scalers = {
                name: torch.amp.GradScaler(device, init_scale=start, growth_interval=patience) for name in _NETWORKS
            }

    def scaled(self, loss: Tensor, network: str) -> Tensor:
        """The loss to take gradients of."""
        return self.scalers[network].scale(loss) if self.scalers else loss  # type: ignore[return-value]

    def unscale(self, optimizer: Any, network: str) -> None:
        """Bring the gradients to their true size, before they are clipped; not finite where they overflowed."""
        if self.scalers:
            self.scalers[network].unscale_(optimizer)

    def stepped(self, network: str) -> None:
        """The optimiser has stepped; after many such steps the scale grows."""
        if self.scalers:
            self.scalers[network].update()

    def lower(self, network: str) -> bool:
        """The gradients were not finite: halve the scale.

        Returns:
            Whether that may help; False without scales, and at the least one.
        """
        if not self.scalers:
            return False
        before = self.scalers[network].get_scale()
        self.scalers[network].update()
        return before > _LEAST

    def state_dict(self) -> dict[str, Any]:
        """Scales and how many steps they have stood."""
        return {name: scaler.state_dict() for name, scaler in self.scalers.items()}

    def load_state_dict(self, state: dict[str, Any]) -> None:
        """Go on from there, where scales are in use."""
        for name, scaler in self.scalers.items():
            if state.get(name):
                scaler.load_state_dict(state[name])
