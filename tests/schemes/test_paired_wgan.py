"""The scheme does what its paper says: counts, who learns when, what the losses are."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest
import pytorch_lightning as pl
import torch
from conftest import TINY, TINY_WGAN
from torch import nn

from medrestore.callbacks import Diverged, NanGuard
from medrestore.config import build, compose
from medrestore.data.samples import Pair
from medrestore.run_directory import resolved
from medrestore.schemes import PairedRegression, PairedWGAN

WGAN = ["experiment=cervix_deblur", *TINY, *TINY_WGAN]


class Batches(torch.utils.data.Dataset):
    def __init__(self, count: int) -> None:
        self.images = torch.rand(count, 3, 16, 16, generator=torch.Generator().manual_seed(0))

    def __len__(self) -> int:
        return len(self.images)

    def __getitem__(self, index: int) -> Pair:
        target = self.images[index]
        return Pair(target * 0.8 + 0.1, target, torch.ones(1, 16, 16), torch.tensor(index))


class NotFinite(nn.Module):
    def forward(self, restored: torch.Tensor, target: torch.Tensor, mask: torch.Tensor) -> torch.Tensor:
        return restored.sum() * float("nan")


def module(*overrides: str) -> PairedWGAN:
    torch.manual_seed(0)
    config = resolved(compose("train", [*WGAN, "pretrain_epochs=0", *overrides]))
    return build(config.model)


def fit(
    model: pl.LightningModule,
    directory: Path,
    epochs: int = 1,
    count: int = 6,
    callbacks: list | None = None,
    precision: Any = "32-true",
) -> None:
    trainer = pl.Trainer(
        max_epochs=epochs, accelerator="cpu", logger=False, enable_checkpointing=False, enable_progress_bar=False,
        enable_model_summary=False, default_root_dir=directory, callbacks=callbacks or [], limit_val_batches=0,
        log_every_n_steps=1, precision=precision,
    )  # fmt: skip
    loader = torch.utils.data.DataLoader(Batches(count), batch_size=2)
    trainer.fit(model, loader, loader)


def test_critic_steps_updates_of_the_critic_for_each_of_the_generator(tmp_path: Path) -> None:
    model = module("model.critic_steps=5")
    fit(model, tmp_path)
    assert int(model.generator_updates) == 3 and int(model.critic_updates) == 15


def test_half_precision_never_uses_the_weights_before_a_step(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    model = module("model.critic_steps=3", "model.critic_optimizer.lr=0.01")
    original, compared = model.critic.forward, []

    def forward(images: torch.Tensor) -> torch.Tensor:
        scores = original(images)
        if torch.is_autocast_enabled("cpu"):
            with torch.no_grad(), torch.autocast("cpu", torch.bfloat16, cache_enabled=False):
                compared.append(torch.equal(scores.detach(), original(images)))
        return scores

    monkeypatch.setattr(model.critic, "forward", forward)
    fit(model, tmp_path, count=2, precision="bf16-mixed")
    assert len(compared) == 2 * 3 + 1 and all(compared)


def test_the_first_stage_leaves_the_critic_alone(tmp_path: Path) -> None:
    model = module("epochs=3", "pretrain_epochs=2")
    before = [parameter.clone() for parameter in model.critic.parameters()]
    fit(model, tmp_path, epochs=2)
    assert int(model.generator_updates) == 6 and int(model.critic_updates) == 0
    assert all(torch.equal(a, b) for a, b in zip(before, model.critic.parameters(), strict=True))


def test_each_step_moves_one_network_only(tmp_path: Path) -> None:
    model = module("model.critic_steps=2")
    seen: list[tuple[str, bool, bool]] = []
    original = model._step

    def watched(optimizer: Any, loss: torch.Tensor, network: Any) -> None:
        before = {name: value.clone() for name, value in model.named_parameters()}
        original(optimizer, loss, network)
        moved = {name.split(".")[0] for name, value in model.named_parameters() if not torch.equal(value, before[name])}
        gradients = {name.split(".")[0] for name, value in model.named_parameters() if value.grad is not None}
        seen.append((network, moved == {network}, network in gradients))

    model._step = watched  # type: ignore[method-assign]
    fit(model, tmp_path, count=2)
    assert [network for network, _, _ in seen] == ["critic", "critic", "generator"]
    assert all(moved and learned for _, moved, learned in seen)


def test_the_generator_step_computes_no_critic_gradients(tmp_path: Path) -> None:
    model = module("model.critic_steps=1")
    asked: list[bool] = []
    original = model._adversarial_loss
    model._adversarial_loss = lambda restored: (  # type: ignore[method-assign]
        asked.append(any(p.requires_grad for p in model.critic.parameters())),
        original(restored),
    )[1]
    fit(model, tmp_path, count=2)
    assert asked == [False]


def test_losses_by_hand() -> None:
    model = module("model.adversarial_weight=0.5")
    model._record = lambda name, value: None  # type: ignore[method-assign]
    model.critic = nn.Sequential(nn.Flatten(), nn.Linear(12, 1, bias=False))
    model.critic[1].weight.data.fill_(3 / 12**0.5)  # norm 3: the penalty is (3 - 1)^2
    target, restored = torch.full((2, 3, 2, 2), 0.5), torch.full((2, 3, 2, 2), 0.25)
    score = 3 / 12**0.5 * 12
    wasserstein = score * 0.25 - score * 0.5
    assert model._critic_loss(target, restored).item() == pytest.approx(wasserstein + 10 * 4, rel=1e-5)
    batch = Pair(restored, target, torch.ones(2, 1, 2, 2), torch.arange(2))
    model._trainer = pl.Trainer(logger=False, enable_checkpointing=False, accelerator="cpu")
    assert model._generator_loss(restored, batch).item() == pytest.approx(0.25 - 0.5 * score * 0.25, rel=1e-5)


def test_learning_rates_fall_linearly_to_zero(tmp_path: Path) -> None:
    model = module("model.decay_from=0.5")
    rates: list[float] = []

    class Watch(pl.Callback):
        def on_train_batch_end(self, trainer: Any, pl_module: Any, outputs: Any, batch: Any, batch_idx: int) -> None:
            rates.append(trainer.optimizers[0].param_groups[0]["lr"] / 1e-3)

    fit(model, tmp_path, epochs=2, callbacks=[Watch()])
    assert rates == pytest.approx([1, 1, 1, 1, 2 / 3, 1 / 3])


def test_averaging_follows_the_generator(tmp_path: Path) -> None:
    model = module("model.ema_decay=0.5")
    fit(model, tmp_path)
    assert model.averaged is not None and model.exported is model.averaged
    pairs = list(zip(model.generator.parameters(), model.averaged.parameters(), strict=True))
    assert any(not torch.equal(a, b) for a, b in pairs)
    assert not any(b.requires_grad for _, b in pairs)


def test_a_loss_that_is_not_finite_is_skipped_then_told(tmp_path: Path) -> None:
    model = module()
    model._content_loss = lambda restored, batch: (restored.sum() * float("nan"), {})  # type: ignore[method-assign]
    before = [parameter.clone() for parameter in model.generator.parameters()]
    fit(model, tmp_path, count=4)
    assert int(model.generator_updates) == 0 and int(model.skipped_updates) == 2
    assert all(torch.equal(a, b) for a, b in zip(before, model.generator.parameters(), strict=True))
    terms = {"broken": {"weight": 1.0, "term": NotFinite()}}
    regression = PairedRegression(model.generator, terms, lambda parameters: torch.optim.Adam(parameters))
    with pytest.raises(Diverged, match="generator was not finite 10 times in a row"):
        fit(regression, tmp_path, count=24, callbacks=[NanGuard(10)])


def test_it_learns_two_pairs(tmp_path: Path) -> None:
    model = module("model.generator.width=16", "model.generator.depth=2", "model.adversarial_weight=0.001")
    batch = next(iter(torch.utils.data.DataLoader(Batches(2), batch_size=2)))
    before = (model(batch.degraded) - batch.target).square().mean()
    fit(model, tmp_path, epochs=60, count=2)
    after = (model(batch.degraded) - batch.target).square().mean()
    assert after < before / 4  # more than 6 dB
