from __future__ import annotations

import subprocess
import sys
from pathlib import Path

import pytest
import torch
from torch import Tensor, nn

from medrestore.errors import MedrestoreError
from medrestore.inference import restore_image
from medrestore.inference.tiling import _largest_tensor
from medrestore.networks import NAFNet, PlainResidual, ResnetGenerator


class TileMean(nn.Module):
    """Returns the mean of what it is given: the extreme of a statistic over the whole image."""

    channels, scale, context = 3, 1, None

    def forward(self, images: Tensor) -> Tensor:
        return images.mean().expand(images.shape)


class Pointwise(nn.Module):
    """Needs no neighbours and has no weights."""

    channels, scale, context = 3, 1, 0

    def forward(self, images: Tensor) -> Tensor:
        return 1 - images


class Counting(nn.Module):
    """Wraps a generator, remembers what it was given, and can have little memory."""

    def __init__(self, generator: nn.Module, most_pixels: int | None = None) -> None:
        super().__init__()
        self.generator = generator
        self.channels, self.scale, self.context = generator.channels, generator.scale, generator.context
        self.most_pixels = most_pixels
        self.sizes: list[tuple[int, ...]] = []
        self.modes: list[bool] = []

    def forward(self, images: Tensor) -> Tensor:
        self.sizes.append(tuple(images.shape))
        self.modes.append(self.training)
        if self.most_pixels is not None and images[0, 0].numel() > self.most_pixels:
            raise torch.OutOfMemoryError
        return self.generator(images)


def woken(channels: int = 3, depth: int = 1, unshuffle: int = 2, scale: int = 1) -> PlainResidual:
    """A plain network far from the identity: differences at seams would be plain to see."""
    torch.manual_seed(0)
    generator = PlainResidual(channels, 8, depth, unshuffle, scale)
    for parameter in generator.parameters():
        nn.init.normal_(parameter, 0, 0.15 if depth < 3 else 0.08)
    return generator


def whole(generator: nn.Module, image: Tensor) -> Tensor:
    with torch.no_grad():
        return generator(image[None])[0]


@pytest.mark.parametrize(
    ("depth", "unshuffle", "scale"), [(1, 2, 1), (1, 1, 2), (2, 2, 2), (0, 2, 3), (1, 4, 1), (6, 2, 1)]
)
@pytest.mark.parametrize("size", [(133, 201), (65, 300), (40, 129)])
def test_tiles_equal_the_whole_image(depth: int, unshuffle: int, scale: int, size: tuple[int, int]) -> None:
    generator = Counting(woken(depth=depth, unshuffle=unshuffle, scale=scale))
    image = torch.rand(3, *size)
    expected = whole(generator.generator, image)
    assert (expected - 0.5).abs().max() > 0.2
    tiled = restore_image(generator, image, tile=64)
    assert len(generator.sizes) > 1
    # bicubic positions are exact in float32 for powers of two only
    torch.testing.assert_close(tiled, expected, atol=1e-4 if scale == 3 else 1e-5, rtol=0)


def test_more_overlap_changes_nothing() -> None:
    generator, image = Counting(woken()), torch.rand(3, 150, 210)
    restored = restore_image(generator, image, tile=1, overlap=50)
    assert max(max(size[2:]) for size in generator.sizes) <= 128  # twice the overlap, rounded up
    torch.testing.assert_close(restored, whole(generator.generator, image), atol=1e-5, rtol=0)


def test_the_default_is_one_call_with_the_whole_image() -> None:
    generator, image = Counting(woken()), torch.rand(3, 150, 210)
    assert torch.equal(restore_image(generator, image), whole(generator.generator, image))
    assert generator.sizes == [(1, 3, 150, 210)]


def test_budget_decides_the_tiles() -> None:
    generator, image = Counting(woken()), torch.rand(3, 300, 400)
    both = 2 * image.numel() * 4
    expected = whole(generator.generator, image)
    for budget, fewest, most in ((2**30, 1, 1), (both + 4_000_000, 2, 40), (1, 40, 150)):
        generator.sizes.clear()
        torch.testing.assert_close(restore_image(generator, image, memory_bytes=budget), expected, atol=1e-5, rtol=0)
        assert fewest <= len(generator.sizes) - 1 <= most  # the first is the trial that measures


def test_largest_tensor_is_measured() -> None:
    cpu = torch.device("cpu")
    # the reflection padding before the last convolution: 64 channels of 70 x 70 pixels for 64 x 64
    assert _largest_tensor(ResnetGenerator(3, 64, 1), cpu) == pytest.approx(4 * 64 * (70 / 64) ** 2)
    assert _largest_tensor(woken(unshuffle=1, scale=4), cpu) == pytest.approx(4 * 3 * 16)


def test_tensors_between_modules_count() -> None:
    """A map that a function makes larger than any module's output decides what a budget is enough for."""

    class Maps(Pointwise):
        def forward(self, images: Tensor) -> Tensor:
            return torch.cat([images] * 7, dim=1).unflatten(1, (7, 3)).mean(dim=1)

    assert _largest_tensor(Maps(), torch.device("cpu")) == 4 * 21


@pytest.mark.parametrize("generator", [woken(), NAFNet(3, 4, [1], 1, [1]), PlainResidual(width=4, depth=0, scale=2)])
def test_constant_image_stays_without_seams(generator: nn.Module) -> None:
    image = torch.full((3, 161, 190), 0.4)
    restored = restore_image(generator, image, tile=64)
    inner = restored[:, 40:-40:2, 40:-40:2]  # a pixel shuffle may have a pattern of its own, of two pixels
    assert float(inner.amax(dim=(1, 2)).sub(inner.amin(dim=(1, 2))).max()) < 1e-5


def test_weights_of_tiles_without_finite_context_sum_to_one() -> None:
    image = torch.rand(3, 161, 190)
    identity = NAFNet(3, 4, [1], 1, [1])  # starts as the identity, whatever its tiles
    torch.testing.assert_close(restore_image(identity, image, tile=64), image, atol=1e-6, rtol=0)


def test_tiles_that_differ_are_blended_smoothly() -> None:
    ramp = torch.linspace(0, 1, 300).expand(3, 100, 300)
    restored = restore_image(TileMean(), ramp, tile=128)
    steps = restored[0, 50, 1:] - restored[0, 50, :-1]
    means = restored[0, 50, [0, -1]]
    assert means[1] - means[0] > 0.4  # the first and the last tile have very different means
    assert steps.min() >= -1e-6
    # a raised cosine over 32 pixels rises by at most pi / 2 / 32 of the difference a pixel; 128 pixels differ by 0.43
    assert steps.max() <= 0.43 * 1.571 / 32
    torch.testing.assert_close(restored, restored[:, 50:51].expand(3, 100, 300))


@pytest.mark.parametrize("overlap", [None, 0])
def test_generator_without_neighbours_or_weights(overlap: int | None) -> None:
    image = torch.rand(3, 150, 210)
    restored = restore_image(Pointwise(), image, tile=64, overlap=overlap)
    torch.testing.assert_close(restored, 1 - image, atol=1e-6, rtol=0)
    assert restore_image(TileMean(), image, tile=64, overlap=0).isfinite().all()


def test_grey_goes_through_three_channels_and_comes_back_grey() -> None:
    generator, image = woken(), torch.rand(1, 70, 150)
    expected = whole(generator, image.repeat(3, 1, 1)).mean(dim=0, keepdim=True)
    torch.testing.assert_close(restore_image(generator, image, tile=64), expected, atol=1e-5, rtol=0)


def test_colour_goes_through_one_channel_one_by_one() -> None:
    generator, image = woken(channels=1), torch.rand(3, 70, 150)
    expected = torch.cat([whole(generator, channel[None]) for channel in image])
    torch.testing.assert_close(restore_image(generator, image, tile=64), expected, atol=1e-5, rtol=0)


def test_other_channels_are_refused() -> None:
    with pytest.raises(MedrestoreError, match="has 2 channels, the generator takes 3"):
        restore_image(woken(), torch.rand(2, 8, 8))


@pytest.mark.parametrize("size", [(1, 1), (1, 200), (200, 3)])
def test_thin_images(size: tuple[int, int]) -> None:
    generator, image = woken(), torch.rand(3, *size)
    torch.testing.assert_close(restore_image(generator, image, tile=64), whole(generator, image), atol=1e-5, rtol=0)


def test_runs_in_evaluation_mode_and_puts_every_mode_back() -> None:
    generator = Counting(woken()).train()
    generator.generator.eval()
    restored = restore_image(generator, torch.rand(3, 20, 20))
    assert generator.modes == [False] and generator.training and not generator.generator.training
    assert not restored.requires_grad and not restored.is_inference()


def test_smaller_tiles_when_memory_runs_out() -> None:
    generator, image = Counting(woken(), most_pixels=100 * 100), torch.rand(3, 300, 400)
    restored = restore_image(generator, image)
    torch.testing.assert_close(restored, whole(generator.generator, image), atol=1e-5, rtol=0)
    assert generator.sizes[0] == (1, 3, 300, 400)


def test_what_was_done_before_memory_ran_out_is_not_added_twice() -> None:
    generator, image = Counting(woken()), torch.rand(3, 300, 400)
    calls = iter([None, None, torch.OutOfMemoryError()])

    def fail_at_the_third(module: nn.Module, inputs: tuple[Tensor, ...]) -> None:
        error = next(calls, None)
        if error is not None:
            raise error

    generator.register_forward_pre_hook(fail_at_the_third)
    restored = restore_image(generator, image, tile=192)
    torch.testing.assert_close(restored, whole(generator.generator, image), atol=1e-5, rtol=0)


def test_memory_that_is_never_enough_is_an_error_not_a_loop() -> None:
    generator = Counting(woken(), most_pixels=1).train()
    with pytest.raises(torch.OutOfMemoryError):
        restore_image(generator, torch.rand(3, 300, 400))
    assert generator.training


MEMORY = """
import re
from pathlib import Path
import torch
from medrestore.inference import restore_image
from medrestore.networks import PlainResidual

def peak():
    # not ru_maxrss: that of a child starts from its parent's
    return int(re.search(r"VmHWM:\\s+(\\d+)", Path("/proc/self/status").read_text())[1]) * 1024

torch.set_num_threads(1)
generator = PlainResidual(width=32, depth=1)
restore_image(generator, torch.rand(3, 64, 64))
start = peak()
image = torch.rand(3, 1536, 1536)
restore_image(generator, image, memory_bytes=100_000_000)
tiled = peak() - start
restore_image(generator, image)
print(tiled, peak() - start)
"""


@pytest.mark.skipif(not Path("/proc/self/status").exists(), reason="peak memory is read from Linux's /proc")
def test_memory_stays_within_the_budget() -> None:
    """Input and output are 28 MB each; the whole image at once takes several times that."""
    printed = subprocess.run([sys.executable, "-c", MEMORY], capture_output=True, text=True, check=True).stdout
    tiled, at_once = map(int, printed.split())
    assert tiled < 120_000_000
    assert at_once > 220_000_000
