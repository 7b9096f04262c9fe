from __future__ import annotations

from itertools import pairwise
from typing import Literal

import pytest
import torch
from torch import nn

from medrestore.errors import MedrestoreError
from medrestore.networks import SRGANCritic

Norm = Literal["batch", "instance", "group", "none"]


def test_published_size_and_layers() -> None:
    """k3n64s1, then the seven normalised ones, without biases, of arXiv:1609.04802, figure 4."""
    layers = [(1, 64), (2, 64), (1, 128), (2, 128), (1, 256), (2, 256), (1, 512), (2, 512)]
    with torch.device("meta"):
        critic = SRGANCritic(3, head="dense1024")
        found = [m for m in critic.modules() if isinstance(m, nn.Conv2d)]
        assert [(m.stride[0], m.out_channels) for m in found] == layers
        assert all(m.kernel_size == (3, 3) for m in found)
        weights = 9 * sum(before * after for before, after in pairwise([3, *(width for _, width in layers)]))
        norms = 2 * sum(width for _, width in layers[1:])
        dense = 6 * 6 * 512 * 1024 + 1024 + 1024 + 1
        assert sum(p.numel() for p in critic.parameters()) == weights + 64 + norms + dense == 23_563_649
        pooled = SRGANCritic(3)
        assert sum(p.numel() for p in pooled.parameters()) == weights + 64 + norms + 512 + 1 == 4_687_745
        assert critic.body(torch.empty(1, 3, 96, 96)).shape == (1, 512, 6, 6)  # what SRGAN's head is made for


@pytest.mark.parametrize("head", ["pooled", "dense1024"])
@pytest.mark.parametrize("size", [(96, 96), (33, 47), (16, 24), (1, 1)])
def test_any_size_has_one_score_of_either_sign(head: Literal["pooled", "dense1024"], size: tuple[int, int]) -> None:
    torch.manual_seed(0)
    critic = SRGANCritic(1, 4, head=head)
    images = torch.rand(1, 1, *size)
    scores = critic(images)
    assert scores.shape == (1, 1)
    scores.square().sum().backward()
    assert all(p.grad is not None and p.grad.isfinite().all() for p in critic.parameters())
    for parameter in critic.head[-1].parameters():
        parameter.data.neg_()
    torch.testing.assert_close(critic(images), -scores)  # no sigmoid
    with pytest.raises(ValueError, match="SRGANCritic takes"):
        critic(torch.rand(1, 3, 32, 32))


@pytest.mark.parametrize(("norm", "mixes"), [("batch", True), ("instance", False), ("group", False), ("none", False)])
def test_only_batch_norm_mixes_samples_and_it_remembers_nothing(norm: Norm, mixes: bool) -> None:
    torch.manual_seed(0)
    critic = SRGANCritic(1, 4, norm=norm)
    assert not list(critic.buffers())
    first, second, other = torch.rand(3, 1, 1, 32, 32)
    beside_second, beside_other = critic(torch.cat([first, second]))[0], critic(torch.cat([first, other]))[0]
    assert torch.allclose(beside_second, beside_other, atol=1e-5) != mixes


def test_first_layer_is_not_normalised() -> None:
    for norm, kind in (("batch", nn.BatchNorm2d), ("group", nn.GroupNorm)):
        critic = SRGANCritic(1, 4, norm=norm)  # type: ignore[arg-type]
        assert sum(isinstance(m, kind) for m in critic.modules()) == 7
        assert isinstance(critic.body[1], nn.LeakyReLU) and critic.body[1].negative_slope == 0.2


def test_scores_keep_their_scale_without_normalisation() -> None:
    """Weights that start too small would score every image alike, and teach the generator nothing."""
    torch.manual_seed(0)
    for width in (4, 16, 64):
        scores = SRGANCritic(1, width, norm="none")(torch.rand(16, 1, 48, 48))
        assert 0.01 < float(scores.detach().abs().max()) < 10


def test_unknown_choices_are_refused() -> None:
    with pytest.raises(MedrestoreError, match="type pooled or dense1024"):
        SRGANCritic(head="dense")  # type: ignore[arg-type]
    with pytest.raises(MedrestoreError, match="type instance, group, batch or none"):
        SRGANCritic(norm="layer")  # type: ignore[arg-type]
