"""The scheme does what paper S2 says: one step against an independent computation, who learns from what, every mode."""

from __future__ import annotations

import copy
import logging
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import pytest
import pytorch_lightning as pl
import torch
import torch.nn.functional as F
from pytorch_lightning.callbacks import Checkpoint
from torch import Tensor, nn

from medrestore.callbacks import StepSeed
from medrestore.config import build, compose
from medrestore.data.samples import Unpaired
from medrestore.errors import MedrestoreError
from medrestore.networks import FeatureCritic, PatchCritic, PlainResidual
from medrestore.run_directory import resolved
from medrestore.schemes import CycleFeature
from medrestore.shared_batch import sharing

SIDE = 32


class Batches(torch.utils.data.Dataset):
    """Sharp images, and others behind a veil, each seen through its own field of view."""

    def __init__(self, count: int) -> None:
        random = torch.Generator().manual_seed(0)
        coarse = torch.rand(2 * count, 3, 4, 4, generator=random)
        self.images = F.interpolate(coarse, size=(SIDE, SIDE), mode="bilinear")
        self.count = count

    def __len__(self) -> int:
        return self.count

    def __getitem__(self, index: int) -> Unpaired:
        veiled, sharp = 0.5 * self.images[self.count + index] + 0.4, self.images[index]
        left, right = torch.ones(2, 1, SIDE, SIDE)
        left[..., SIDE - 4 - 4 * (index % 2) :] = 0
        right[..., :4, :] = 0
        # one camera writes grey where it sees nothing, the other black
        return Unpaired(veiled * left + 0.1 * (1 - left), sharp * right, left, right, torch.tensor(index))


def generator() -> nn.Module:
    """Small, and awake: a generator that is still the identity hides what is missing."""
    network = PlainResidual(3, width=4, depth=1)
    nn.init.normal_(network.last.weight, 0, 0.05)
    return network


def module(seed: int = 0, **options: Any) -> CycleFeature:
    torch.manual_seed(seed)
    critics = [FeatureCritic(3, 4, norm="group") for _ in range(2)]
    for critic in critics:
        for parameter in critic.parameters():  # scores far enough from 0 to tell the terms apart
            nn.init.normal_(parameter, 0, 0.2)
    return CycleFeature(
        generator(), generator(), *critics,
        generator_optimizer=lambda parameters: torch.optim.Adam(parameters, 1e-3),
        critic_optimizer=lambda parameters: torch.optim.Adam(parameters, 1e-3),
        **options,
    )  # fmt: skip


def fit(
    model: CycleFeature,
    directory: Path,
    epochs: int = 1,
    count: int = 2,
    callbacks: list | None = None,
    resume: Path | None = None,
    precision: Any = "32-true",
) -> pl.Trainer:
    runner = pl.Trainer(
        max_epochs=epochs, accelerator="cpu", logger=False, enable_progress_bar=False, enable_model_summary=False,
        enable_checkpointing=any(isinstance(callback, Checkpoint) for callback in callbacks or []),
        default_root_dir=directory, callbacks=callbacks or [], limit_val_batches=0, log_every_n_steps=1,
        precision=precision,
    )  # fmt: skip
    loader = torch.utils.data.DataLoader(Batches(count), batch_size=2)
    runner.fit(model, loader, loader, ckpt_path=None if resume is None else str(resume), weights_only=True)
    return runner


def batch_of(count: int = 2) -> Unpaired:
    return next(iter(torch.utils.data.DataLoader(Batches(count), batch_size=count)))


def recorded(model: CycleFeature) -> dict[str, float]:
    """What one call of a loss records; for models without a trainer."""
    values: dict[str, float] = {}
    model._record = lambda name, value: values.update({name: float(value.detach())})  # type: ignore[method-assign]
    return values


def test_published_settings() -> None:
    config = resolved(compose("train", ["model=cycle_feature", "+network@model.generator=cyclegan"]))
    model = build(config.model)
    for network in (model.generator, model.degrader):
        assert sum(p.numel() for p in network.parameters()) == 11_378_179
        assert not network.global_residual
        assert not any(isinstance(layer, nn.Dropout) for layer in network.modules())
    for critic in (model.critic, model.degraded_critic):
        assert sum(p.numel() for p in critic.parameters()) == 1_555_585
    assert model.generator is not model.degrader and model.critic is not model.degraded_critic
    weights = (model.adversarial_weight, model.feature_weight, model.image_weight, model.identity_weight)
    assert weights == (1, 10, 10, 10) and model.critic_steps == 1 and model.past_restored.size == 50
    assert model.compares_features and not model.compares_images and not model.head_features
    generators, critics = model.configure_optimizers()
    for optimizer, networks in (
        (generators, (model.generator, model.degrader)),
        (critics, (model.critic, model.degraded_critic)),
    ):
        ours = {id(p) for group in optimizer.param_groups for p in group["params"]}
        assert ours == {id(p) for network in networks for p in network.parameters()}
        assert optimizer.defaults["lr"] == 2e-4 and tuple(optimizer.defaults["betas"]) == (0.5, 0.999)


def straight(model: CycleFeature, batch: Unpaired, cycle: str, head: bool) -> dict[str, Tensor]:
    """One step of `model`, which it moves, written out sample by sample from the paper's formulas."""
    enhance, degrade, sharp_critic, degraded_critic = (
        model.generator, model.degrader, model.critic, model.degraded_critic
    )  # fmt: skip
    generators = torch.optim.Adam([*enhance.parameters(), *degrade.parameters()], 1e-3)
    critics = torch.optim.Adam([*sharp_critic.parameters(), *degraded_critic.parameters()], 1e-3)
    x, y, seen_x, seen_y = batch.source, batch.reference, batch.source_mask, batch.reference_mask
    shared = seen_x * seen_y

    def inside(new: Tensor, old: Tensor, mask: Tensor) -> Tensor:
        return mask * new + (1 - mask) * old

    def score(critic: nn.Module, images: Tensor, mask: Tensor, goal: float) -> Tensor:
        cells = F.avg_pool2d(mask, 16).flatten().tolist()  # 32 pixels become 2 x 2 scores
        scores = critic(images * mask).flatten()
        return sum((s - goal) ** 2 for s, c in zip(scores, cells, strict=True) if c > 0.5) / sum(c > 0.5 for c in cells)

    def mean(difference: Tensor, mask: Tensor) -> Tensor:
        return (difference.abs() * mask).sum() / (mask.sum() * difference.shape[1])

    def features(critic: Any, again: Tensor, image: Tensor, mask: Tensor) -> Tensor:
        layers = 5 if head else 4
        ours, theirs = critic.features(again * mask)[:layers], critic.features(image * mask)[:layers]
        cells = [F.avg_pool2d(mask, side) for side in (2, 4, 8, 16, 16)]
        return sum(mean(a - b.detach(), c) for a, b, c in zip(ours, theirs, cells, strict=False)) / layers

    y_hat, x_hat = inside(enhance(x), x, seen_x), inside(degrade(y), y, seen_y)
    losses: dict[str, Tensor] = {
        "critic/sharp": (score(sharp_critic, y, shared, 1) + score(sharp_critic, y_hat.detach(), shared, 0)) / 2,
        "critic/degraded": (score(degraded_critic, x, shared, 1) + score(degraded_critic, x_hat.detach(), shared, 0))
        / 2,
    }
    critics.zero_grad()
    (losses["critic/sharp"] + losses["critic/degraded"]).backward()
    critics.step()

    x_again, y_again = inside(degrade(y_hat), x, seen_x), inside(enhance(x_hat), y, seen_y)
    losses["generator/adversarial"] = score(sharp_critic, y_hat, shared, 1) + score(degraded_critic, x_hat, shared, 1)
    total = losses["generator/adversarial"]
    if cycle in ("feature", "both"):
        losses["generator/feature_cycle"] = features(degraded_critic, x_again, x, seen_x) + features(
            sharp_critic, y_again, y, seen_y
        )
        total = total + 10 * losses["generator/feature_cycle"]
    if cycle in ("image", "both"):
        losses["generator/image_cycle"] = mean(x_again - x, seen_x) + mean(y_again - y, seen_y)
        total = total + 10 * losses["generator/image_cycle"]
    losses["generator/identity"] = mean(enhance(y) - y, seen_y) + mean(degrade(x) - x, seen_x)
    losses["generator/loss"] = total + 10 * losses["generator/identity"]
    generators.zero_grad()
    losses["generator/loss"].backward()
    generators.step()
    return losses


@pytest.mark.parametrize(("cycle", "head"), [("feature", False), ("feature", True), ("image", False), ("both", False),
                                             ("none", False)])  # fmt: skip
def test_one_step_is_the_papers(cycle: Any, head: bool, tmp_path: Path) -> None:
    model = module(cycle=cycle, head_features=head)
    other = copy.deepcopy(model)
    runner = fit(model, tmp_path)
    expected = straight(other, batch_of(), cycle, head)
    found = {name.removeprefix("train/"): value for name, value in runner.callback_metrics.items()}
    told = {name for name in found if name.startswith(("critic/", "generator/")) and "norm" not in name}
    assert told == {*expected, "critic/distance_sharp", "critic/distance_degraded"}
    for name, value in expected.items():
        torch.testing.assert_close(found[name], value.detach(), rtol=1e-5, atol=1e-6)
    assert int(model.generator_updates) == int(model.critic_updates) == 1
    for (name, ours), theirs in zip(model.named_parameters(), other.parameters(), strict=True):
        # Adam's first step is the sign of the gradient: one that is 0 but for rounding may go either way
        differs = (ours - theirs).abs() > 1e-5
        assert differs.float().mean() < 0.02, name
    assert any(name.startswith("features/sharp_4") for name in found) == (cycle in ("feature", "both"))


def test_each_step_moves_its_own_two_networks(tmp_path: Path) -> None:
    model = module(critic_steps=2)
    seen: list[tuple[str, set[str], set[str]]] = []
    original = model._step

    def watched(optimizer: Any, loss: Tensor, network: Any) -> None:
        for parameter in model.parameters():
            parameter.grad = None
        before = {name: value.clone() for name, value in model.named_parameters()}
        original(optimizer, loss, network)
        moved = {name.split(".")[0] for name, value in model.named_parameters() if not torch.equal(value, before[name])}
        graded = {name.split(".")[0] for name, value in model.named_parameters() if value.grad is not None}
        seen.append((network, moved, graded))

    model._step = watched  # type: ignore[method-assign]
    fit(model, tmp_path)
    critics, generators = {"critic", "degraded_critic"}, {"generator", "degrader"}
    assert seen == [("critic", critics, critics)] * 2 + [("generator", generators, generators)]


def test_features_are_of_the_current_critics_frozen_and_their_targets_fixed(tmp_path: Path) -> None:
    model = module()
    asked: list[tuple[bool, bool]] = []
    weights: list[Tensor] = []

    def watch(critic: Any) -> None:
        original = critic.features

        def features(images: Tensor) -> list[Tensor]:
            maps = original(images)
            if not any(p.requires_grad for p in critic.parameters()):  # in the generators' step
                asked.append((images.requires_grad, maps[0].requires_grad))
                weights.append(critic.head.weight.detach().clone())
            return maps

        critic.features = features

    watch(model.critic)
    watch(model.degraded_critic)
    before = [critic.head.weight.detach().clone() for critic in (model.critic, model.degraded_critic)]
    fit(model, tmp_path)
    # both adversarial scores; then for each critic the real image without a graph and the returned one with it
    assert asked == [(True, True), (True, True), (False, False), (True, True), (False, False), (True, True)]
    after = [model.critic.head.weight, model.degraded_critic.head.weight]
    assert not any(torch.equal(a, b) for a, b in zip(before, after, strict=True))
    assert torch.equal(weights[0], after[0]) and torch.equal(weights[-1], after[0])  # updated before, not since


def test_the_feature_cycle_reaches_both_generators_through_the_critics() -> None:
    model = module(adversarial_weight=0.0, identity_weight=0.0)
    recorded(model)
    model.critic.requires_grad_(False)
    model.degraded_critic.requires_grad_(False)
    batch = batch_of()
    for which in ("sharp", "degraded"):
        model.zero_grad()
        restored = model._restore(batch.source, batch.source_mask)
        degraded = model._degrade(batch.reference, batch.reference_mask)
        if which == "sharp":
            again, image, mask = model._restore(degraded, batch.reference_mask), batch.reference, batch.reference_mask
        else:
            again, image, mask = model._degrade(restored, batch.source_mask), batch.source, batch.source_mask
        model._feature_distance(which, again, image, mask).backward()
        for network in (model.generator, model.degrader):
            assert all(p.grad is not None and p.grad.any() for p in network.parameters())


def test_identity_generators_have_no_cycle_and_no_identity_loss() -> None:
    model = module(cycle="both")
    values = recorded(model)
    model.generator, model.degrader = nn.Identity(), nn.Identity()
    batch = batch_of()
    model._generator_loss(batch, batch.source, batch.reference)
    assert values["generator/feature_cycle"] == values["generator/image_cycle"] == values["generator/identity"] == 0
    assert values["generator/loss"] == pytest.approx(values["generator/adversarial"]) and values["generator/loss"] > 0


def test_weights_and_modes_enter_once() -> None:
    values = recorded(model := module(cycle="both", adversarial_weight=2.0, feature_weight=3.0, image_weight=5.0,
                                      identity_weight=7.0))  # fmt: skip
    batch = batch_of()
    restored = model._restore(batch.source, batch.source_mask)
    loss = model._generator_loss(batch, restored, model._degrade(batch.reference, batch.reference_mask))
    names = ("adversarial", "feature_cycle", "image_cycle", "identity")
    expected = sum(w * values[f"generator/{name}"] for w, name in zip((2, 3, 5, 7), names, strict=True))
    assert loss.item() == pytest.approx(expected, rel=1e-5)
    values = recorded(model := module(cycle="none", identity_weight=0.0))
    model._generator_loss(batch, restored, restored)
    assert set(values) == {"generator/adversarial", "generator/loss"}


class Painting(nn.Module):
    """Ignores its input: shows which of its pixels the losses see."""

    def __init__(self) -> None:
        super().__init__()
        self.pixels = nn.Parameter(torch.rand(1, 3, SIDE, SIDE))

    def forward(self, images: Tensor) -> Tensor:
        return self.pixels.expand_as(images)


@pytest.mark.parametrize("use_masks", [True, False])
def test_nothing_outside_the_field_of_view_is_painted_or_learned(use_masks: bool, tmp_path: Path) -> None:
    model = module(use_masks=use_masks, cycle="both")
    model.generator = Painting()
    model._record = lambda name, value: None  # type: ignore[method-assign]
    seen: list[Tensor] = []
    original = model._generator_loss

    def watched(batch: Unpaired, restored: Tensor, degraded: Tensor) -> Tensor:
        seen.append(restored.detach())
        return original(batch, restored, degraded)

    model._generator_loss = watched  # type: ignore[method-assign]
    fit(model, tmp_path)
    batch = batch_of()
    outside_both = (batch.source_mask[0] == 0) & (batch.source_mask[1] == 0) & (batch.reference_mask[0] == 0)
    gradient = model.generator.pixels.grad
    assert gradient is not None and bool(outside_both.any())
    outside = gradient[:, :, outside_both[0]]
    assert (outside == 0).all() if use_masks else (outside != 0).any()
    painted = seen[0] != batch.source
    assert bool((painted & (batch.source_mask == 0)).any()) != use_masks


def test_a_batch_without_a_field_of_view_is_survived() -> None:
    model = module(cycle="both")
    values = recorded(model)
    batch = batch_of()
    batch = batch._replace(source_mask=0 * batch.source_mask)
    loss = model._generator_loss(batch, batch.source, batch.reference)
    assert loss.isfinite() and values["generator/adversarial"] > 0


@pytest.mark.parametrize("precision", ["bf16-mixed", "32-true"])
@pytest.mark.parametrize("cycle", ["feature", "image", "both", "none"])
def test_every_mode_runs_in_both_precisions(cycle: Any, precision: str, tmp_path: Path) -> None:
    model = module(cycle=cycle, ema_decay=0.9)
    before = {name: p.detach().clone() for name, p in model.named_parameters()}
    runner = fit(model, tmp_path, epochs=2, precision=precision)
    assert int(model.generator_updates) == int(model.critic_updates) == 2 and int(model.skipped_updates) == 0
    assert all(value.isfinite() for value in runner.callback_metrics.values())
    still = {name.split(".")[0] for name, p in model.named_parameters() if torch.equal(p, before[name])}
    assert not still
    assert model.exported is model.averaged is not model.generator


def test_warm_up_teaches_both_generators_to_return_their_input(tmp_path: Path) -> None:
    model = module(pretrain_epochs=20, identity_weight=0.0)
    batch = batch_of()
    critics = [p.detach().clone() for p in (*model.critic.parameters(), *model.degraded_critic.parameters())]

    def errors() -> list[float]:
        networks, images = (model.generator, model.degrader), (batch.source, batch.reference)
        with torch.no_grad():
            return [float((network(image) - image).abs().mean()) for network in networks for image in images]

    before = errors()
    fit(model, tmp_path, epochs=20)
    assert int(model.generator_updates) == 20 and int(model.critic_updates) == 0
    assert all(after < 0.8 * first for after, first in zip(errors(), before, strict=True))
    now = (*model.critic.parameters(), *model.degraded_critic.parameters())
    assert all(torch.equal(a, b) for a, b in zip(critics, now, strict=True))
    assert model.past_restored.filled == 0


class Shrink(pl.Callback):
    """Scales a critic to near 0 after the first epoch."""

    def on_train_epoch_start(self, trainer: pl.Trainer, pl_module: Any) -> None:
        if trainer.current_epoch == 1:
            with torch.no_grad():
                for parameter in pl_module.degraded_critic.parameters():
                    parameter.mul_(1e-4)


@pytest.mark.parametrize("shrink", [True, False])
def test_a_warning_when_the_constraint_collapses(
    shrink: bool, tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    model = module()
    with caplog.at_level(logging.WARNING, "medrestore"):
        runner = fit(model, tmp_path, epochs=2, callbacks=[Shrink()] if shrink else [])
    told = [record.getMessage() for record in caplog.records if "collapsed" in record.getMessage()]
    assert len(told) == shrink
    if shrink:
        assert "critic of degraded images" in told[0] and "layer 1 to " in told[0] and "model.cycle=both" in told[0]
    first, last = model.degraded_norms.first[0], runner.callback_metrics["train/features/degraded_1"]
    assert bool(last < 0.1 * first) == shrink
    assert "train/features/sharp_4" in runner.callback_metrics
    assert "train/features/sharp_5" not in runner.callback_metrics  # the scores are not compared


def test_logged_norms_are_those_of_the_real_images_inside_the_field_of_view() -> None:
    model = module()
    values = recorded(model)
    batch = batch_of()
    model._feature_cycle_loss(batch, batch.source, batch.reference)
    for layer, (features, side) in enumerate(
        zip(model.critic.features(batch.reference)[:4], (2, 4, 8, 16), strict=True)
    ):
        cells = F.avg_pool2d(batch.reference_mask, side).expand_as(features)
        expected = float((features.detach().abs() * cells).sum() / cells.sum())
        assert values[f"features/sharp_{layer + 1}"] == pytest.approx(expected, rel=1e-5)


class SaveFirstEpoch(Checkpoint):
    def __init__(self, path: Path) -> None:
        self.path = path

    def on_train_epoch_end(self, trainer: pl.Trainer, pl_module: pl.LightningModule) -> None:
        if trainer.current_epoch == 0:
            trainer.save_checkpoint(self.path)


def test_resume_is_exact_with_full_pools(tmp_path: Path) -> None:
    saved = tmp_path / "first.ckpt"
    options: dict[str, Any] = {"history": 3, "ema_decay": 0.9, "cycle": "both"}

    def trained(seed: int, resume: Path | None) -> dict[str, Any]:
        model = module(seed, **options)
        fit(model, tmp_path, 3, 6, [StepSeed(0), SaveFirstEpoch(saved)], resume)
        return model.state_dict()

    unbroken = trained(0, None)
    state = torch.load(saved, weights_only=True)["state_dict"]
    assert state["past_restored._extra_state"].shape == (3, 4, SIDE, SIDE)  # its images and their masks
    assert not torch.equal(state["past_restored._extra_state"], unbroken["past_restored._extra_state"])
    resumed = trained(1, saved)
    assert unbroken.keys() == resumed.keys()
    assert not [name for name, value in unbroken.items() if not torch.equal(value, resumed[name])]


def test_critics_are_shown_the_past_with_its_own_mask(tmp_path: Path) -> None:
    model = module(history=2)
    shown: list[tuple[Tensor, Tensor]] = []
    original = model._critic_loss

    def watched(batch: Unpaired, restored: tuple[Tensor, Tensor], degraded: tuple[Tensor, Tensor]) -> Tensor:
        shown.append(restored)
        assert not restored[0].requires_grad and not degraded[0].requires_grad
        return original(batch, restored, degraded)

    model._critic_loss = watched  # type: ignore[method-assign]
    fit(model, tmp_path, epochs=4, count=6, callbacks=[StepSeed(0)])
    first = batch_of(6)
    assert torch.equal(shown[0][1], first.source_mask[:2])
    changed = 0
    for step, (images, masks) in enumerate(shown):
        for index, mask in enumerate(masks):
            sample = (2 * step + index) % 6
            assert torch.equal(images[index][:, mask[0] == 0], torch.tensor(0.1).expand(3, int((mask == 0).sum())))
            changed += not torch.equal(mask, first.source_mask[sample])
    assert changed > 0  # masks differ between odd and even samples: some came from the past


def test_two_processes_would_keep_the_same_pool() -> None:
    """What each of two processes shows its critic is its half of what one process shows."""
    images, mask = torch.rand(6, 4, 3, 8, 8), torch.ones(4, 1, 8, 8)

    def shown(rank: int | None) -> list[Tensor]:
        model, pieces = module(history=3), []
        share = slice(None) if rank is None else slice(2 * rank, 2 * rank + 2)
        for step, batch in enumerate(images):
            model._trainer = SimpleNamespace(global_step=2 * step)  # type: ignore[assignment]
            both = torch.cat([batch, mask], dim=1)
            gathered = both if rank is None else both.unflatten(0, (2, 2))
            model.all_gather = lambda own, gathered=gathered: gathered  # type: ignore[method-assign]
            with sharing(rank or 0, 1 if rank is None else 2):
                pieces.append(model._past("restored", model.past_restored, batch[share], mask[share])[0])
        return pieces

    for one, first, second in zip(shown(None), shown(0), shown(1), strict=True):
        assert torch.equal(one, torch.cat([first, second]))


class Veil(nn.Module):
    """The smallest generator: one gain and one offset, the identity at first."""

    def __init__(self) -> None:
        super().__init__()
        self.gain, self.offset = nn.Parameter(torch.ones(())), nn.Parameter(torch.zeros(()))

    def forward(self, images: Tensor) -> Tensor:
        return self.gain * images + self.offset


def test_it_finds_a_veil_without_pairs(tmp_path: Path) -> None:
    torch.manual_seed(0)
    model = CycleFeature(
        Veil(), Veil(), FeatureCritic(3, 4, norm="none"), FeatureCritic(3, 4, norm="none"),
        generator_optimizer=lambda parameters: torch.optim.Adam(parameters, 2e-2, betas=(0.5, 0.9)),
        critic_optimizer=lambda parameters: torch.optim.Adam(parameters, 1e-2, betas=(0.5, 0.9)),
        identity_weight=0.0, history=0,
    )  # fmt: skip
    data = Batches(32)
    fit(model, tmp_path, epochs=10, count=32)
    truth, mask = data.images[32:], torch.stack([sample.source_mask for sample in data])
    veiled = 0.5 * truth + 0.4
    before, after = (((images - truth) * mask).square().mean() for images in (veiled, model(veiled)))
    assert after < before / 2  # 3 dB nearer to what it never saw


def test_mistakes_are_told_in_one_line() -> None:
    with pytest.raises(MedrestoreError, match=r"model\.cycle='features' is not known; type one of feature, image"):
        module(cycle="features")
    with pytest.raises(MedrestoreError, match=r"model\.history=0"):
        module(history=-1)
    options: dict[str, Any] = {"generator_optimizer": torch.optim.Adam, "critic_optimizer": torch.optim.Adam}
    patches = [PatchCritic(3, 4, 1), PatchCritic(3, 4, 1)]
    with pytest.raises(MedrestoreError, match=r"PatchCritic has none; type model\.critic\._target_=.*or model\.cycle="):
        CycleFeature(generator(), generator(), *patches, **options)
    CycleFeature(generator(), generator(), *patches, cycle="image", **options)
    larger = PlainResidual(3, 4, 1, scale=2)
    with pytest.raises(MedrestoreError, match="a generator that enlarges by 2"):
        CycleFeature(larger, larger, FeatureCritic(), FeatureCritic(), **options)
