"""The scheme does what its paper says: counts, who learns when, what the losses are, what the critic is shown."""

from __future__ import annotations

import math
from pathlib import Path
from typing import Any

import pytest
import pytorch_lightning as pl
import torch
from conftest import TINY
from hydra.errors import InstantiationException
from pytorch_lightning.callbacks import Checkpoint
from torch import Tensor, nn

from medrestore.callbacks import StepSeed
from medrestore.config import build, compose
from medrestore.data.samples import Pair
from medrestore.errors import MedrestoreError
from medrestore.run_directory import resolved
from medrestore.schemes import AbstractRestorer, PairedRegression, PairedWGAN, Pix2Pix

PIX2PIX = [
    "experiment=cervix_deblur",
    "model=pix2pix",
    "loss=pix2pix",
    "network@model.generator=unet_small",
    *[override for override in TINY if not override.startswith("model.generator.depth")],
    "model.generator.depth=3",
    "model.critic.width=4",
    "model.adversarial_weight=1.0",
]


class Batches(torch.utils.data.Dataset):
    def __init__(self, count: int, channels: int = 3) -> None:
        self.images = torch.rand(count, channels, 16, 16, generator=torch.Generator().manual_seed(0))

    def __len__(self) -> int:
        return len(self.images)

    def __getitem__(self, index: int) -> Pair:
        target = self.images[index]
        return Pair(target * 0.8 + 0.1, target, torch.ones(1, 16, 16), torch.tensor(index))


class SaveFirstEpoch(Checkpoint):
    def __init__(self, path: Path) -> None:
        self.path = path

    def on_train_epoch_end(self, trainer: pl.Trainer, pl_module: pl.LightningModule) -> None:
        if trainer.current_epoch == 0:
            trainer.save_checkpoint(self.path)


class ByHand(nn.Module):
    """Scores an image by its mean and its condition by twice its own."""

    def forward(self, images: Tensor, condition: Tensor) -> Tensor:
        return (images.mean(dim=(1, 2, 3)) + 2 * condition.mean(dim=(1, 2, 3)))[:, None, None, None]


def module(*overrides: str) -> Pix2Pix:
    torch.manual_seed(0)
    found = build(resolved(compose("train", [*PIX2PIX, "pretrain_epochs=0", *overrides])).model)
    assert isinstance(found, Pix2Pix)
    return found


def trainer(directory: Path, epochs: int = 1) -> pl.Trainer:
    return pl.Trainer(
        max_epochs=epochs, accelerator="cpu", logger=False, enable_checkpointing=False, enable_progress_bar=False,
        enable_model_summary=False, default_root_dir=directory, limit_val_batches=0, log_every_n_steps=1,
    )  # fmt: skip


def fit(model: AbstractRestorer, directory: Path, epochs: int = 1, count: int = 6, channels: int = 3) -> pl.Trainer:
    loader = torch.utils.data.DataLoader(Batches(count, channels), batch_size=2)
    runner = trainer(directory, epochs)
    runner.fit(model, loader, loader)
    return runner


def softplus(x: float) -> float:
    return math.log(1 + math.exp(x))


def test_published_settings() -> None:
    config = compose("train", ["model=pix2pix", "+loss=pix2pix", "+network@model.generator=unet"])
    model = build(resolved(config).model)
    assert sum(p.numel() for p in model.generator.parameters()) == 54_413_955
    assert sum(p.numel() for p in model.critic.parameters()) == 2_768_705
    assert model.critic_steps == 1 and model.adversarial_weight == 1.0 and model.content.weights == {"l1": 100.0}
    for optimizer in model.configure_optimizers():
        assert isinstance(optimizer, torch.optim.Adam)
        assert optimizer.defaults["lr"] == 2e-4 and tuple(optimizer.defaults["betas"]) == (0.5, 0.999)


def test_losses_by_hand() -> None:
    model = module("loss.l1.weight=100", "model.adversarial_weight=0.5")
    recorded: dict[str, float] = {}
    model._record = lambda name, value: recorded.update({name: float(value)})  # type: ignore[method-assign]
    model._trainer = pl.Trainer(logger=False, enable_checkpointing=False, accelerator="cpu")
    model.critic = ByHand()
    ones = torch.ones(2, 3, 2, 2)
    batch = Pair(0.1 * ones, 0.6 * ones, torch.ones(2, 1, 2, 2), torch.arange(2))
    restored = 0.4 * ones
    real, fake = 0.6 + 0.2, 0.4 + 0.2  # beside the degraded image, not beside the target
    assert model._critic_loss(restored, batch).item() == pytest.approx((softplus(-real) + softplus(fake)) / 2, rel=1e-6)
    loss = model._generator_loss(restored, batch).item()
    assert loss == pytest.approx(100 * 0.2 + 0.5 * softplus(-fake), rel=1e-6)
    assert recorded["generator/adversarial"] == pytest.approx(softplus(-fake), rel=1e-6)
    assert recorded["generator/l1"] == pytest.approx(0.2, rel=1e-6) and recorded["generator/loss"] == loss


def test_one_critic_step_then_one_generator_step_each_on_its_own_network(tmp_path: Path) -> None:
    model = module()
    seen: list[tuple[str, bool]] = []
    original = model._step

    def watched(optimizer: Any, loss: Tensor, network: Any) -> None:
        before = {name: value.clone() for name, value in model.named_parameters()}
        original(optimizer, loss, network)
        moved = {name.split(".")[0] for name, value in model.named_parameters() if not torch.equal(value, before[name])}
        seen.append((network, moved == {network}))

    model._step = watched  # type: ignore[method-assign]
    fit(model, tmp_path, count=4)
    assert seen == [("critic", True), ("generator", True)] * 2


def test_critic_steps_stages_and_averaging(tmp_path: Path) -> None:
    model = module("epochs=3", "pretrain_epochs=2", "model.critic_steps=3", "model.ema_decay=0.5")
    before = [parameter.clone() for parameter in model.critic.parameters()]
    fit(model, tmp_path, epochs=2)
    assert int(model.generator_updates) == 6 and int(model.critic_updates) == 0
    assert all(torch.equal(a, b) for a, b in zip(before, model.critic.parameters(), strict=True))
    model = module("epochs=3", "pretrain_epochs=2", "model.critic_steps=3", "model.ema_decay=0.5")
    fit(model, tmp_path, epochs=3)
    assert int(model.generator_updates) == 9 and int(model.critic_updates) == 9
    assert model.averaged is not None and model.exported is model.averaged
    statistics = dict(model.generator.named_buffers())
    assert statistics and all(torch.equal(value, statistics[name]) for name, value in model.averaged.named_buffers())


def test_grey_images_train(tmp_path: Path) -> None:
    model = module("model.generator.channels=1")
    fit(model, tmp_path, count=2, channels=1)
    assert int(model.generator_updates) == 1 and int(model.critic_updates) == 1


def test_it_learns_two_pairs(tmp_path: Path) -> None:
    model = module("model.generator.width=16", "model.generator_optimizer.lr=2e-3", "model.decay_from=0.5")
    batch = next(iter(torch.utils.data.DataLoader(Batches(2), batch_size=2)))
    before = (batch.degraded - batch.target).square().mean()
    fit(model, tmp_path, epochs=120, count=2)
    after = (model.eval()(batch.degraded) - batch.target).square().mean()
    assert after < before / 4  # more than 6 dB above the input, with the statistics of the training


WGAN = [
    "experiment=cervix_deblur", *TINY, "model.critic.width=4", "model.critic_steps=1", "model.adversarial_weight=1.0",
    "pretrain_epochs=0",
]  # fmt: skip


@pytest.mark.parametrize("scheme", ["wgan", "pix2pix"])
def test_automatic_weight_is_measured_when_the_adversary_starts(scheme: str, tmp_path: Path) -> None:
    base = WGAN if scheme == "wgan" else PIX2PIX
    overrides = ["loss.l1.weight=auto", "+loss.l1.auto_steps=4", "+loss.l1.auto_ratio=0.5", "epochs=5"]
    torch.manual_seed(0)
    model = build(resolved(compose("train", [*base, *overrides, "pretrain_epochs=1"])).model)
    seen: list[tuple[int, float, float]] = []
    original = model.content.observe

    def watched(values: dict[str, Tensor], adversarial: Tensor) -> None:
        seen.append((model.current_epoch, float(values["l1"]), float(adversarial.detach().abs())))
        original(values, adversarial)

    model.content.observe = watched
    runner = fit(model, tmp_path, epochs=4)  # three steps an epoch, the first epoch without an adversary
    assert [epoch for epoch, _, _ in seen] == [1] * 3 + [2] * 3 + [3] * 3
    expected = 0.5 * sum(a for _, _, a in seen[:4]) / sum(v for _, v, _ in seen[:4])
    assert model.content.frozen()["l1"].item() == pytest.approx(expected, rel=1e-5)
    assert float(runner.callback_metrics["train/generator/weight_l1"]) == pytest.approx(expected, rel=1e-5)
    assert torch.isfinite(model.state_dict()["content.measured"]).all()


@pytest.mark.parametrize("scheme", ["wgan", "pix2pix"])
def test_resume_in_the_middle_of_the_measurement_is_exact(scheme: str, tmp_path: Path) -> None:
    base = WGAN if scheme == "wgan" else [*PIX2PIX, "model.generator.dropout=0.5", "model.generator.depth=6"]
    overrides = ["loss.l1.weight=auto", "+loss.l1.auto_steps=4", "model.ema_decay=0.9", "pretrain_epochs=0"]
    saved = tmp_path / "first.ckpt"

    def trained(resume: Path | None) -> AbstractRestorer:
        torch.manual_seed(0 if resume is None else 1)
        model = build(resolved(compose("train", [*base, *overrides])).model)
        runner = pl.Trainer(
            max_epochs=3, accelerator="cpu", logger=False, enable_progress_bar=False, enable_model_summary=False,
            default_root_dir=tmp_path, limit_val_batches=0, callbacks=[StepSeed(0), SaveFirstEpoch(saved)],
            log_every_n_steps=1,
        )  # fmt: skip
        loader = torch.utils.data.DataLoader(Batches(6), batch_size=2)
        runner.fit(model, loader, loader, ckpt_path=None if resume is None else str(resume), weights_only=True)
        return model

    unbroken = trained(None).state_dict()
    state = torch.load(saved, weights_only=True)["state_dict"]
    assert state["content.measured"].isnan().all() and int(state["content.steps"]) == 3  # of 4
    resumed = trained(saved).state_dict()
    assert unbroken.keys() == resumed.keys() and not unbroken["content.measured"].isnan().any()
    assert not [name for name, value in unbroken.items() if not torch.equal(value, resumed[name])]


def test_automatic_weight_needs_an_adversary() -> None:
    for overrides in ([*WGAN, "model.adversarial_weight=0"], [*PIX2PIX, "model.adversarial_weight=0"]):
        with pytest.raises((MedrestoreError, InstantiationException), match=r"type loss\.l1\.weight=100"):
            build(resolved(compose("train", [*overrides, "loss.l1.weight=auto"])).model)
    with pytest.raises(MedrestoreError, match=r"type loss\.l1\.weight=100"):
        content = {"l1": {"weight": "auto", "term": nn.L1Loss()}}
        PairedRegression(nn.Identity(), content, lambda parameters: torch.optim.Adam(parameters))


def test_batch_norm_critic_learns_under_the_penalty(tmp_path: Path) -> None:
    """The paper-literal critic of S3: kept with a warning, so it has to run and to be of use."""
    torch.manual_seed(0)
    config = resolved(compose("train", [*WGAN, "+model.critic.norm=batch", "model.critic_optimizer.lr=1e-2"]))
    model: PairedWGAN = build(config.model)
    assert any(isinstance(layer, nn.BatchNorm2d) for layer in model.critic.modules())
    losses: list[float] = []
    original = model._critic_loss

    def watched(target: Tensor, restored: Tensor) -> Tensor:
        loss = original(target, restored)
        losses.append(float(loss.detach()))
        return loss

    model._critic_loss = watched  # type: ignore[method-assign]
    model.critic_steps = 10
    fit(model, tmp_path, epochs=3)
    assert all(math.isfinite(loss) for loss in losses) and int(model.critic_updates) == 90
    assert sum(losses[-10:]) < sum(losses[:10]) - 1
    assert int(model.skipped_updates) == 0
