"""Projective blur of a camera that turns while its shutter is open, which S4 names as future work."""

from __future__ import annotations

import math
from collections.abc import Sequence

import torch
import torch.nn.functional as F
from torch import Tensor

from medrestore.degradations.hand import Preset, hand_of
from medrestore.degradations.parameters import Frame, Parameters, draw_seed, frame_of
from medrestore.degradations.sensor import Sensor, recorded
from medrestore.errors import MedrestoreError

_LARGEST_TURN = 0.5  # radians; further, the image's edges would come near the camera's plane


class CameraRotationBlur:
    """Averages an image over the small rotations of a pinhole camera about its three axes.

    A turn R moves a point x (pixels from the image's middle, the focal length f as third coordinate) to K R K^-1 x.
    Tilt and pan follow one random path as `MotionBlur` draws it, roll the columns of another. Both are given as lengths
    in pixels, so that images of all sizes are blurred alike: of the path of the middle, and of the part of the way of
    the corners that roll adds. The mean rotation is taken out, so that pairs stay registered to first order.
    The camera's axis goes through the middle of the whole image: a training crop gets the blur of its place by
    `Parameters.frame`. Borders reflect.

    Args:
        preset: as for `MotionBlur`.
        length: of the middle's path in pixels; None = the preset's; 0 = roll alone.
        roll: of the corners' path about the middle in pixels; None = as `length`; 0 = tilt and pan alone.
        exposure: fraction of the paths that is exposed, in (0, 1]; None = the preset's.
        anxiety: one number, or the range it is drawn from; None = the preset's.
        focal: focal length in units of the image's longer side; 1 sees 53 degrees.
        samples: points of a path.
        sensor: noise and quantisation after the blur; None = none.

    Raises:
        MedrestoreError: a number is out of range; on `apply`, the paths are too long for the image.
    """

    scale = 1

    def __init__(
        self,
        preset: Preset = "small",
        length: float | None = None,
        roll: float | None = None,
        exposure: float | None = None,
        anxiety: float | Sequence[float] | None = None,
        focal: float = 1.0,
        samples: int = 2000,
        sensor: Sensor | None = None,
    ) -> None:
        self.hand = hand_of(preset, length, exposure, anxiety, samples)
        self.roll = self.hand.length if roll is None else roll
        if self.roll < 0:
            raise MedrestoreError(f"roll is a number of pixels >= 0, found {roll}; type roll=20")
        if not 0.25 <= focal < math.inf:
            raise MedrestoreError(f"focal is at least 0.25 of the image's longer side, found {focal}; type focal=1")
        self.focal, self.sensor = focal, sensor
        self._stretch = 1 + 0.5 / focal**2  # perspective: a corner's way is at most so much longer than the middle's
        way = self.hand.exposure * (self.hand.length * self._stretch + self.roll)
        self._steps = math.ceil(way / 2) + 1  # less than a pixel apart in the middle, at most two in the corners
        self.margin = 0 if way == 0 else math.ceil(way / 2) + 2

    def sample(self, generator: torch.Generator) -> Parameters:
        """Draw the paths; `field` is float64 `(n, 3)`: the middle's columns and rows, the corners' roll, in pixels.

        The description holds `length` and `roll` in pixels, `exposure`, `anxiety`, `focal` and `rms_radius`: the root
        mean square over a square image, to first order in the angles.
        """
        anxiety = self.hand.draw_anxiety(generator)
        middle = self.hand.draw_path(anxiety, generator)
        corner = self.hand.draw_path(anxiety, generator, self.roll).real
        exposed = int(self.hand.samples * self.hand.exposure)
        moments = torch.linspace(0, exposed - 1, min(self._steps, exposed), dtype=torch.float64).round().long()
        field = torch.stack([middle.real, middle.imag, corner], dim=1)[moments]
        field = field - field.mean(0)
        description: dict[str, float | int | str] = {
            "type": "motion_rotation",
            "length": self.hand.length,
            "roll": self.roll,
            "exposure": self.hand.exposure,
            "anxiety": anxiety,
            "focal": self.focal,
            "rms_radius": _rms_radius(field, self.focal),
        }
        way = float((field[:, :2].norm(dim=1) * self._stretch + field[:, 2].abs()).max())
        margin = min(self.margin, math.ceil(way) + 2)
        return Parameters(None, description, draw_seed(generator), field=field, margin=margin)

    def apply(self, image: Tensor, parameters: Parameters) -> Tensor:
        """Blur and record `(C, H, W)` or `(N, C, H, W)` of any unit; borders reflect."""
        assert parameters.field is not None
        frame = frame_of(image, parameters)
        turns = _rotations(parameters.field, self.focal, frame)
        blurred = _averaged(image, turns, self.focal * max(frame.height, frame.width), frame)
        return recorded(blurred, self.sensor, parameters.seed)


def _rotations(field: Tensor, focal: float, frame: Frame) -> Tensor:
    """Rotation matrices `(n, 3, 3)` of the camera for ways in pixels `(n, 3)`."""
    reach = focal * max(frame.height, frame.width)
    columns, rows, roll = field.unbind(1)
    x, y, z = -rows / reach, columns / reach, roll / (math.hypot(frame.height, frame.width) / 2)
    largest = float(torch.hypot(x, y).max())
    if largest > _LARGEST_TURN:
        raise MedrestoreError(
            f"a path tilts the camera by {math.degrees(largest):.0f} degrees on an image of {frame.height} x "
            f"{frame.width}, more than {math.degrees(_LARGEST_TURN):.0f}; type a smaller degradation.operator.length"
        )
    zero = torch.zeros_like(x)
    return torch.linalg.matrix_exp(torch.stack([zero, -z, y, z, zero, -x, -y, x, zero], dim=1).view(-1, 3, 3))


def _averaged(image: Tensor, turns: Tensor, focal: float, frame: Frame) -> Tensor:
    """The mean of the views `(..., H, W)` of a camera after each turn, values between pixels by bilinear weights."""
    if torch.equal(turns, torch.eye(3).to(turns).expand_as(turns)):
        return image.clone()
    height, width = image.shape[-2:]
    planes = image.reshape(1, -1, height, width)  # all images and channels see the same turns
    middle = ((frame.height - 1) / 2 - frame.top, (frame.width - 1) / 2 - frame.left)
    y = torch.arange(height, device=image.device, dtype=image.dtype)[:, None] - middle[0]
    x = torch.arange(width, device=image.device, dtype=image.dtype) - middle[1]
    total = torch.zeros_like(planes)
    grid = image.new_empty(1, height, width, 2)
    for turn in turns.tolist():
        along, down, depth = (row[0] * x + (row[1] * y + row[2] * focal) for row in turn)
        shrink = focal / depth
        grid[0, ..., 0] = (along * shrink + middle[1]) * (2 / max(1, width - 1)) - 1
        grid[0, ..., 1] = (down * shrink + middle[0]) * (2 / max(1, height - 1)) - 1
        total += F.grid_sample(planes, grid, mode="bilinear", padding_mode="reflection", align_corners=True)
    return (total / len(turns)).view_as(image)


def _rms_radius(field: Tensor, focal: float) -> float:
    """Root mean square way of the points of a square image, in pixels, to first order in the angles."""
    columns, rows, roll = field.T[:, :, None, None]
    side = torch.linspace(-0.5, 0.5, 17, dtype=torch.float64)[:-1] + 1 / 32
    y, x = side[:, None], side
    along = columns * (1 + x**2 / focal**2) + rows * x * y / focal**2 - roll * y * math.sqrt(2)
    down = rows * (1 + y**2 / focal**2) + columns * x * y / focal**2 + roll * x * math.sqrt(2)
    return math.sqrt(float((along**2 + down**2).mean()))
