from pathlib import Path

import cv2
import numpy as np
import PIL.Image
import pytest
import torch

from medrestore.errors import MedrestoreError
from medrestore.imaging import frames, read


def _planes(stored: np.ndarray, white: int) -> torch.Tensor:
    planes = stored[None] if stored.ndim == 2 else stored.transpose(2, 0, 1)
    return torch.from_numpy(planes.astype(np.float64) / white).float()


@pytest.mark.parametrize("suffix", [".png", ".bmp", ".gif"])
@pytest.mark.parametrize("shape", [(13, 18), (13, 18, 3)])
def test_eight_bit(tmp_path: Path, rng: np.random.Generator, suffix: str, shape: tuple[int, ...]):
    stored = rng.integers(0, 5, shape, dtype=np.uint8) * 50  # few colours, so that a GIF is exact
    path = tmp_path / f"a{suffix}"
    PIL.Image.fromarray(stored).save(path)
    image = read(path)
    assert torch.equal(image.pixels, _planes(stored, 255))
    assert (image.unit, image.window, image.spacing, image.mask, image.group) == ("intensity", None, None, None, None)
    assert image.metadata == {"format": suffix[1:], "bits": 8}
    assert image.source == path and frames(path) == 1


@pytest.mark.parametrize("channels", [1, 3, 4])
def test_sixteen_bit_png_keeps_its_bits(tmp_path: Path, rng: np.random.Generator, channels: int):
    stored = rng.integers(0, 65536, (13, 18, channels), dtype=np.uint16)
    stored[0, 0] = 1  # a quarter of an 8-bit step: 0 for a reader that drops the low byte
    path = tmp_path / "a.png"
    order = {1: [0], 3: [2, 1, 0], 4: [2, 1, 0, 3]}[channels]  # an independent writer, in its own channel order
    assert cv2.imwrite(str(path), stored[..., order])
    image = read(path)
    assert torch.equal(image.pixels, _planes(stored[..., : min(channels, 3)], 65535))
    assert image.metadata == {"format": "png", "bits": 16}


def test_palette_and_alpha(tmp_path: Path, rng: np.random.Generator):
    rgba = rng.integers(0, 256, (7, 9, 4), dtype=np.uint8)
    PIL.Image.fromarray(rgba).save(tmp_path / "rgba.png")
    assert torch.equal(read(tmp_path / "rgba.png").pixels, _planes(rgba[..., :3], 255))

    PIL.Image.fromarray(rgba[..., :2], mode=None).save(tmp_path / "la.png")
    assert torch.equal(read(tmp_path / "la.png").pixels, _planes(rgba[..., 0], 255))

    indices = rng.integers(0, 3, (7, 9), dtype=np.uint8)
    colours = np.array([[255, 0, 10], [1, 2, 3], [9, 9, 9]], dtype=np.uint8)
    picture = PIL.Image.fromarray(indices).convert("P")
    for name, table, expected in (
        ("colour", colours, colours[indices]),
        ("grey", colours[:, 2:].repeat(3, 1), colours[:, 2][indices]),
    ):
        picture.putpalette(table.tobytes())
        picture.save(tmp_path / f"{name}.png", transparency=bytes([0, 255, 255]))
        assert torch.equal(read(tmp_path / f"{name}.png").pixels, _planes(expected, 255)), name


def test_bilevel_is_black_and_white_grey(tmp_path: Path):
    bits = np.eye(9, dtype=bool)
    PIL.Image.fromarray(bits).save(tmp_path / "a.png")
    image = read(tmp_path / "a.png")
    assert torch.equal(image.pixels[0], torch.eye(9)) and image.pixels.shape == (1, 9, 9)


@pytest.mark.parametrize("orientation", range(1, 9))
def test_jpeg_is_turned_upright(tmp_path: Path, orientation: int):
    upright = np.kron(np.array([[0, 80, 160], [240, 200, 120]], dtype=np.uint8), np.ones((16, 16), dtype=np.uint8))
    # What the camera stored, so that turning it as EXIF says gives `upright` (EXIF 2.3, tag 0x0112).
    stored = {
        1: upright,
        2: upright[:, ::-1],
        3: upright[::-1, ::-1],
        4: upright[::-1],
        5: upright.T,
        6: np.rot90(upright),
        7: upright[::-1, ::-1].T,
        8: np.rot90(upright, -1),
    }[orientation]
    exif = PIL.Image.Exif()
    exif[0x0112] = orientation
    path = tmp_path / "a.jpg"
    PIL.Image.fromarray(np.ascontiguousarray(stored)).save(path, quality=95, exif=exif)
    pixels = read(path).pixels
    assert pixels.shape == (1, 32, 48)
    torch.testing.assert_close(pixels, _planes(upright, 255), atol=4 / 255, rtol=0)


def test_colour_and_cmyk_jpeg(tmp_path: Path):
    rgb = np.zeros((16, 16, 3), dtype=np.uint8) + np.array([200, 100, 50], dtype=np.uint8)
    for mode in ("RGB", "CMYK"):
        PIL.Image.fromarray(rgb).convert(mode).save(tmp_path / f"{mode}.jpg", quality=95)
        image = read(tmp_path / f"{mode}.jpg")
        assert image.metadata == {"format": "jpeg", "bits": 8}
        torch.testing.assert_close(image.pixels, _planes(rgb, 255), atol=3 / 255, rtol=0)


def test_frames_of_a_gif(tmp_path: Path):
    pages = [PIL.Image.fromarray(np.full((4, 5), value, dtype=np.uint8)) for value in (10, 90, 200)]
    pages[0].save(tmp_path / "a.gif", save_all=True, append_images=pages[1:])
    assert frames(tmp_path / "a.gif") == 3
    assert read(tmp_path / "a.gif", frame=2).pixels.unique().tolist() == pytest.approx([200 / 255])
    with pytest.raises(MedrestoreError, match="choose 0 to 2"):
        read(tmp_path / "a.gif", frame=3)
