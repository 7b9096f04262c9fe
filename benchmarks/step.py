"""How long one training step takes, the memory it needs, and what it has learned; prints, asserts nothing.

python benchmarks/step.py
python benchmarks/step.py --device cuda --precision 32 bf16 fp16 --compile no yes --channels-last no yes

The second line fills the table of docs/performance.md: one row for each combination, in its Markdown.
"""

from __future__ import annotations

import argparse
import resource
import statistics
import time
from collections.abc import Callable, Sequence
from contextlib import nullcontext
from dataclasses import dataclass
from itertools import product

import torch
from torch import Tensor, nn

from medrestore.losses import FeatureLoss, Wasserstein, gradient_penalty, l1, mse
from medrestore.metrics import psnr
from medrestore.networks import (
    FeatureCritic,
    PatchCritic,
    PlainResidual,
    ResnetGenerator,
    SRGANCritic,
    SRResNet,
    VGG19Features,
)
from medrestore.schemes.loss_scales import LossScales

_DTYPES = {"bf16": torch.bfloat16, "fp16": torch.float16}


@dataclass(frozen=True)
class How:
    """On what, and how, steps are run."""

    device: str = "cpu"
    precision: str = "32"
    compile: bool = False
    channels_last: bool = False

    def prepared(self, network: nn.Module) -> nn.Module:
        """A network where it runs, laid out and compiled."""
        network = network.to(self.device)
        if self.channels_last:
            network.to(memory_format=torch.channels_last)  # type: ignore[call-overload]
        if self.compile:
            network.compile()
        return network

    def images(self, *shape: int) -> Tensor:
        """Smooth images, which can be restored."""
        found = nn.functional.avg_pool2d(torch.rand(shape, generator=torch.Generator().manual_seed(0)), 5, 1, 2)
        layout = torch.channels_last if self.channels_last else torch.contiguous_format
        return found.to(self.device).contiguous(memory_format=layout)

    def autocast(self) -> torch.autocast | nullcontext:
        """Mixed precision, or none."""
        return torch.autocast(self.device, _DTYPES[self.precision]) if self.precision in _DTYPES else nullcontext()


class Trained:
    """A generator and a critic with their optimisers, as a scheme steps them."""

    def __init__(self, how: How, generator: nn.Module, critic: nn.Module) -> None:
        self.how = how
        self.generator, self.critic = how.prepared(generator), how.prepared(critic)
        networks = {"generator": self.generator, "critic": self.critic}
        self.optimizers = {
            name: torch.optim.Adam(network.parameters(), 1e-4, betas=(0.5, 0.999)) for name, network in networks.items()
        }
        self.scales = LossScales(how.device if how.precision == "fp16" else None)

    def update(self, name: str, loss: Tensor) -> None:
        """One step of one network."""
        optimizer = self.optimizers[name]
        optimizer.zero_grad()
        self.scales.scaled(loss, name).backward()
        self.scales.unscale(optimizer, name)
        parameters = [p for group in optimizer.param_groups for p in group["params"] if p.grad is not None]
        if torch.isfinite(nn.utils.clip_grad_norm_(parameters, float("inf"))):
            optimizer.step()
            self.scales.stepped(name)
        else:
            self.scales.lower(name)


def quick_step(how: How) -> tuple[Callable[[], None], Callable[[], float], int]:
    """Generator forward and backward of the quick recipes: crop 96, batch 8, L1."""
    generator = how.prepared(PlainResidual(width=48, depth=3))
    target = how.images(8, 3, 96, 96)
    degraded = nn.functional.avg_pool2d(target, 3, 1, 1)

    def step() -> None:
        generator.zero_grad()
        with how.autocast():
            l1(generator(degraded), target).backward()

    return step, lambda: float("nan"), 8


def paired_step(how: How, critic_steps: int = 5) -> tuple[Callable[[], None], Callable[[], float], int]:
    """cervix_deblur at the paper's size: five critic updates, one generator update, crop 256, batch 1, VGG conv3_3."""
    trained = Trained(how, ResnetGenerator(dropout=0.5), PatchCritic())
    content = FeatureLoss(VGG19Features(["conv3_3"], "random")).to(how.device)
    adversarial = Wasserstein()
    target = how.images(1, 3, 256, 256)
    degraded = nn.functional.avg_pool2d(target, 5, 1, 2)

    def step() -> None:
        with how.autocast():
            restored = trained.generator(degraded)
            for _ in range(critic_steps):
                fake = restored.detach()
                loss = adversarial.critic(trained.critic(target), trained.critic(fake))
                trained.update("critic", loss + 10 * gradient_penalty(trained.critic, target, fake))
            trained.critic.requires_grad_(False)
            loss = adversarial.generator(trained.critic(restored)) + 100 * content(restored, target)
            trained.update("generator", loss)
            trained.critic.requires_grad_(True)

    return step, _quality(trained, degraded, target), 1


def cycle_step(how: How) -> tuple[Callable[[], None], Callable[[], float], int]:
    """retina_enhance at the paper's size in one direction and back: two generators, two critics, crop 256, batch 1."""
    there, back = Trained(how, ResnetGenerator(), FeatureCritic()), Trained(how, ResnetGenerator(), FeatureCritic())
    target = how.images(1, 3, 256, 256)
    degraded = nn.functional.avg_pool2d(target, 5, 1, 2)

    def step() -> None:
        with how.autocast():
            for one, other, image, reference in (
                (there, back, degraded, target),
                (back, there, target, degraded),
            ):
                made = one.generator(image)
                real, fake = one.critic(reference).float(), one.critic(made.detach()).float()
                one.update("critic", ((real - 1).square().mean() + fake.square().mean()) / 2)
                one.critic.requires_grad_(False)
                again = other.generator(made)
                loss = (one.critic(made).float() - 1).square().mean() + 10 * l1(again, image)
                one.update("generator", loss + 10 * l1(one.generator(reference), reference))
                one.critic.requires_grad_(True)

    return step, _quality(there, degraded, target), 1


def enlarging_step(how: How) -> tuple[Callable[[], None], Callable[[], float], int]:
    """brain_sr at the paper's size, second stage: SRResNet x4 and its critic, crop 96, batch 16."""
    trained = Trained(how, SRResNet(channels=1), SRGANCritic(channels=1))
    target = how.images(16, 1, 96, 96)
    degraded = nn.functional.avg_pool2d(target, 4)

    def step() -> None:
        with how.autocast():
            restored = trained.generator(degraded)
            real, fake = trained.critic(target).float(), trained.critic(restored.detach()).float()
            trained.update("critic", nn.functional.softplus(-real).mean() + nn.functional.softplus(fake).mean())
            trained.critic.requires_grad_(False)
            adversarial = nn.functional.softplus(-trained.critic(restored).float()).mean()
            trained.update("generator", mse(restored, target) + 1e-3 * adversarial)
            trained.critic.requires_grad_(True)

    return step, _quality(trained, degraded, target), 16


STEPS = {"quick": quick_step, "cervix_deblur": paired_step, "retina_enhance": cycle_step, "brain_sr": enlarging_step}


def _quality(trained: Trained, degraded: Tensor, target: Tensor) -> Callable[[], float]:
    def quality() -> float:
        with torch.no_grad():
            restored = trained.generator.eval().forward(degraded)
            trained.generator.train()
            return float(psnr(restored.float().clamp(0, 1), target).mean())

    return quality


def measure(name: str, how: How, repeats: int) -> None:
    """Print a row of the table: images a second, peak memory, and PSNR on the image that the steps trained on."""
    torch.manual_seed(0)
    if how.device == "cuda":
        torch.cuda.reset_peak_memory_stats()
    step, quality, images = STEPS[name](how)
    for _ in range(3 if how.device == "cuda" or how.compile else 1):
        step()
    times = []
    for _ in range(repeats):
        _synchronise(how)
        start = time.perf_counter()
        step()
        _synchronise(how)
        times.append(time.perf_counter() - start)
    peak = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 1024
    if how.device == "cuda":
        peak = torch.cuda.max_memory_allocated() / 2**20
    found = quality()
    score = "" if found != found else f"{found:.2f} after {len(times)} steps"
    print(
        f"| {name} | {how.precision} | {'yes' if how.compile else 'no'} | {'yes' if how.channels_last else 'no'} | "
        f"{images / statistics.median(times):.3g} | {1000 * statistics.median(times):.0f} ({1000 * min(times):.0f}) | "
        f"{peak:.0f} | {score} |",
        flush=True,
    )


def _synchronise(how: How) -> None:
    if how.device == "cuda":
        torch.cuda.synchronize()


def main(arguments: Sequence[str] | None = None) -> None:
    """Print the table."""
    parser = argparse.ArgumentParser(description=(__doc__ or "").splitlines()[0])
    parser.add_argument("--device", choices=("cpu", "cuda"), default="cpu")
    parser.add_argument("--precision", nargs="+", choices=("32", "bf16", "fp16"), default=["32"])
    parser.add_argument("--compile", nargs="+", choices=("no", "yes"), default=["no"])
    parser.add_argument("--channels-last", nargs="+", choices=("no", "yes"), default=["no"])
    parser.add_argument("--steps", nargs="+", choices=tuple(STEPS), default=None)
    parser.add_argument("--repeats", type=int, default=None)
    given = parser.parse_args(arguments)
    if given.device == "cpu" and "fp16" in given.precision:
        parser.error("fp16 needs --device cuda")
    where = torch.cuda.get_device_name() if given.device == "cuda" else f"CPU, {torch.get_num_threads()} threads"
    print(f"torch {torch.__version__}, {where}\n")
    print("| step | precision | compile | channels_last | images/s | ms a step (best) | peak MB | PSNR |")
    print("| --- | --- | --- | --- | --- | --- | --- | --- |")
    names = given.steps or (list(STEPS)[1:] if given.device == "cuda" else ["quick", "cervix_deblur"])
    for name, precision, compiled, last in product(names, given.precision, given.compile, given.channels_last):
        repeats = given.repeats or (50 if given.device == "cuda" else 20 if name == "quick" else 3)
        measure(name, How(given.device, precision, compiled == "yes", last == "yes"), repeats)


if __name__ == "__main__":
    main()
