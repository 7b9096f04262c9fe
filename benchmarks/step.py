"""How long one training step takes, and the memory it needs; prints, asserts nothing.

python benchmarks/step.py
"""

from __future__ import annotations

import resource
import statistics
import time
from collections.abc import Callable

import torch
from torch import Tensor

from medrestore.losses import FeatureLoss, Wasserstein, gradient_penalty, l1
from medrestore.networks import PatchCritic, PlainResidual, ResnetGenerator, VGG19Features


def quick_step() -> Callable[[], None]:
    """Generator forward and backward of the quick recipes: crop 96, batch 8, L1."""
    generator = PlainResidual(width=48, depth=3)
    degraded, target = torch.rand(2, 8, 3, 96, 96)

    def step() -> None:
        generator.zero_grad()
        l1(generator(degraded), target).backward()

    return step


def paper_step(critic_steps: int = 5) -> Callable[[], None]:
    """Five critic updates and one generator update at the paper's size: crop 256, batch 1, VGG conv3_3."""
    generator, critic = ResnetGenerator(dropout=0.5), PatchCritic()
    content = FeatureLoss(VGG19Features(["conv3_3"], "random"))
    adversarial = Wasserstein()
    critic_optimizer = torch.optim.Adam(critic.parameters(), 1e-4, betas=(0.5, 0.999))
    generator_optimizer = torch.optim.Adam(generator.parameters(), 1e-4, betas=(0.5, 0.999))
    degraded, target = torch.rand(2, 1, 3, 256, 256)

    def update(optimizer: torch.optim.Optimizer, loss: Tensor) -> None:
        optimizer.zero_grad()
        loss.backward()
        optimizer.step()

    def step() -> None:
        restored = generator(degraded)
        for _ in range(critic_steps):
            fake = restored.detach()
            loss = adversarial.critic(critic(target), critic(fake)) + 10 * gradient_penalty(critic, target, fake)
            update(critic_optimizer, loss)
        critic.requires_grad_(False)
        update(generator_optimizer, adversarial.generator(critic(restored)) + 100 * content(restored, target))
        critic.requires_grad_(True)

    return step


def measure(name: str, step: Callable[[], None], repeats: int) -> None:
    """Print median and minimum of `repeats` steps after one that warms up, and the process's peak memory so far."""
    step()
    times = []
    for _ in range(repeats):
        start = time.perf_counter()
        step()
        times.append(1000 * (time.perf_counter() - start))
    peak = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 1024
    print(f"{name:<60} median {statistics.median(times):8.0f} ms, best {min(times):8.0f} ms, peak {peak:6.0f} MB")


if __name__ == "__main__":
    torch.manual_seed(0)
    print(f"torch {torch.__version__}, {torch.get_num_threads()} threads")
    measure("PlainResidual w48 d6, crop 96, batch 8: forward + backward", quick_step(), 20)
    measure("ResnetGenerator 64/9 + 5 critic updates, crop 256, batch 1", paper_step(), 3)
