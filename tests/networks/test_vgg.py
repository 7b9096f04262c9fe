from __future__ import annotations

from pathlib import Path

import pytest
import torch
from torch import Tensor, nn
from torchvision.models.vgg import cfgs, make_layers

from medrestore.errors import MedrestoreError
from medrestore.networks import VGG19Features


@pytest.fixture(scope="module")
def reference() -> nn.Sequential:
    """torchvision's own VGG19 up to conv3_4, with random weights."""
    torch.manual_seed(0)
    body = make_layers(cfgs["E"][:10], batch_norm=False)
    for layer in body:
        if isinstance(layer, nn.ReLU):
            layer.inplace = False
    return body.requires_grad_(False)


@pytest.fixture
def stored(reference: nn.Sequential, tmp_path: Path) -> Path:
    path = tmp_path / "vgg19.pth"
    torch.save({f"features.{name}": tensor for name, tensor in reference.state_dict().items()}, path)
    return path


def preprocessed(images: Tensor) -> Tensor:
    mean, deviation = torch.tensor([0.485, 0.456, 0.406]), torch.tensor([0.229, 0.224, 0.225])
    return (images - mean[:, None, None]) / deviation[:, None, None]


def test_layers_are_torchvisions(reference: nn.Sequential, stored: Path) -> None:
    images = torch.rand(2, 3, 33, 18)
    layers = ["relu3_3", "conv1_2", "conv3_3", "pool2"]
    features = VGG19Features(layers, str(stored))(images)
    for found, count in zip(features, [16, 3, 15, 10], strict=True):
        torch.testing.assert_close(found, reference[:count](preprocessed(images)))


def test_without_normalisation_the_network_sees_minus_one_to_one(reference: nn.Sequential, stored: Path) -> None:
    images = torch.rand(1, 3, 8, 8)
    (found,) = VGG19Features(["conv1_1"], str(stored), normalise=False)(images)
    torch.testing.assert_close(found, reference[:1](2 * images - 1))


def test_grey_is_repeated() -> None:
    vgg = VGG19Features(["conv2_1"], "random")
    grey = torch.rand(1, 1, 16, 16)
    torch.testing.assert_close(vgg(grey)[0], vgg(grey.repeat(1, 3, 1, 1))[0])
    with pytest.raises(ValueError, match=r"got \(1, 2, 8, 8\)"):
        vgg(torch.rand(1, 2, 8, 8))


def test_convolutions_are_taken_before_the_relu() -> None:
    before, after = VGG19Features(["conv3_3", "relu3_3"], "random")(torch.rand(1, 3, 32, 32))
    assert before.min() < 0  # an in-place ReLU would have overwritten it
    torch.testing.assert_close(before.clamp_min(0), after)


def test_deepest_layer_ends_the_network() -> None:
    vgg = VGG19Features(["conv1_2"], "random")
    assert {name for name, _ in vgg.named_buffers()} >= {"conv1_2_weight"}
    assert not [name for name, _ in vgg.named_buffers() if name.startswith("conv2")]
    assert [tuple(t.shape) for t in VGG19Features(["conv5_4"], "random")(torch.rand(1, 3, 32, 32))] == [(1, 512, 2, 2)]


def test_weights_stay_out_of_checkpoints_but_move() -> None:
    holder = nn.ModuleDict({"features": VGG19Features(["conv1_2"], "random"), "own": nn.Linear(1, 1)})
    assert set(holder.state_dict()) == {"own.weight", "own.bias"}
    assert {name for name, _ in holder.named_parameters()} == {"own.weight", "own.bias"}
    holder.load_state_dict(holder.state_dict())
    holder.train().requires_grad_(True)
    vgg = holder["features"]
    assert not any(tensor.requires_grad for tensor in vgg.buffers())
    holder.to("meta")
    assert all(tensor.device.type == "meta" for tensor in vgg.buffers())


def test_gradient_reaches_the_image_only() -> None:
    images = torch.rand(1, 3, 16, 16, requires_grad=True)
    VGG19Features(["conv2_2"], "random")(images)[0].sum().backward()
    assert images.grad is not None and images.grad.abs().max() > 0


def test_random_weights_are_always_the_same_and_leave_the_global_state_alone() -> None:
    state = torch.get_rng_state()
    first = VGG19Features(["conv2_1"], "random")
    assert torch.equal(torch.get_rng_state(), state)
    second = VGG19Features(["conv3_1"], "random")
    assert torch.equal(first.conv2_1_weight, second.conv2_1_weight)  # type: ignore[arg-type]
    assert first.weights == "random"


def test_missing_imagenet_file_is_named_and_nothing_is_downloaded(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("TORCH_HOME", str(tmp_path))
    expected = tmp_path / "hub" / "checkpoints" / "vgg19-dcbb9e9d.pth"
    with pytest.raises(MedrestoreError) as caught:
        VGG19Features(["conv3_3"], "imagenet")
    message = str(caught.value)
    assert str(expected) in message and "\n" not in message
    assert "feature_weights=<path" in message and "feature_weights=random" in message
    assert not list(tmp_path.iterdir())


def test_imagenet_file_is_found_in_torchvisions_cache(
    stored: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    cache = tmp_path / "hub" / "checkpoints"
    cache.mkdir(parents=True)
    stored.rename(cache / "vgg19-dcbb9e9d.pth")
    monkeypatch.setenv("TORCH_HOME", str(tmp_path))
    vgg = VGG19Features(["conv3_3"])
    assert vgg.weights == "imagenet"
    assert len([name for name, _ in vgg.named_buffers() if name.endswith("weight")]) == 7


def test_unusable_files_and_layers_are_told_in_one_line(tmp_path: Path, stored: Path) -> None:
    broken = tmp_path / "broken.pth"
    broken.write_bytes(b"no weights")
    with pytest.raises(MedrestoreError, match="cannot be read as VGG19 weights"):
        VGG19Features(["conv1_1"], str(broken))
    with pytest.raises(MedrestoreError, match=r"features\.19\.weight is missing"):
        VGG19Features(["conv4_1"], str(stored))
    with pytest.raises(MedrestoreError, match="type names such as conv3_3"):
        VGG19Features(["conv3_5"], "random")
    with pytest.raises(MedrestoreError, match="names no layers"):
        VGG19Features([], "random")
