"""float16: a scale for each optimiser, whatever the number of critic steps. The scaler runs on the CPU as well."""

from __future__ import annotations

import pytest
import torch
from conftest import TINY, TINY_WGAN
from torch import Tensor, nn

from medrestore.config import build, compose
from medrestore.data.samples import Pair
from medrestore.run_directory import resolved
from medrestore.schemes import PairedWGAN
from medrestore.schemes.loss_scales import LossScales


class Batches(torch.utils.data.Dataset):
    def __len__(self) -> int:
        return 8

    def __getitem__(self, index: int) -> Pair:
        target = torch.rand(3, 16, 16, generator=torch.Generator().manual_seed(index))
        return Pair(target * 0.8 + 0.1, target, torch.ones(1, 16, 16), torch.tensor(index))


def trained(scales: LossScales | None, directory, overflows: int = 0, *overrides: str) -> PairedWGAN:
    """Four batches; the first critic losses have gradients of infinity where they are scaled."""
    import pytorch_lightning as pl

    torch.manual_seed(0)
    config = compose("train", ["experiment=cervix_deblur", *TINY, *TINY_WGAN, "pretrain_epochs=0", *overrides])
    model = build(resolved(config).model)
    assert isinstance(model, PairedWGAN)
    if scales is not None:
        model.loss_scales = scales
    original, left = model._critic_loss, [overflows]

    def loss(target: Tensor, restored: Tensor) -> Tensor:
        found = original(target, restored)
        if left[0]:
            left[0] -= 1
            found = found + _Steep.apply(next(model.critic.parameters()).sum())
        return found

    model._critic_loss = loss  # type: ignore[method-assign]
    trainer = pl.Trainer(
        max_epochs=1, accelerator="cpu", logger=False, enable_checkpointing=False, enable_progress_bar=False,
        enable_model_summary=False, default_root_dir=directory, limit_val_batches=0, log_every_n_steps=1,
    )  # fmt: skip
    loader = torch.utils.data.DataLoader(Batches(), batch_size=2)
    trainer.fit(model, loader, loader)
    return model


class _Steep(torch.autograd.Function):
    """0, with a gradient that overflows."""

    @staticmethod
    def forward(ctx, value: Tensor) -> Tensor:
        return torch.zeros_like(value)

    @staticmethod
    def backward(ctx, gradient: Tensor) -> Tensor:
        return torch.full_like(gradient, float("inf"))


def test_scaling_by_powers_of_two_changes_no_weight_and_clips_at_the_true_size(tmp_path) -> None:
    plain = trained(None, tmp_path, 0, "+model.gradient_clip=0.5")
    scaled = trained(LossScales("cpu"), tmp_path, 0, "+model.gradient_clip=0.5")
    for ours, theirs in zip(plain.parameters(), scaled.parameters(), strict=True):
        torch.testing.assert_close(ours, theirs, rtol=1e-4, atol=1e-6)


def test_each_scale_counts_the_steps_of_its_own_optimiser(tmp_path) -> None:
    model = trained(LossScales("cpu", start=64.0, patience=4), tmp_path, 0, "model.critic_steps=3")
    assert (int(model.generator_updates), int(model.critic_updates)) == (4, 12)
    assert model.loss_scales.scalers["generator"].get_scale() == 128  # four steps
    assert model.loss_scales.scalers["critic"].get_scale() == 512  # twelve


def test_an_overflow_lowers_one_scale_and_is_no_failure(tmp_path) -> None:
    model = trained(LossScales("cpu", start=64.0), tmp_path, overflows=3)
    assert model.loss_scales.scalers["critic"].get_scale() == 8 and int(model.critic_updates) == 2 * 4 - 3
    assert model.loss_scales.scalers["generator"].get_scale() == 64 and int(model.generator_updates) == 4
    assert int(model.skipped_updates) == 0


def test_an_overflow_at_the_least_scale_counts_as_one_that_is_not_finite(tmp_path) -> None:
    model = trained(LossScales("cpu", start=1.0), tmp_path, overflows=2)
    assert int(model.skipped_updates) == 2 and int(model.critic_updates) == 2 * 4 - 2


def test_scales_are_in_the_checkpoint(tmp_path) -> None:
    model = trained(LossScales("cpu", start=64.0, patience=2), tmp_path)
    checkpoint: dict = {}
    model.on_save_checkpoint(checkpoint)
    torch.save(checkpoint, tmp_path / "scales.ckpt")
    other = LossScales("cpu", start=64.0, patience=2)
    other.load_state_dict(torch.load(tmp_path / "scales.ckpt", weights_only=True)["loss_scales"])
    # the scale of a scaler that has not scaled yet is its first one
    parameter = nn.Parameter(torch.ones(()))
    assert float(other.scaled(parameter, "critic").detach()) == model.loss_scales.scalers["critic"].get_scale()


def test_without_a_device_nothing_is_scaled() -> None:
    scales, loss = LossScales(), torch.ones(())
    assert scales.scaled(loss, "critic") is loss and scales.lower("critic") is False and scales.state_dict() == {}


@pytest.mark.parametrize("precision", ["bf16-mixed", "32-true"])
def test_the_penalty_is_computed_in_single_precision(precision: str, monkeypatch: pytest.MonkeyPatch, tmp_path) -> None:
    import medrestore.schemes.paired_wgan as scheme

    seen: list[torch.dtype] = []
    original = scheme.gradient_penalty

    def watched(critic, real: Tensor, fake: Tensor) -> Tensor:
        hooks = critic.body[0].register_forward_hook(lambda module, images, scores: seen.append(scores.dtype))
        penalty = original(critic, real, fake)
        hooks.remove()
        return penalty

    monkeypatch.setattr(scheme, "gradient_penalty", watched)
    with torch.autocast("cpu", torch.bfloat16, enabled=precision == "bf16-mixed"):
        torch.manual_seed(0)
        config = compose("train", ["experiment=cervix_deblur", *TINY, *TINY_WGAN])
        model = build(resolved(config).model)
        model._record = lambda name, value: None
        fake = torch.rand(2, 3, 16, 16).to(torch.bfloat16 if precision == "bf16-mixed" else torch.float32)
        loss = model._critic_loss(torch.rand(2, 3, 16, 16), fake)
    assert set(seen) == {torch.float32} and loss.isfinite()
