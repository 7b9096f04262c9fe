"""What a machine asks of a network (recomputed activations, another layout, a share of a batch) changes nothing."""

from __future__ import annotations

import copy

import pytest
import torch
from torch import Tensor, nn

from medrestore.config import compose
from medrestore.errors import MedrestoreError
from medrestore.hardware import choose, lay_out
from medrestore.losses import gradient_penalty
from medrestore.networks import (
    FeatureCritic,
    LocalGain,
    NAFNet,
    PatchCritic,
    PlainResidual,
    ResnetGenerator,
    RRDBNet,
    SRGANCritic,
    SRResNet,
    UNet,
)
from medrestore.networks.blocks import recompute_blocks
from medrestore.networks.normalisation import BatchNorm, Dropout
from medrestore.shared_batch import sharing

WITH_BLOCKS = {
    "resnet": lambda: ResnetGenerator(width=4, blocks=2, dropout=0.5),
    "plain": lambda: PlainResidual(width=4, depth=2),
    "nafnet": lambda: NAFNet(width=4, encoder_blocks=(1, 1), decoder_blocks=(1, 1)),
    "srresnet": lambda: SRResNet(width=4, blocks=2, scale=2, dropout=0.5),
    "rrdb": lambda: RRDBNet(width=4, blocks=1, growth=2, scale=2),
}
OTHERS = {
    "unet": lambda: UNet(width=2, depth=3, norm="instance"),
    "local_gain": lambda: LocalGain(width=4, depth=1),
    "patch_critic": lambda: PatchCritic(width=4, layers=2),
    "feature_critic": lambda: FeatureCritic(width=4),
    "srgan_critic": lambda: SRGANCritic(width=2, norm="instance"),
}


def awake(network: nn.Module) -> nn.Module:
    """In double precision and away from the identity that some networks start at."""
    torch.manual_seed(0)
    network = network.double().train()
    with torch.no_grad():
        for parameter in network.parameters():
            parameter.add_(0.05 * torch.randn_like(parameter))
    return network


def gradients(network: nn.Module, images: Tensor) -> dict[str, Tensor]:
    torch.manual_seed(1)
    for parameter in network.parameters():
        parameter.grad = None
    network(images).square().sum().backward()
    return {name: p.grad.clone() for name, p in network.named_parameters() if p.grad is not None}


@pytest.mark.parametrize("name", WITH_BLOCKS)
def test_recomputed_activations_give_the_same_gradients_and_running_statistics(name: str) -> None:
    network = awake(WITH_BLOCKS[name]())
    images = torch.rand(2, 3, 16, 16, dtype=torch.float64)
    other = copy.deepcopy(network)
    assert recompute_blocks(other) >= 1
    held: list[int] = []
    with torch.autograd.graph.saved_tensors_hooks(lambda t: held.append(t.numel()) or t, lambda t: t):
        network(images)
        kept, held[:] = sum(held), []
        other.load_state_dict(network.state_dict())
        other(images)
    assert sum(held) < kept  # else nothing was gained
    other.load_state_dict(network.state_dict())
    ours, theirs = gradients(network, images), gradients(other, images)
    assert ours and all(torch.equal(ours[key], theirs[key]) for key in ours)
    assert all(torch.equal(value, other.state_dict()[key]) for key, value in network.state_dict().items())


@pytest.mark.parametrize("name", [*WITH_BLOCKS, *OTHERS])
def test_channels_last_gives_the_same_gradients_for_a_batch_of_one(name: str) -> None:
    network = awake({**WITH_BLOCKS, **OTHERS}[name]())
    images = torch.rand(1, 3, 32, 32, dtype=torch.float64)
    ours = gradients(network, images)
    network.to(memory_format=torch.channels_last)  # type: ignore[call-overload]
    theirs = gradients(network, images.contiguous(memory_format=torch.channels_last))
    for key in ours:
        torch.testing.assert_close(theirs[key], ours[key], rtol=1e-9, atol=1e-9)


def test_torchs_instance_norm_is_refused_in_channels_last_on_a_cpu() -> None:
    machine = choose(compose("train", ["hardware=cpu", "hardware.channels_last=true"]).hardware, judge=False)
    lay_out(nn.Sequential(nn.Conv2d(3, 3, 3), nn.BatchNorm2d(3)), machine)
    with pytest.raises(MedrestoreError, match=r"wrong gradients.*InstanceNorm2d \(1\).*channels_last=false"):
        lay_out(nn.Sequential(nn.Conv2d(3, 3, 3), nn.InstanceNorm2d(3)), machine)


@pytest.mark.parametrize("ranks", [2, 4])
def test_dropout_and_mixing_numbers_are_slices_of_those_of_the_whole_batch(ranks: int) -> None:
    images, dropout = torch.rand(4, 2, 6, 6), Dropout(0.5)
    torch.manual_seed(0)
    whole = dropout(images)
    assert 0.2 < float((whole == 0).float().mean()) < 0.8
    torch.testing.assert_close(whole[whole != 0], 2 * images[whole != 0])

    def penalties(real: Tensor) -> Tensor:  # D(x) = |x|^2 / 2: the penalty of one sample tells its mixing number
        torch.manual_seed(0)
        each = [real[i : i + 1] for i in range(len(real))]
        found = gradient_penalty(lambda x: x.square().sum(dim=(1, 2, 3)) / 2, real, torch.zeros_like(real))
        assert each
        return found

    alone = penalties(images)
    shares, means = [], []
    for rank in range(ranks):
        with sharing(rank, ranks):
            own = images.chunk(ranks)[rank]
            torch.manual_seed(0)
            shares.append(dropout(own))
            means.append(penalties(own))
    assert torch.equal(torch.cat(shares), whole)
    torch.testing.assert_close(torch.stack(means).mean(), alone)


def test_batch_norm_and_dropout_are_torchs_where_nothing_is_shared() -> None:
    ours, theirs = BatchNorm(3), nn.BatchNorm2d(3)
    images = torch.rand(4, 3, 5, 5)
    assert torch.equal(ours(images), theirs(images)) and torch.equal(ours.running_var, theirs.running_var)
    assert torch.equal(ours.eval()(images), theirs.eval()(images))
    assert Dropout(0.5).eval()(images) is images
