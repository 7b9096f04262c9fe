"""Weights of torchvision's backbones from a file; nothing is ever downloaded."""

from __future__ import annotations

from pathlib import Path

import torch
from torch import Tensor

from medrestore.errors import MedrestoreError

# The names under which torchvision keeps its first ImageNet weights.
IMAGENET_FILES = {
    "resnet18": "resnet18-f37072fd.pth",
    "resnet50": "resnet50-0676ba61.pth",
    "mobilenet_v3_large": "mobilenet_v3_large-8738ca79.pth",
}


def stored_weights(backbone: str, weights: str) -> dict[str, Tensor]:
    """Read the state dict of a backbone.

    Args:
        backbone: a key of `IMAGENET_FILES`.
        weights: `imagenet` for the file in torchvision's cache, or a path.

    Raises:
        MedrestoreError: the file is not there, or is no state dict.
    """
    path = Path(weights).expanduser()
    if weights == "imagenet":
        path = Path(torch.hub.get_dir()) / "checkpoints" / IMAGENET_FILES[backbone]
    remedy = "type model.weights=<path of that file> or model.weights=random"
    if not path.is_file():
        raise MedrestoreError(f"no {backbone} weights: looked for {path} and download nothing; {remedy}")
    try:
        stored = torch.load(path, map_location="cpu", weights_only=True)
    except Exception as error:  # a damaged file fails in as many ways as it has bytes
        reason = str(error).splitlines()[0] if str(error) else type(error).__name__
        raise MedrestoreError(f"{path} cannot be read as {backbone} weights ({reason}); {remedy}") from None
    if not isinstance(stored, dict) or not all(isinstance(value, Tensor) for value in stored.values()):
        raise MedrestoreError(f"{path} holds no {backbone} weights; {remedy}")
    return stored


def load_backbone(module: torch.nn.Module, stored: dict[str, Tensor], backbone: str, weights: str) -> None:
    """Fill a backbone; entries it does not have (the classifier) are not looked at.

    Raises:
        MedrestoreError: an entry it has is missing or of another shape.
    """
    own = {name for name in module.state_dict() if not name.endswith("num_batches_tracked")}
    missing = sorted(own - set(stored))
    shapes = [name for name in own & set(stored) if module.state_dict()[name].shape != stored[name].shape]
    if missing or shapes:
        raise MedrestoreError(
            f"model.weights={weights} holds no {backbone}: {(missing + shapes)[0]} is missing or of another shape; "
            "type model.weights=random, or the path of the right file"
        )
    module.load_state_dict({name: stored[name] for name in own}, strict=False)
