import math
from itertools import pairwise

import cv2
import numpy as np
import pytest
import torch
from scipy import ndimage
from skimage import color, data, exposure
from torch import Tensor

from medrestore.classical import (
    AdaptiveUnsharp,
    Clahe,
    DarkChannel,
    Method,
    MitraStyle,
    WaveletContrast,
    XiongStyle,
    ZhouStyle,
    tune,
)
from medrestore.classical.clahe import equalise_lightness
from medrestore.classical.dark_channel import dark_channel, veil_colour
from medrestore.classical.guided_filter import box_mean, guided_filter
from medrestore.classical.mitra_style import equalised, recoloured, stretched, without_veil
from medrestore.classical.surround import enhance_field
from medrestore.classical.wavelet_contrast import gain, wavelet_planes
from medrestore.classical.xiong_style import background_pixels, spatial_entropy_contrast
from medrestore.classical.zhou_style import brighten

METHODS: list[Method] = [
    Clahe(),
    DarkChannel(),
    AdaptiveUnsharp(),
    WaveletContrast(),
    MitraStyle(),
    ZhouStyle(),
    XiongStyle(),
]
each_method = pytest.mark.parametrize("method", METHODS, ids=lambda method: method.name)


def clear_fundus(size: int = 96, channels: int = 3) -> Tensor:
    """`(1, channels, size, size)`: an orange disc with dark vessels and a bright optic disc, on black."""
    y, x = torch.meshgrid(*(torch.linspace(-1, 1, size, dtype=torch.float64),) * 2, indexing="ij")
    light = 0.8 - 0.2 * (x**2 + y**2)
    for bend in (-0.5, -0.15, 0.2, 0.55):
        light = light * (1 - 0.35 * torch.exp(-(((y - bend - 0.3 * x**2) / 0.03) ** 2)))
    light = light + 0.15 * torch.exp(-((x - 0.4) ** 2 + y**2) / 0.02)
    grain = 0.004 * torch.randn(size, size, generator=torch.Generator().manual_seed(1), dtype=torch.float64)
    colour = torch.tensor((1.0, 0.62, 0.3) if channels == 3 else (0.7,), dtype=torch.float64)
    edge = ((0.93 - (x**2 + y**2).sqrt()) * size / 4 + 0.5).clamp(0, 1)
    return ((light + grain) * colour[:, None, None] * edge).clamp(0, 1).float()[None]


def veiled_fundus(size: int = 96, channels: int = 3) -> Tensor:
    """The same through a cataract that is thicker on the left."""
    picture = clear_fundus(size, channels)
    thickness = torch.linspace(0.5, 0.25, size)
    lit = (picture.amax(1, keepdim=True) * 3).clamp(0, 1)
    return picture * (1 - thickness) + lit * thickness * 0.75


def inner(picture: Tensor) -> Tensor:
    size = picture.shape[-1]
    return picture[..., size // 4 : -size // 4, size // 4 : -size // 4]


def contrast(picture: Tensor) -> float:
    """Of the vessels: deviation from a wide local mean of the grey."""
    grey = inner(picture).mean(1)[0].double().numpy()
    return float((grey - ndimage.gaussian_filter(grey, 6)).std())


@each_method
@pytest.mark.parametrize("channels", [1, 3])
def test_contract(method: Method, channels: int) -> None:
    picture = veiled_fundus(channels=channels)[..., :90]
    before = picture.clone()
    both = torch.cat([picture, picture.flip(-1) * 0.8])
    restored = method.restore(both)
    assert restored.shape == both.shape and restored.dtype == torch.float32
    assert bool(restored.isfinite().all()) and float(restored.min()) >= 0 and float(restored.max()) <= 1
    assert torch.equal(restored[:1], method.restore(picture)) and torch.equal(restored[1:], method.restore(both[1:]))
    assert torch.equal(picture, before)
    assert method.kind == "classical" and not method.needs_kernel and method.scale == 1


@each_method
def test_grid(method: Method) -> None:
    settings = [method.with_parameters(setting).parameters for setting in method.grid()]
    assert 2 <= len(settings) <= 12
    assert all(before != after for before, after in pairwise(settings))
    assert all(setting.keys() == method.parameters.keys() for setting in settings)


@each_method
def test_tuning_chooses_the_setting_the_truth_was_made_with(method: Method) -> None:
    picture = inner(veiled_fundus(256))  # in a tile of fewer pixels all clip limits are one count
    wanted = method.with_parameters(method.grid()[-1])
    assert tune(method, [(picture, wanted.restore(picture), None)]) == wanted


@each_method
def test_surround_stays_black_and_nothing_stands_along_the_edge(method: Method) -> None:
    picture = veiled_fundus(128)
    noise = torch.rand(picture.shape, generator=torch.Generator().manual_seed(0)) * 0.03
    picture = torch.where(picture > 0.05, picture, noise * (picture.amax(1, keepdim=True) < 0.05))
    restored = method.restore(picture)
    y, x = torch.meshgrid(*(torch.linspace(-1, 1, 128),) * 2, indexing="ij")
    radius = (x**2 + y**2).sqrt()
    assert torch.equal(restored[..., radius > 0.97], picture[..., radius > 0.97])
    # A halo is a ring that is brighter, against what lies further in, than the method makes it elsewhere.
    profile = [
        float(restored.mean(1)[0, (radius > r) & (radius < r + 0.02)].mean()) for r in np.arange(0.7, 0.97, 0.02)
    ]
    assert max(profile[-6:]) < max(profile[:-6]) + 0.05


@each_method
def test_the_surround_has_no_say(method: Method) -> None:
    picture = veiled_fundus(96)
    framed = torch.nn.functional.pad(picture, (48, 10, 30, 20))
    assert torch.equal(method.restore(framed)[..., 30:-20, 48:-10], method.restore(picture))


@each_method
def test_raises_the_contrast_of_veiled_vessels(method: Method) -> None:
    picture = veiled_fundus(192)
    if isinstance(method, ZhouStyle):  # the paper's gamma is for dark photographs; it flattens what is bright
        method = method.with_parameters({"gamma": 1.1})
    assert contrast(method.restore(picture)) > 1.05 * contrast(picture)


@each_method
@pytest.mark.parametrize("value", [0.0, 0.4, 1.0])
def test_flat_pictures_survive(method: Method, value: float) -> None:
    flat = torch.full((1, 3, 40, 50), value)
    restored = method.restore(flat)
    assert bool(restored.isfinite().all())
    assert float(restored.std(dim=(-2, -1)).max()) < 1e-3
    if value == 0 or method.name in ("adaptive_unsharp", "wavelet_contrast", "dark_channel", "xiong_style"):
        assert restored.numpy() == pytest.approx(flat.numpy(), abs=1e-5)


def test_enhance_field_hands_on_a_field_without_edge() -> None:
    picture = veiled_fundus(96)
    seen: list[Tensor] = []

    def brightened(filled: Tensor) -> Tensor:
        seen.append(filled)
        return filled * 1.2

    restored = enhance_field(picture, brightened)
    assert float(seen[0].amax(1).min()) > 0.3  # no black is left
    expected = torch.where(picture.amax(1, keepdim=True) > 20 / 255, (picture * 1.2).clamp(max=1), picture)
    assert restored.numpy() == pytest.approx(expected.numpy(), abs=0.06)  # the rim
    assert torch.equal(inner(restored), (inner(picture) * 1.2).clamp(max=1))
    crop = inner(picture)
    assert torch.equal(enhance_field(crop, lambda filled: filled * 0.5), crop * 0.5)


def test_enhance_field_has_no_rim_where_the_picture_cuts_the_field() -> None:
    picture = veiled_fundus(96)[..., 30:70, :]
    restored = enhance_field(picture, lambda filled: filled * 0.5)
    assert torch.equal(restored[..., 20:-20], picture[..., 20:-20] * 0.5)
    assert torch.equal(restored[..., 0], picture[..., 0])


def test_enhance_field_leaves_a_caption_alone() -> None:
    picture = veiled_fundus(96)
    picture[..., 2:7, 2:14] = 1
    restored = enhance_field(picture, lambda filled: filled * 0.5)
    assert torch.equal(restored[..., :8, :16], picture[..., :8, :16])
    assert torch.equal(inner(restored), inner(picture) * 0.5)


def test_clahe_of_one_tile_by_hand() -> None:
    grey = data.camera()[100:228, 100:228]
    counts = np.bincount(grey.ravel(), minlength=256)
    excess = int(np.maximum(counts - 128, 0).sum())  # limit 2 x 128 x 128 / 256
    counts = np.minimum(counts, 128) + excess // 256
    counts[:: max(256 // (excess % 256), 1)][: excess % 256] += 1
    expected = np.rint(counts.cumsum() * 255 / grey.size)[grey]
    picture = torch.from_numpy(grey.astype(np.float32) / 255)[None, None]
    assert equalise_lightness(picture, 2.0, 1)[0, 0].numpy() * 255 == pytest.approx(expected, abs=1e-3)
    finer = equalise_lightness(picture + 0.001, 2.0, 1)[0, 0].numpy() * 255  # a quarter level: no rounding to levels
    assert finer == pytest.approx(np.minimum(expected + 0.255, 255), abs=1e-3)


def test_clahe_of_tiles_is_opencv_and_near_skimage() -> None:
    grey = data.camera()[100:356, 100:356]
    picture = torch.from_numpy(grey.astype(np.float32) / 255)[None, None]
    found = equalise_lightness(picture, 2.0, 4)[0, 0].numpy() * 255
    assert found == pytest.approx(cv2.createCLAHE(2.0, (4, 4)).apply(grey).astype(float), abs=1e-3)
    other = exposure.equalize_adapthist(grey, kernel_size=64, clip_limit=2 / 256, nbins=256) * 255
    assert np.corrcoef(found.ravel(), other.ravel())[0, 1] > 0.99  # it redistributes and rounds a little differently
    assert np.abs(found - other).mean() < 0.5 * np.abs(grey - other).mean()


def test_clahe_of_colour_changes_the_lightness_only() -> None:
    picture = inner(veiled_fundus(256))
    restored = Clahe().restore(picture)
    before, after = (color.rgb2lab(p[0].permute(1, 2, 0).double().numpy()) for p in (picture, restored))
    kept = (restored[0].amin(0).numpy() > 0.001) & (restored[0].amax(0).numpy() < 0.999)  # not clipped to sRGB
    assert kept.mean() > 0.9
    assert after[kept][:, 1:] == pytest.approx(before[kept][:, 1:], abs=0.5)  # of about +-100; OpenCV's tables
    levels = np.rint(before[..., 0] * 2.55).astype(np.uint8)
    expected = cv2.createCLAHE(2.0, (8, 8)).apply(levels) / 2.55
    assert (
        np.abs(after[..., 0] - expected)[kept].mean() < 0.5
    )  # a lightness at the edge of two levels may differ by one


def test_box_mean_and_guided_filter_by_hand() -> None:
    values = torch.rand(1, 1, 20, 23, generator=torch.Generator().manual_seed(2))
    counts = ndimage.uniform_filter(np.ones((20, 23)), 7, mode="constant")
    expected = ndimage.uniform_filter(values[0, 0].double().numpy(), 7, mode="constant") / counts
    assert box_mean(values, 3)[0, 0].numpy() == pytest.approx(expected, abs=1e-6)
    guide = torch.rand(1, 1, 20, 23, generator=torch.Generator().manual_seed(3))
    linear = 0.4 * guide + 0.1
    assert guided_filter(guide, linear, 4, 1e-9).numpy() == pytest.approx(linear.numpy(), abs=1e-5)
    smooth = box_mean(box_mean(values.double(), 4), 4)
    assert guided_filter(guide, values, 4, 1e9).numpy() == pytest.approx(smooth.numpy(), abs=1e-5)


def test_dark_channel_recovers_a_composed_scene() -> None:
    """I = J t + A (1 - t) of constant t; J has a black channel near each pixel, and a patch of pure veil."""
    light = torch.tensor([0.9, 0.8, 0.7])[None, :, None, None]
    scene = torch.rand(1, 3, 96, 96, generator=torch.Generator().manual_seed(4)) * 0.8
    scene[:, 1, ::2, ::2] = 0
    scene[..., :16, :16] = light
    hazy = scene * 0.6 + light * 0.4
    assert torch.allclose(veil_colour(hazy, 7), light)
    assert dark_channel(hazy / light, 7)[..., 24:, 24:].numpy() == pytest.approx(0.4, abs=1e-6)
    restored = DarkChannel(omega=1.0, patch=7).restore(hazy)
    far = 16 + 3 + 2 * 28  # beyond the patch and twice the guided filter's radius
    assert restored[..., far:, far:].numpy() == pytest.approx(scene[..., far:, far:].numpy(), abs=1e-4)
    assert restored[..., :8, :8].numpy() == pytest.approx(light.expand(1, 3, 8, 8).numpy(), abs=1e-5)
    half = DarkChannel(omega=0.5, patch=7).restore(hazy)[..., far:, far:]
    expected = (hazy - light) / 0.8 + light
    assert half.numpy() == pytest.approx(expected[..., far:, far:].clamp(0, 1).numpy(), abs=1e-4)


def test_dark_channel_of_grey_is_its_local_minimum() -> None:
    picture = torch.rand(1, 1, 30, 40, generator=torch.Generator().manual_seed(5))
    expected = ndimage.minimum_filter(picture[0, 0].numpy(), 7)
    assert torch.equal(dark_channel(picture, 7)[0, 0], torch.from_numpy(expected))


def test_adaptive_unsharp_by_its_three_classes() -> None:
    method = AdaptiveUnsharp(sigma=1.5, amount=1.2, flat=0.02)
    steps = torch.zeros(1, 1, 48, 240)
    steps += 0.3 + 0.01 * (torch.arange(240) // 8 % 2)  # deviation at most 0.005: flat
    assert torch.equal(method.restore(steps), steps)
    strong = 0.2 + 0.5 * (torch.arange(240) // 24 % 2)
    picture = strong.expand(1, 1, 48, 240).contiguous()
    plain = picture.double().numpy()[0, 0]
    detail = plain - ndimage.gaussian_filter(plain, 1.5, mode="mirror", radius=5)
    at_edge = np.abs(np.diff(plain[0], prepend=plain[0, 0])) > 0.1
    expected = np.clip(plain + 1.2 * 2 / 3 * detail, 0, 1)[:, at_edge]
    assert method.restore(picture)[0, 0].numpy()[:, at_edge] == pytest.approx(expected, abs=1e-5)
    medium = 0.02 * (1 + math.sqrt(200 / 60)) / 2  # a checkerboard of this amplitude has this deviation
    board = 0.5 + medium * (1 - 2 * ((torch.arange(48)[:, None] + torch.arange(48)) % 2)).float()[None, None]
    gained = (method.restore(board) - board)[..., 10:-10, 10:-10].abs() / medium
    assert gained.numpy() == pytest.approx(1.2, rel=0.05)


def test_wavelet_planes_are_b3_splines_and_sum_to_the_picture() -> None:
    picture = torch.rand(1, 2, 40, 50, generator=torch.Generator().manual_seed(6), dtype=torch.float64)
    planes = wavelet_planes(picture, 4)
    assert len(planes) == 5
    assert sum(planes).numpy() == pytest.approx(picture.numpy(), abs=1e-12)  # pyright: ignore
    taps = np.array([1, 0, 4, 0, 6, 0, 4, 0, 1]) / 16
    first = (picture - planes[0])[0, 1].numpy()
    second = ndimage.convolve1d(ndimage.convolve1d(first, taps, 0, mode="mirror"), taps, 1, mode="mirror")
    assert planes[1][0, 1].numpy() == pytest.approx(first - second, abs=1e-12)


def test_wavelet_noise_shares() -> None:
    noise = torch.randn(1, 1, 512, 512, generator=torch.Generator().manual_seed(7))
    found = [float(plane.std()) for plane in wavelet_planes(noise, 4)[:4]]
    assert found == pytest.approx([0.8908, 0.2007, 0.0856, 0.0413], rel=0.05)


def test_wavelet_gain_curve_by_hand() -> None:
    sizes = torch.tensor([0.0, 2.9, 3.0, 4.5, 6.0, 10.0, 20.0, 30.0], dtype=torch.float64)
    peak = (20 / 3) ** 0.5
    expected = [1, 1, 1, 0.5 * peak + 0.5, (20 / 6) ** 0.5, 2**0.5, 1, 1]
    assert gain(sizes, 3, 20, 0.5).numpy() == pytest.approx(expected)
    assert torch.equal(gain(sizes, 3, 20, 0.0), torch.ones(8, dtype=torch.float64))


def test_wavelet_of_power_zero_is_the_input() -> None:
    picture = inner(veiled_fundus())
    assert WaveletContrast(power=0).restore(picture).numpy() == pytest.approx(picture.numpy(), abs=1e-6)


def test_zhou_keeps_hue_and_saturation_before_clahe() -> None:
    picture = veiled_fundus()
    brighter = brighten(picture, 2.2)
    lit = picture[0].amax(0).numpy() > 0.02
    before, after = (color.rgb2hsv(p[0].permute(1, 2, 0).double().numpy()) for p in (picture, brighter))
    assert after[lit][:, :2] == pytest.approx(before[lit][:, :2], abs=1e-5)
    assert after[..., 2] == pytest.approx(before[..., 2] ** (1 / 2.2), abs=1e-3)
    assert torch.equal(brighter[picture == 0], picture[picture == 0])
    crop = inner(picture)
    assert torch.equal(ZhouStyle().restore(crop), equalise_lightness(brighten(crop, 2.2), 2.0, 8))
    assert torch.equal(brighten(crop, 1.0), crop)


def test_mitra_takes_off_a_smooth_factor() -> None:
    """A wave below the cut-off is taken off by the transfer function's share, one far above it stays."""
    n, cut_off = 512, 0.02
    x = torch.arange(n, dtype=torch.float64)
    slow, fast = torch.cos(2 * math.pi * x * 2 / n), torch.cos(2 * math.pi * x * 100 / n)
    picture = torch.exp(0.2 * slow + 0.1 * fast - 1).expand(1, 1, 16, n) - 1 / 255
    left = torch.log(without_veil(picture, 1.0, cut_off) + 1 / 255)[0, 0, 8, 100:-100].numpy()
    response = math.exp(-((2 / n / (cut_off / 2)) ** 2) / 2)
    expected = 0.2 * (1 - response) * slow + 0.1 * fast
    assert left - left.mean() == pytest.approx((expected - expected[100:-100].mean())[100:-100].numpy(), abs=3e-3)
    assert torch.allclose(without_veil(picture, 0.0, cut_off), picture, atol=1e-9)


def test_mitra_equalises_and_keeps_the_hue() -> None:
    picture = inner(clear_fundus(128))
    intensity = picture.mean(1, keepdim=True)
    equal = equalised(intensity)
    reference = exposure.equalize_hist(intensity[0, 0].double().numpy(), 256)
    assert equal[0, 0].numpy() == pytest.approx(reference, abs=0.04)
    assert float(equal.mean()) == pytest.approx(0.5, abs=0.01)
    coloured = recoloured(picture, equal)
    assert coloured.mean(1, keepdim=True).numpy() == pytest.approx(equal.numpy(), abs=1e-5)
    hues = [color.rgb2hsv(p[0].permute(1, 2, 0).double().numpy())[..., 0] for p in (picture, coloured)]
    apart = coloured[0].amax(0).numpy() - coloured[0].amin(0).numpy() > 0.02
    assert hues[1][apart] == pytest.approx(hues[0][apart], abs=1e-3)


def test_mitra_stretch_takes_off_an_offset_without_a_cast() -> None:
    ramp = torch.linspace(0, 1, 1001).expand(1, 3, 20, 1001)
    tint = torch.tensor([0.9, 0.6, 0.3])[None, :, None, None]
    veiled = (0.5 * ramp + 0.5) * tint
    middle = slice(20, -20)
    moved = stretched(veiled)[..., middle]
    assert moved.numpy() == pytest.approx((ramp * tint)[..., middle].numpy(), abs=0.01)


def test_xiong_undoes_scattering_of_dark_spots() -> None:
    """Spots on a flat ground A: their depth a t comes back to a t / (1 - omega (1 - a t / A))."""
    depth = torch.zeros(64, 64)
    depth[8::16, 8::16] = 0.1
    picture = (0.5 - depth)[None, None]
    background = background_pixels(picture, 8)[0, 0]
    assert torch.equal(background, depth == 0)
    transmission = 1 - 0.8 * (1 - 0.1 / 0.5)
    restored = XiongStyle(omega=0.8, radius=16).restore(picture)[0, 0]
    assert restored[24:40, 24:40].numpy() == pytest.approx((0.5 - depth / transmission)[24:40, 24:40].numpy(), abs=0.01)
    assert torch.allclose(XiongStyle(omega=0).restore(picture)[0, 0], picture[0, 0], atol=1e-6)


def test_spatial_entropy_by_hand() -> None:
    """Two levels over all 64 cells, one over 16 of them, one in a single cell."""
    levels = torch.tensor([10, 30, 45, 60])
    which = torch.arange(64)[:, None].expand(64, 64) % 2  # 10 and 30 everywhere
    which = which.clone()
    which[:32:8, :32:8] = 2
    which[1, 1], which[2:32:8, 2:32:8] = 3, 2
    for column in range(0, 32, 8):
        assert len(which[:8, column : column + 8].unique()) >= 3
    mapped = spatial_entropy_contrast((levels[which] / 63)[None, None])[0, 0]
    entropy = []
    for level in range(4):
        cells = (which == level).double().view(8, 8, 8, 8).sum(dim=(1, 3)).flatten()
        share = (cells / cells.sum())[cells > 0]
        entropy.append(float(-(share * share.log2()).sum()))
    room = np.cumsum([e / (sum(entropy) - e) for e in entropy])
    expected = room / room[-1]  # level 0 is empty and stays black
    for level in range(4):
        assert mapped[which == level].numpy() == pytest.approx(expected[level], abs=1e-5)
    assert entropy[3] == 0 and expected[3] == expected[2]
    flat = torch.full((1, 1, 16, 16), 0.4)
    assert torch.equal(spatial_entropy_contrast(flat), flat)
