"""What is not finite changes nothing, is counted, and sends a training back to what was good."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
import pytorch_lightning as pl
import torch
from conftest import TINY, TINY_WGAN
from pytorch_lightning.plugins import MixedPrecision
from safetensors.torch import load_file
from torch import Tensor, nn

from medrestore.callbacks import Checkpoints, Diverged, History, NanGuard, StepSeed
from medrestore.checkpoint import all_finite, read_training_state, save_generator
from medrestore.config import build, compose
from medrestore.data.crops import PairedCrops
from medrestore.data.samples import Pair
from medrestore.errors import MedrestoreError
from medrestore.networks import PlainResidual
from medrestore.run import train
from medrestore.schemes import PairedRegression, PairedWGAN, paired_wgan
from medrestore.schemes.loss_scales import LossScales
from medrestore.schemes.skipped import SkippedSteps

# three epochs of four batches; the first one trains the generator alone
WGAN = ["experiment=cervix_deblur", *TINY, *TINY_WGAN, "epochs=3", "pretrain_epochs=1", "evaluation.run=false"]


def nan(value: Tensor) -> Tensor:
    return value * float("nan")


def trained(directory: Path, *overrides: str) -> tuple[dict[str, Any], list[dict[str, float]]]:
    train(compose("train", [*WGAN, *overrides]), directory)
    return read_training_state(directory / "checkpoints" / "last.ckpt"), History(directory / "metrics.csv").rows


def finite_files(directory: Path) -> set[str]:
    """Every file with weights that a run has left; all of them are finite."""
    found = set()
    for path in [*directory.glob("checkpoints/*.ckpt"), *directory.glob("*.safetensors")]:
        weights = load_file(path) if path.suffix == ".safetensors" else read_training_state(path)["state_dict"]
        assert all_finite(weights.values()), path
        found.add(path.name)
    return found


def test_a_generator_that_diverges_goes_back_with_half_the_rate(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    original, rates = PairedWGAN._adversarial_loss, []

    def loss(self: PairedWGAN, restored: Tensor) -> Tensor:
        rates.append(self.optimizers()[0].param_groups[0]["lr"])  # type: ignore[index]
        value = original(self, restored)
        return nan(value) if self.rate_factor == 1 and self.current_epoch == 2 else value

    monkeypatch.setattr(PairedWGAN, "_adversarial_loss", loss)
    state, rows = trained(tmp_path, "callbacks.nan_guard.in_a_row=3", "select=val/psnr", "model.decay_from=1")
    told = capsys.readouterr().err
    assert "the loss of the generator was not finite 3 times in a row at epoch 3: back to step 16 (last.ckpt)" in told
    assert state["callbacks"]["NanGuard"] == {"returns": 1, "rate": 0.5}
    assert len(rates) == 4 + 3 + 4 and set(rates[:7]) == {rates[0]} and set(rates[7:]) == {rates[0] / 2}
    assert [row["epoch"] for row in rows] == [0, 1, 2] and rows[-1]["rate_factor"] == 0.5
    assert int(state["state_dict"]["generator_updates"]) == 12  # the skipped ones were gone back from
    assert finite_files(tmp_path) >= {"last.ckpt", "previous.ckpt", "best.ckpt", "generator.safetensors"}


def test_a_penalty_that_is_never_finite_ends_with_a_line(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    penalty = paired_wgan.gradient_penalty
    monkeypatch.setattr(paired_wgan, "gradient_penalty", lambda *images: nan(penalty(*images)))
    told = (
        r"the loss of the critic was not finite 4 times in a row at epoch 2, after 2 returns with ever lower rates, "
        r"now 0.01 of what was asked for; the last good checkpoint is \S+/last.ckpt; type lower rates"
    )
    guard = ["callbacks.nan_guard.in_a_row=4", "callbacks.nan_guard.returns=2", "callbacks.nan_guard.rate_factor=0.1"]
    with pytest.raises(MedrestoreError, match=told):
        trained(tmp_path, *guard)
    assert finite_files(tmp_path) == {"last.ckpt", "pretrained.safetensors"}


def test_weights_that_the_optimiser_threw_away_are_never_kept(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    original, calls = torch.optim.Adam.step, []

    def step(self: torch.optim.Adam, *arguments: Any, **named: Any) -> Any:
        done = original(self, *arguments, **named)
        calls.append(0)
        if len(calls) == 4 + 2 * 4 * 3:  # the very last one: no loss after it tells
            self.param_groups[0]["params"][0].data.fill_(float("inf"))
        return done

    monkeypatch.setattr(torch.optim.Adam, "step", step)
    state, _ = trained(tmp_path, "select=val/psnr", "callbacks.checkpoint_minutes=0")
    assert "weights are not finite at epoch 3: back to step " in capsys.readouterr().err
    assert state["callbacks"]["NanGuard"]["returns"] == 1
    assert finite_files(tmp_path) >= {"last.ckpt", "previous.ckpt", "best.ckpt", "generator.safetensors"}


@pytest.mark.slow
def test_an_image_that_is_not_finite_costs_its_steps_and_nothing_else(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    original = PairedCrops.__getitem__

    def item(self: PairedCrops, where: tuple[int, int]) -> Pair:
        pair = original(self, where)
        return pair._replace(degraded=nan(pair.degraded)) if where == (1, 2) else pair

    monkeypatch.setattr(PairedCrops, "__getitem__", item)
    state, _ = trained(tmp_path, "callbacks.nan_guard.in_a_row=4")
    assert int(state["state_dict"]["skipped_updates"]) == 3 and state["callbacks"]["NanGuard"]["returns"] == 0
    assert int(state["state_dict"]["generator_updates"]) == 11
    assert finite_files(tmp_path) >= {"last.ckpt", "generator.safetensors"}


@pytest.mark.slow
def test_before_anything_is_saved_it_begins_anew(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    original = PairedWGAN._content_loss

    def loss(self: PairedWGAN, restored: Tensor, batch: Pair) -> tuple[Tensor, dict[str, Tensor]]:
        value, terms = original(self, restored, batch)
        return (nan(value) if self.rate_factor == 1 else value), terms

    monkeypatch.setattr(PairedWGAN, "_content_loss", loss)
    state, rows = trained(tmp_path, "callbacks.nan_guard.in_a_row=2")
    assert state["callbacks"]["NanGuard"] == {"returns": 1, "rate": 0.5}
    assert int(state["state_dict"]["generator_updates"]) == 12 and len(rows) == 3


class Images(torch.utils.data.Dataset):
    def __init__(self, broken: tuple[int, ...] = ()) -> None:
        self.images = torch.rand(8, 3, 16, 16, generator=torch.Generator().manual_seed(0))
        self.broken = broken

    def __len__(self) -> int:
        return len(self.images)

    def __getitem__(self, index: int) -> Pair:
        target = self.images[index]
        degraded = nan(target) if index in self.broken else target * 0.8 + 0.1
        return Pair(degraded, target, torch.ones(1, 16, 16), torch.tensor(index))


def fit(
    model: pl.LightningModule,
    folder: Path,
    data: Images | None = None,
    epochs: int = 1,
    ckpt: Path | None = None,
    **more: Any,
) -> pl.Trainer:
    given = {"callbacks": [NanGuard(10)], **more}
    trainer = pl.Trainer(
        max_epochs=epochs, accelerator="cpu", logger=False, enable_progress_bar=False, enable_model_summary=False,
        default_root_dir=folder, limit_val_batches=0, log_every_n_steps=1,
        enable_checkpointing=any(isinstance(callback, Checkpoints) for callback in given["callbacks"]), **given,
    )  # fmt: skip
    loader = torch.utils.data.DataLoader(data or Images(), batch_size=1)
    trainer.fit(model, loader, loader, ckpt_path=ckpt, weights_only=True)
    return trainer


def wgan(*overrides: str) -> PairedWGAN:
    torch.manual_seed(0)
    return build(compose("train", [*WGAN, "pretrain_epochs=0", *overrides]).model)


def test_a_critic_is_not_excused_by_a_generator_that_learns(tmp_path: Path) -> None:
    model = wgan("model.adversarial_weight=0")
    critic_loss: Callable[..., Tensor] = model._critic_loss
    model._critic_loss = lambda *arguments: nan(critic_loss(*arguments))  # type: ignore[method-assign]
    with pytest.raises(Diverged, match="the loss of the critic was not finite 10 times in a row at epoch 1"):
        fit(model, tmp_path)
    assert int(model.generator_updates) == 5 and int(model.skipped_updates) == 10
    assert model.skipped.worst == ("critic", 10) and model.skipped.in_a_row["generator"] == 0


class Normed(nn.Module):
    def __init__(self) -> None:
        super().__init__()
        self.body = nn.Sequential(nn.Conv2d(3, 4, 3, padding=1), nn.BatchNorm2d(4), nn.Conv2d(4, 3, 3, padding=1))

    def forward(self, images: Tensor) -> Tensor:
        return images + self.body(images)


def test_batch_norm_forgets_a_batch_that_is_not_finite(tmp_path: Path) -> None:
    torch.manual_seed(0)
    terms = {"l1": {"weight": 1.0, "term": nn.L1Loss()}}
    terms["l1"]["term"].forward = lambda restored, target, mask: (restored - target).abs().mean()  # type: ignore
    model = PairedRegression(Normed(), terms, lambda parameters: torch.optim.Adam(parameters))
    fit(model, tmp_path, Images(broken=(2, 7)))
    assert int(model.skipped_updates) == 2 and int(model.generator_updates) == 6
    assert all_finite(model.state_dict().values())
    assert not torch.equal(model.generator.body[1].running_mean, torch.zeros(4))


def test_statistics_of_finite_batches_stay() -> None:
    norm, skipped = nn.BatchNorm1d(2), SkippedSteps()
    skipped.before_batch(norm)
    norm(torch.tensor([[1.0, float("nan")], [3.0, 1.0]]))
    skipped.skip("generator")
    assert norm.running_mean is not None and norm.running_mean.tolist() == pytest.approx([0.2, 0.0])
    assert skipped.most == 1
    skipped.took("generator")
    assert skipped.most == 0


def scaled(model: PairedWGAN, start: float) -> dict[str, Any]:
    model.loss_scales = LossScales("cpu", start)
    plugin = MixedPrecision("16-mixed", "cpu")
    plugin.scaler = None  # each optimiser has its own
    return {"plugins": [plugin]}


def test_a_scaler_that_overflows_is_no_failure_of_the_model(tmp_path: Path) -> None:
    model = wgan("model.critic_steps=1", "+model.gradient_clip=0.5")
    fit(model, tmp_path, epochs=2, **scaled(model, 2.0**24))  # gradients of half precision end at 65504
    steps = {"generator": int(model.generator_updates), "critic": int(model.critic_updates)}
    assert 0 < steps["generator"] < 16 and int(model.skipped_updates) == 0
    for network, scaler in model.loss_scales.scalers.items():
        assert scaler.get_scale() == 2.0**24 / 2 ** (16 - steps[network])
    assert all_finite(model.parameters())


@pytest.mark.slow
def test_gradients_are_clipped_at_their_own_size_whatever_the_scale(tmp_path: Path) -> None:
    ends = []
    for start in (1.0, 2.0**10):
        model = wgan("+model.gradient_clip=0.01", "model.critic_steps=1")
        model._make_optimizers = (lambda p: torch.optim.SGD(p, lr=0.1),) * 2
        fit(model, tmp_path, **scaled(model, start))
        ends.append(torch.cat([p.detach().flatten() for p in model.parameters()]))
    start = torch.cat([p.detach().flatten() for p in wgan().parameters()])
    moved = (ends[0] - start).norm()
    assert moved > 1e-3 and (ends[0] - ends[1]).norm() < 0.05 * moved


def test_a_model_whose_gradients_overflow_at_any_scale_has_failed(tmp_path: Path) -> None:
    class Steep(torch.autograd.Function):
        @staticmethod
        def forward(context: Any, value: Tensor) -> Tensor:
            return value.clone()

        @staticmethod
        def backward(context: Any, gradient: Tensor) -> Tensor:
            return gradient * float("inf")

    model = wgan("model.adversarial_weight=0")
    content: Callable[..., Any] = model._content_loss

    def loss(*arguments: Any) -> Any:
        value, terms = content(*arguments)
        return Steep.apply(value), terms

    model._content_loss = loss  # type: ignore[method-assign]
    with pytest.raises(Diverged, match="generator was not finite 3 times"):
        fit(model, tmp_path, callbacks=[NanGuard(3)], epochs=2, **scaled(model, 16.0))
    assert int(model.skipped_updates) == 3  # after the scaler has gone from 16 to 1


@pytest.mark.slow
def test_a_scaler_goes_on_where_it_was(tmp_path: Path) -> None:
    def fitted(folder: str, epochs: int, ckpt: Path | None = None) -> tuple[PairedWGAN, dict[str, Any]]:
        (tmp_path / folder).mkdir(exist_ok=True)
        checkpoints = Checkpoints(tmp_path / folder, "last", "last", 1000.0, lambda generator, selected: None)
        model, callbacks = wgan("model.decay_from=1"), [StepSeed(0), NanGuard(10), checkpoints]
        fit(model, tmp_path, epochs=epochs, ckpt=ckpt, callbacks=callbacks, **scaled(model, 2.0**24))
        return model, read_training_state(tmp_path / folder / "last.ckpt")["loss_scales"]

    whole, expected = fitted("whole", 2)
    _, half = fitted("half", 1)
    again, found = fitted("half", 2, tmp_path / "half" / "last.ckpt")
    assert min(scale["scale"] for scale in half.values()) < 2.0**24 and half != expected
    assert found == expected
    assert all(torch.equal(a, b) for a, b in zip(whole.parameters(), again.parameters(), strict=True))


def test_weights_that_are_not_finite_are_not_exported(tmp_path: Path) -> None:
    generator = PlainResidual(3, width=4, depth=1)
    next(generator.parameters()).data.fill_(float("nan"))
    with pytest.raises(MedrestoreError, match="is not written: its weights are not finite"):
        save_generator(tmp_path / "generator.safetensors", generator, {}, {})
    assert not list(tmp_path.iterdir())
