"""Compiled networks: the same names of weights and the same steps; the gradient penalty stays eager."""

from __future__ import annotations

import functools
from pathlib import Path

import pytest
import torch
from conftest import TINY, TINY_WGAN
from safetensors import safe_open
from torch import nn

from medrestore.config import compose
from medrestore.run import train

GIVEN = ["experiment=cervix_deblur", *TINY, *TINY_WGAN, "epochs=2", "pretrain_epochs=1", "evaluation.run=false",
         "hardware.precision=64", "sampling.crops_per_epoch=4"]  # fmt: skip


def state_of(directory: Path, *overrides: str) -> dict[str, torch.Tensor]:
    train(compose("train", [*GIVEN, *overrides]), directory)
    with safe_open(directory / "generator.safetensors", framework="pt") as file:
        assert not any("_orig_mod" in name for name in file.keys())
    return torch.load(directory / "checkpoints" / "last.ckpt", weights_only=True)["state_dict"]


@pytest.mark.slow  # each graph is traced and differentiated ahead: about 20 s, with a compiler minutes
@pytest.mark.filterwarnings("ignore")  # the compiler's own
def test_compiled_networks_train_as_eager_ones(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """By the backend that differentiates ahead of time as the default one does (and refuses double backward)."""
    eager = state_of(tmp_path / "eager")
    compiled: list[str] = []
    original = nn.Module.compile

    def ahead(self: nn.Module) -> None:
        compiled.append(type(self).__name__)
        original(self, backend="aot_eager")

    monkeypatch.setattr(nn.Module, "compile", functools.wraps(original)(ahead))
    found = state_of(tmp_path / "compiled", "hardware.compile=true")
    assert compiled == ["PlainResidual", "PatchCritic"]
    assert found.keys() == eager.keys() and not any("_orig_mod" in name for name in found)
    for name, value in eager.items():
        torch.testing.assert_close(found[name], value, rtol=1e-6, atol=1e-9)
