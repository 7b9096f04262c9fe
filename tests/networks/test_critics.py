from __future__ import annotations

import pytest
import torch

from medrestore.networks import PatchCritic


def test_paper_size() -> None:
    critic = PatchCritic(3, 64, 3)
    assert sum(p.numel() for p in critic.parameters()) == 2_764_737
    with torch.device("meta"):
        critic.to("meta")
        assert critic(torch.empty(1, 3, 256, 256)).shape == (1, 1, 35, 35)


def test_scores_are_of_both_signs_and_any_size_works() -> None:
    torch.manual_seed(0)
    critic = PatchCritic(1, 4, 2)
    scores = critic(torch.rand(4, 1, 33, 47))
    assert scores.min() < 0 < scores.max()  # no sigmoid
    assert critic(torch.rand(1, 1, 1, 1)).isfinite().all()
    with pytest.raises(ValueError, match="PatchCritic takes"):
        critic(torch.rand(1, 3, 8, 8))


@pytest.mark.parametrize(("norm", "mixes"), [("instance", False), ("none", False), ("batch", True)])
def test_only_batch_norm_mixes_samples(norm: str, mixes: bool) -> None:
    torch.manual_seed(0)
    critic = PatchCritic(3, 4, 2, norm=norm).train()  # type: ignore[arg-type]
    first, second, other = torch.rand(3, 1, 3, 32, 32)
    beside_second, beside_other = critic(torch.cat([first, second]))[0], critic(torch.cat([first, other]))[0]
    # equal arithmetic gives equal numbers; mixing moves them by far more than rounding
    assert torch.allclose(beside_second, beside_other, atol=1e-6) != mixes


def test_unknown_norm_is_refused() -> None:
    with pytest.raises(ValueError, match="type instance, batch or none"):
        PatchCritic(norm="layer")  # type: ignore[arg-type]


def test_patch_sees_seventy_pixels() -> None:
    critic = PatchCritic(1, 2, 3, norm="none").double()
    image = torch.rand(1, 1, 256, 256, dtype=torch.float64, requires_grad=True)
    (gradient,) = torch.autograd.grad(critic(image)[0, 0, 17, 17], image)
    rows = gradient[0, 0].abs().sum(dim=1).nonzero()
    assert int(rows.max() - rows.min()) + 1 == 70
