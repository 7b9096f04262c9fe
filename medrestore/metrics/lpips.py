"""Learned perceptual distance (Zhang et al., CVPR 2018): AlexNet backbone, linear heads v0.1 of the `lpips` package.

The heads come with the package, the ImageNet backbone does not, and nothing is ever downloaded here. With a random
backbone the number still orders rows of one table a little, but compares with no paper: say so wherever it is shown.
"""

from __future__ import annotations

import functools
import math
import pickle
import warnings
from pathlib import Path
from typing import TYPE_CHECKING, Literal

import torch
from torch import Tensor

from medrestore.errors import MedrestoreError
from medrestore.metrics.accumulate import MeanOverImages
from medrestore.metrics.checks import check_pair

if TYPE_CHECKING:
    import lpips as package

LpipsWeights = Literal["imagenet", "random"] | str | Path
_FILE = "alexnet-owt-7be5be79.pth"  # the name torchvision gives its cached file
_SMALLEST = 31  # AlexNet's last maps are empty below
_SEED = 20180111


@torch.no_grad()
def lpips(preds: Tensor, target: Tensor, *, weights: LpipsWeights = "imagenet") -> Tensor:
    """LPIPS distance of each image, AlexNet v0.1; 0 for identical images, lower is better.

    Images go through the network one by one, which takes about 0.25 GiB a megapixel.

    Args:
        preds: `(N, C, H, W)` in [0, 1], C 1 (repeated to 3) or 3, at least 31 px on each side.
        target: of the same shape, in [0, 1].
        weights: of the backbone: `imagenet` = torchvision's cached file, `random` = seeded random numbers, or the path
            of a state dict with torchvision's keys (`features.0.weight`, ...).

    Returns:
        `(N,)` float64.

    Raises:
        ValueError: shapes differ, images are too small, or values lie outside [0, 1].
        MedrestoreError: the backbone's file is missing or is no AlexNet.
    """
    check_pair(preds, target)
    channels, height, width = preds.shape[1:]
    if channels not in (1, 3) or min(height, width) < _SMALLEST:
        raise ValueError(f"LPIPS needs 1 or 3 channels of at least 31 x 31, found {channels} of {height} x {width}")
    network = _network(_source(weights), preds.device)
    # The network's scaling layer expects [-1, 1] and broadcasts; grey must be repeated before.
    pairs = ((2 * image.float() - 1).expand(-1, 3, -1, -1) for image in (preds, target))
    values = [network(x[None], y[None]).flatten() for x, y in zip(*pairs, strict=True)]
    return torch.cat(values).double()


def backbone_file() -> Path | None:
    """Where torchvision's ImageNet AlexNet lies on this machine (`$TORCH_HOME/hub/checkpoints`), or None."""
    path = _expected_file()
    return path if path.is_file() else None


class LPIPS(MeanOverImages):
    """Mean LPIPS over the images of all updates, see `lpips`; the network is no part of its state.

    Args:
        weights: of the backbone, see `lpips`.
    """

    higher_is_better = False

    def __init__(self, weights: LpipsWeights = "imagenet") -> None:
        super().__init__()
        self.weights = weights

    def update(self, preds: Tensor, target: Tensor) -> None:
        """Add the images of a batch, `(N, C, H, W)` in [0, 1]."""
        self.add(lpips(preds, target, weights=self.weights))


def _expected_file() -> Path:
    return Path(torch.hub.get_dir()) / "checkpoints" / _FILE


def _source(weights: LpipsWeights) -> Path | None:
    """The file of the backbone's weights; None = random ones."""
    if weights == "random":
        return None
    path = _expected_file() if weights == "imagenet" else Path(weights)
    if not path.is_file():
        what = "no ImageNet AlexNet" if weights == "imagenet" else "no backbone weights for LPIPS"
        raise MedrestoreError(f"{what} at {path}; type metrics.lpips_weights=<path of {_FILE}> or =random")
    return path


@functools.lru_cache(maxsize=4)
def _network(source: Path | None, device: torch.device) -> package.LPIPS:
    # The package draws initial weights: without the fork, the first LPIPS would move a training's random numbers.
    with torch.random.fork_rng(devices=[]), warnings.catch_warnings():
        warnings.filterwarnings("ignore", message="The parameter 'pretrained' is deprecated", category=UserWarning)
        warnings.filterwarnings("ignore", message="Arguments other than a weight enum", category=UserWarning)
        import lpips as package  # pulls in torchvision and more: only when LPIPS is asked for

        network = package.LPIPS(net="alex", pnet_rand=True, verbose=False)
    backbone = network.net.state_dict()
    network.net.load_state_dict(_random_weights(backbone) if source is None else _weights_of(source, backbone))
    return network.eval().requires_grad_(False).to(device)


def _random_weights(backbone: dict[str, Tensor]) -> dict[str, Tensor]:
    """He-scaled normal weights and zero biases, the same on every machine."""
    generator = torch.Generator().manual_seed(_SEED)
    return {
        key: torch.randn(old.shape, generator=generator) * math.sqrt(2 / old[0].numel())
        if old.ndim == 4
        else torch.zeros_like(old)
        for key, old in backbone.items()
    }


def _weights_of(path: Path, backbone: dict[str, Tensor]) -> dict[str, Tensor]:
    """The file's tensors under the package's keys: `slice2.3.weight` there is `features.3.weight` in torchvision."""
    try:
        found = torch.load(path, map_location="cpu", weights_only=True)
        chosen = {key: found["features." + key.split(".", 1)[1]] for key in backbone}
    except (KeyError, TypeError, RuntimeError, EOFError, pickle.UnpicklingError) as error:
        raise MedrestoreError(f"{path} is not a state dict of torchvision's AlexNet ({error!r:.80})") from error
    wrong = [key for key, old in backbone.items() if chosen[key].shape != old.shape]
    if wrong:
        raise MedrestoreError(f"{path} is not AlexNet: {wrong[0]} has shape {tuple(chosen[wrong[0]].shape)}")
    return chosen
