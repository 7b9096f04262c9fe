"""VGG19 features for perceptual losses."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from medrestore.errors import MedrestoreError

IMAGENET_FILE = "vgg19-dcbb9e9d.pth"
_CONVOLUTIONS = (2, 2, 4, 4, 4)
# In torchvision's order: the position of a step is its index in `vgg19().features`.
_STEPS = tuple(
    step
    for block, count in enumerate(_CONVOLUTIONS, start=1)
    for step in (*(f"{kind}{block}_{n + 1}" for n in range(count) for kind in ("conv", "relu")), f"pool{block}")
)
_WIDTHS = (64, 128, 256, 512, 512)
_MEAN = (0.485, 0.456, 0.406)
_DEVIATION = (0.229, 0.224, 0.225)
_SEED = 19


class VGG19Features(nn.Module):
    """Feature maps of VGG19 (Simonyan & Zisserman, arXiv:1409.1556), cut off after the deepest one asked for.

    Frozen: its weights are buffers that are not persistent. So they move with `.to(device)`, but no optimiser, no
    `state_dict` and no checkpoint ever sees them, and `requires_grad_` and `train` cannot wake them. ReLUs are not in
    place: a convolution's output stays what it was.

    Nothing is downloaded. `imagenet` reads the file that torchvision keeps in its cache, if it is there.

    Args:
        layers: such as `conv3_3` (before the ReLU, torchvision's index 14) or `relu3_3` (after it, index 15).
        weights: `imagenet`, the path of a torchvision VGG19 state dict, or `random` (always the same numbers).
        normalise: shift and scale by ImageNet's mean and deviation; False gives the network [-1, 1], as DeblurGAN does.

    Attributes:
        weights: where the weights are from, to be said in reports.

    Raises:
        MedrestoreError: an unknown layer, or no usable weights.
    """

    def __init__(self, layers: Sequence[str], weights: str = "imagenet", normalise: bool = True) -> None:
        super().__init__()
        self.layers = tuple(layers)
        self.weights = str(weights)
        self.normalise = normalise
        self._steps = _steps_to(self.layers)
        names = [step for step in self._steps if step.startswith("conv")]
        tensors = _random_weights(names) if self.weights == "random" else _stored_weights(names, self.weights)
        for name, tensor in tensors.items():
            self.register_buffer(name, tensor, persistent=False)
        mean, deviation = (_MEAN, _DEVIATION) if normalise else ((0.5,) * 3, (0.5,) * 3)
        self.register_buffer("mean", torch.tensor(mean).view(3, 1, 1), persistent=False)
        self.register_buffer("deviation", torch.tensor(deviation).view(3, 1, 1), persistent=False)

    def forward(self, images: Tensor) -> list[Tensor]:
        """Compute the features of `(N, C, H, W)` in [0, 1]; C is 3, or 1 and then repeated.

        Returns:
            One `(N, C', H', W')` for each layer, in the order of `layers`.

        Raises:
            ValueError: another number of channels.
        """
        if images.ndim != 4 or images.shape[1] not in (1, 3):
            raise ValueError(f"VGG19Features takes (N, 3, H, W) or (N, 1, H, W), got {tuple(images.shape)}")
        features = (images.expand(-1, 3, -1, -1) - self.get_buffer("mean")) / self.get_buffer("deviation")
        found: dict[str, Tensor] = {}
        for step in self._steps:
            if step.startswith("conv"):
                weight, bias = self.get_buffer(f"{step}_weight"), self.get_buffer(f"{step}_bias")
                features = F.conv2d(features, weight, bias, padding=1)
            else:
                features = F.relu(features) if step.startswith("relu") else F.max_pool2d(features, 2)
            if step in self.layers:
                found[step] = features
        return [found[layer] for layer in self.layers]


def _steps_to(layers: Sequence[str]) -> tuple[str, ...]:
    """The steps up to the deepest layer asked for."""
    unknown = [layer for layer in layers if layer not in _STEPS]
    if unknown or not layers:
        raise MedrestoreError(
            f"layers={list(layers)} names no layers of VGG19; type names such as conv3_3 (before its ReLU) or relu3_3"
        )
    return _STEPS[: max(_STEPS.index(layer) for layer in layers) + 1]


def _random_weights(names: list[str]) -> dict[str, Tensor]:
    """He's initialisation, so that the features keep their scale; never touches the global random state."""
    generator = torch.Generator().manual_seed(_SEED)
    tensors: dict[str, Tensor] = {}
    before = 3
    for name in names:
        width = _WIDTHS[int(name[4]) - 1]
        tensors[f"{name}_weight"] = torch.randn(width, before, 3, 3, generator=generator) * (2 / (9 * before)) ** 0.5
        tensors[f"{name}_bias"] = torch.zeros(width)
        before = width
    return tensors


def _stored_weights(names: list[str], weights: str) -> dict[str, Tensor]:
    path = Path(weights).expanduser()
    if weights == "imagenet":
        path = Path(torch.hub.get_dir()) / "checkpoints" / IMAGENET_FILE
    remedy = "type feature_weights=<path of that file> or feature_weights=random"
    if not path.is_file():
        raise MedrestoreError(f"no VGG19 weights: looked for {path} and download nothing; {remedy}")
    try:
        stored = torch.load(path, map_location="cpu", weights_only=True)
    except Exception as error:  # a damaged file fails in as many ways as it has bytes
        reason = str(error).splitlines()[0] if str(error) else type(error).__name__
        raise MedrestoreError(f"{path} cannot be read as VGG19 weights ({reason}); {remedy}") from None
    expected = _random_weights(names)
    tensors: dict[str, Tensor] = {}
    for name in expected:
        convolution, _, part = name.rpartition("_")
        key = f"features.{_STEPS.index(convolution)}.{part}"
        tensor = stored.get(key) if isinstance(stored, dict) else None
        if not isinstance(tensor, Tensor) or tensor.shape != expected[name].shape:
            raise MedrestoreError(f"{path} holds no VGG19 weights: {key} is missing or of another shape; {remedy}")
        tensors[name] = tensor.float().clone()
    return tensors
