"""The scheme does what SRGAN and S5 say: losses, stages, who learns when, batches in parts, what is kept."""

from __future__ import annotations

import math
from pathlib import Path
from typing import Any

import pytest
import pytorch_lightning as pl
import torch
from conftest import TINY
from safetensors.torch import load_file
from torch import Tensor, nn

from medrestore.callbacks.history import History
from medrestore.checkpoint import load_generator
from medrestore.config import build, compose
from medrestore.data.samples import Pair
from medrestore.losses import MSE, FeatureLoss
from medrestore.metrics import psnr
from medrestore.networks import VGG19Features
from medrestore.run import make_data, train
from medrestore.run_directory import Run, resolved
from medrestore.schemes import TwoStageSR

SMALL = [
    "experiment=brain_sr",
    "degradation.operator.scale=2",
    "loss.psnr.weight=0.5",
    *[override for override in TINY if override.startswith(("model.", "hardware", "sampling.batch", "sampling.crop="))],
    "model.critic.width=2",
]


class Batches(torch.utils.data.Dataset):
    def __init__(self, count: int) -> None:
        self.images = torch.rand(count, 1, 32, 32, generator=torch.Generator().manual_seed(0), dtype=torch.float64)

    def __len__(self) -> int:
        return len(self.images)

    def __getitem__(self, index: int) -> Pair:
        target = nn.functional.avg_pool2d(self.images[index], 3, 1, 1)
        return Pair(nn.functional.avg_pool2d(target, 2), target, torch.ones(1, 32, 32).double(), torch.tensor(index))


class Means(nn.Module):
    """Scores an image by twice its mean."""

    def forward(self, images: Tensor) -> Tensor:
        return 2 * images.mean(dim=(1, 2, 3))[:, None]


def module(*overrides: str) -> TwoStageSR:
    torch.manual_seed(0)
    found = build(resolved(compose("train", [*SMALL, *overrides])).model)
    assert isinstance(found, TwoStageSR)
    return found


def fit(model: TwoStageSR, directory: Path, epochs: int = 1, count: int = 6, size: int = 2) -> pl.Trainer:
    loader = torch.utils.data.DataLoader(Batches(count), batch_size=size)
    runner = pl.Trainer(
        max_epochs=epochs, accelerator="cpu", logger=False, enable_checkpointing=False, enable_progress_bar=False,
        enable_model_summary=False, default_root_dir=directory, limit_val_batches=0, log_every_n_steps=1,
        precision="64-true",
    )  # fmt: skip
    runner.fit(model, loader, loader)
    return runner


def softplus(x: float) -> float:
    return math.log(1 + math.exp(x))


def test_published_settings() -> None:
    config = resolved(compose("train", ["experiment=brain_sr", "budget=paper"]))
    config.loss.feature.term.features.weights = config.model.content.feature.term.features.weights = "random"
    model = build(config.model)
    assert sum(p.numel() for p in model.critic.parameters()) == 4_687_745 - 64 * 9 * 2  # of one channel
    assert model.critic_steps == 1 and model.adversarial_weight == 1e-3 and model.content.weights == {"feature": 1.0}
    assert isinstance(model.pretrain_content.terms["mse"], MSE)
    for optimizer in model.configure_optimizers():
        assert isinstance(optimizer, torch.optim.Adam) and optimizer.defaults["lr"] == 1e-4
    unsaid = TwoStageSR(nn.Identity(), nn.Identity(), {}, torch.optim.Adam, torch.optim.Adam)
    assert isinstance(unsaid.pretrain_content.terms["mse"], MSE)


def test_content_is_conv5_4_behind_its_relu_divided_by_12_75() -> None:
    config = resolved(compose("train", ["experiment=brain_sr", "budget=paper"]))
    config.loss.feature.term.features.weights = "random"
    loss: FeatureLoss = build(config.loss.feature.term)
    restored, target = torch.rand(2, 2, 1, 32, 32, generator=torch.Generator().manual_seed(0))
    before_relu = VGG19Features(["conv5_4"], "random")
    a, b = (before_relu(images)[0].relu() / 12.75 for images in (restored, target))
    assert float(a.max()) > 0
    torch.testing.assert_close(loss(restored, target), ((a - b) ** 2).mean())


@pytest.mark.parametrize("relativistic", [False, True])
def test_losses_by_hand(relativistic: bool) -> None:
    options = ["model.adversarial_weight=0.5", f"model.relativistic={relativistic}", "loss@model.pretrain_content=mse"]
    model = module(*options, "pretrain_epochs=0")
    recorded: dict[str, float] = {}
    model._record = lambda name, value: recorded.update({name: float(value)})  # type: ignore[method-assign]
    model._trainer = pl.Trainer(logger=False, enable_checkpointing=False, accelerator="cpu")
    model.critic = Means()
    ones = torch.ones(2, 1, 4, 4)
    target = torch.stack([0.6 * ones[0], 0.8 * ones[0]])
    batch = Pair(0.1 * ones[..., :2, :2], target, torch.ones(2, 1, 4, 4), torch.arange(2))
    restored = 0.4 * ones
    real, fake = [1.2, 1.6], [0.8, 0.8]
    if relativistic:
        real, fake = [score - 0.8 for score in real], [score - 1.4 for score in fake]
    expected = sum(softplus(-r) + softplus(f) for r, f in zip(real, fake, strict=True)) / 2
    assert model._critic_loss(target, restored).item() == pytest.approx(expected, rel=1e-6)
    adversarial = sum(softplus(-f) for f in fake) / 2
    if relativistic:  # the real ones shall look less real than the fake ones' average
        adversarial += sum(softplus(r) for r in real) / 2
    content = 10 * (math.log10(1 + 0.04 / 1e-4) + math.log10(1 + 0.16 / 1e-4)) / 2  # the PSNR term, see its own test
    loss = model._generator_loss(restored, batch).item()
    assert loss == pytest.approx(0.5 * content + 0.5 * adversarial, rel=1e-6)
    assert recorded["generator/adversarial"] == pytest.approx(adversarial, rel=1e-6)
    recorded.clear()
    model.pretrain_epochs = 1
    squared = (0.04 + 0.16) / 2
    assert model.pretraining and model._generator_loss(restored, batch).item() == pytest.approx(squared, rel=1e-5)
    assert recorded == pytest.approx({"generator/mse": squared, "generator/loss": squared}, rel=1e-5)


def test_one_critic_step_then_one_generator_step_each_on_its_own_network(tmp_path: Path) -> None:
    model = module("pretrain_epochs=1", "epochs=2", "model.critic_steps=2")
    seen: list[tuple[int, str, bool]] = []
    original = model._step_in_parts

    def watched(optimizer: Any, losses: Any, network: Any) -> None:
        before = {name: value.clone() for name, value in model.named_parameters()}
        original(optimizer, losses, network)
        moved = {name.split(".")[0] for name, value in model.named_parameters() if not torch.equal(value, before[name])}
        seen.append((model.current_epoch, network, moved == {network}))

    model._step_in_parts = watched  # type: ignore[method-assign]
    fit(model, tmp_path, epochs=2, count=4)
    second = [(1, "critic", True), (1, "critic", True), (1, "generator", True)]
    assert seen == [(0, "generator", True)] * 2 + second * 2
    assert int(model.generator_updates) == 4 and int(model.critic_updates) == 4


@pytest.mark.parametrize("accumulate", [1, 3])
def test_parts_are_restored_one_by_one_and_judged_alone(accumulate: int, tmp_path: Path) -> None:
    model = module("pretrain_epochs=0", f"model.accumulate={accumulate}")
    restored: list[tuple[int, bool]] = []
    judged: list[int] = []
    model.generator.register_forward_pre_hook(lambda _, x: restored.append((len(x[0]), torch.is_grad_enabled())))
    model.critic.register_forward_pre_hook(lambda _, x: judged.append(len(x[0])))
    fit(model, tmp_path, count=6, size=6)
    part = 6 // accumulate
    learning = [(part, True)] * accumulate
    assert restored == (learning if accumulate == 1 else [(part, False)] * accumulate + learning)
    assert judged == [part] * (3 * accumulate)  # real and fake apart for the critic's step, fake for the generator's


@pytest.mark.parametrize("accumulate", [2, 4, 6])
def test_a_batch_in_parts_is_the_batch(accumulate: int, tmp_path: Path) -> None:
    """Both stages, several critic steps, clipping and averaging: the same weights, counted as the same steps."""
    options = [
        *["pretrain_epochs=1", "epochs=2", "model.critic_steps=2", "model.ema_decay=0.9", "+model.gradient_clip=0.01"],
        *["model.critic.norm=none", "model.adversarial_weight=0.5", "model.critic_optimizer.lr=1e-2"],
    ]
    whole, cut = module(*options), module(*options, f"model.accumulate={accumulate}")
    runs = [fit(model, tmp_path, epochs=2, count=12, size=6) for model in (whole, cut)]
    assert int(whole.generator_updates) == int(cut.generator_updates) == 4
    assert int(whole.critic_updates) == int(cut.critic_updates) == 4
    states = whole.state_dict(), cut.state_dict()
    assert all(value.dtype == torch.float64 for name, value in states[0].items() if name.endswith("weight"))
    for name, value in states[0].items():
        torch.testing.assert_close(states[1][name], value, rtol=1e-9, atol=1e-12, msg=name)
    start = module(*options).double().state_dict()
    for network in ("generator", "critic", "averaged"):
        assert any(not torch.equal(value, start[name]) for name, value in states[0].items() if name.startswith(network))
    for name in ("train/generator/loss", "train/critic/cross_entropy", "train/generator/gradient_norm"):
        assert float(runs[1].callback_metrics[name]) == pytest.approx(float(runs[0].callback_metrics[name]), rel=1e-9)


def test_it_learns_two_pairs(tmp_path: Path) -> None:
    model = module("model.generator.width=16", "epochs=60", "pretrain_epochs=50")
    batch = next(iter(torch.utils.data.DataLoader(Batches(2), batch_size=2)))
    before = (model.double()(batch.degraded) - batch.target).square().mean()  # starts as bicubic interpolation
    fit(model, tmp_path, epochs=60, count=2)
    after = (model.eval()(batch.degraded) - batch.target).square().mean()
    assert after < before / 2 and int(model.critic_updates) == 10


@pytest.mark.parametrize("network", ["srresnet", "rrdb"])
def test_published_networks_train_in_small(network: str, tmp_path: Path) -> None:
    names = {"srresnet": "SRResNet", "rrdb": "RRDBNet"}
    own = [o for o in SMALL if "depth" not in o]
    overrides = [f"network@model.generator={network}", "model.generator.blocks=1", "model.critic.head=dense1024"]
    config = compose("train", [*own, *overrides, "pretrain_epochs=1", "epochs=2", "model.ema_decay=0.5"])
    assert config.model.generator.scale == 2  # that of the degradation
    model = build(resolved(config).model)
    assert type(model.generator).__name__ == names[network]
    fit(model, tmp_path, epochs=2, count=4)
    assert int(model.generator_updates) == 4 and int(model.skipped_updates) == 0
    statistics = dict(model.generator.named_buffers())
    assert bool(statistics) == (network == "srresnet")
    assert all(torch.equal(value, statistics[name]) for name, value in model.averaged.named_buffers())


# -- whole runs --------------------------------------------------------------------------------------------------------

RUN = [
    *SMALL,
    "dataset.patients=6",
    "dataset.slices_per_patient=1",
    "dataset.size=64",
    "sampling.crops_per_image=1",
    "sampling.val_images=2",
    "sampling.train_images=3",
    "callbacks.sample_images=1",
    "evaluation.run=false",
]


def psnr_on_training_images(generator: nn.Module, directory: Path) -> float:
    """Mean over the first three training images by key, whole, as a user would measure it."""
    run = Run.load(directory)
    data = make_data(run.config, directory / "split.csv")
    cases = [data.case(item) for item in sorted(data.items("train"), key=lambda item: item.key)[:3]]
    with torch.inference_mode():
        return float(torch.cat([psnr(generator(case.degraded[None]), case.target[None]) for case in cases]).mean())


def test_one_run_keeps_both_stages_and_starts_another(tmp_path: Path) -> None:
    first = train(compose("train", [*RUN, "epochs=4", "pretrain_epochs=2"]), tmp_path / "first").directory
    rows = History(first / "metrics.csv").rows
    assert [row["critic_updates"] for row in rows] == [0, 0, 4, 8]
    scores = ("train/psnr", "train/ssim", "val/psnr", "val/ssim")
    assert all(math.isfinite(row[score]) for row in rows for score in scores)
    pretrained, about = load_generator(first / "pretrained.safetensors")
    assert rows[1]["train/psnr"] == pytest.approx(psnr_on_training_images(pretrained, first), rel=1e-5)
    assert about["selected"] == "last epoch of the first stage" and about["scale"] == pretrained.scale == 2
    second = ["epochs=1", "pretrain_epochs=0", f"generator_weights={first / 'pretrained.safetensors'}"]
    still = ["model.generator_optimizer.lr=0", "model.ema_decay=0.9", "select=last"]
    other = train(compose("train", [*RUN, *second, *still]), tmp_path / "second").directory
    exported, given = (load_file(path) for path in (other / "generator.safetensors", first / "pretrained.safetensors"))
    assert exported.keys() == given.keys() and all(torch.equal(exported[name], given[name]) for name in given)
    (row,) = History(other / "metrics.csv").rows
    assert row["val/psnr"] == pytest.approx(rows[1]["val/psnr"], rel=1e-6) and row["critic_updates"] == 4
