"""Following vessels from end to end in a segmentation: how far a path stays on them, which break, which are invented.

S2 shows tracking as pictures and gives no method. Ours: the skeleton of the reference is cut at its branchings into
segments, and each is followed along the minimal path between its two ends (Cohen and Kimmel, IJCV 24, 1997) on the cost
1 / (eps + vesselness).
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import NamedTuple

import numpy as np
from numpy.typing import NDArray
from scipy.ndimage import convolve, distance_transform_edt, find_objects
from skimage.graph import route_through_array
from skimage.measure import label
from skimage.morphology import skeletonize

TOLERANCE = 3  # pixels
LEAST = 10  # pixels of skeleton that make a segment
_EPS = 0.05  # of the cost: crossing what is no vessel costs 21 times as much as following one
_ROOM = 16  # pixels around a segment in which its path may go
_EIGHT = np.ones((3, 3), dtype=np.int64)

Map = NDArray[np.bool_]
Pixel = tuple[int, int]


class Tracking(NamedTuple):
    """What following the segments of one photograph gave.

    Attributes:
        followed: share of the pixels of all paths that lie within 3 pixels of the segment they should follow.
        segments: number of segments of the reference.
        broken: so many of them are not followed from end to end: more than 3 pixels of their path in a row are not
            called vessel, or lie more than 3 pixels from the segment.
        invented: number of segments of the found skeleton of which more than half lies more than 3 pixels from any
            vessel of the reference.
    """

    followed: float
    segments: int
    broken: int
    invented: int


@dataclass(frozen=True)
class Segment:
    """One segment of the reference, in a box with some room around it.

    Attributes:
        box: the box in the photograph.
        ends: first and last pixel of the segment, in the box.
        near: bool, what of the box lies within 3 pixels of this segment's vessel.
    """

    box: tuple[slice, slice]
    ends: tuple[Pixel, Pixel]
    near: Map


@dataclass(frozen=True)
class Course:
    """Where the vessels of a reference run; made once a photograph, for all rows.

    Attributes:
        segments: pieces of the skeleton between branchings and tips, of at least 10 pixels.
        far: bool `(H, W)`, what lies more than 3 pixels from every vessel.
    """

    segments: tuple[Segment, ...]
    far: Map


def course_of(reference: Map) -> Course:
    """Cut a reference `(H, W)` into segments.

    A pixel of a vessel belongs to the segment whose skeleton is nearest, so that a path in a wide vessel needs not stay
    in its middle. Rings without a branching have no ends and are left out; so are bends that even the path in the
    reference itself cuts short.
    """
    numbers, boxes = _pieces(reference)
    far = np.asarray(distance_transform_edt(~reference)) > TOLERANCE if reference.any() else np.ones_like(reference)
    if not boxes:
        return Course((), far)
    places = np.asarray(distance_transform_edt(numbers == 0, return_distances=False, return_indices=True))
    owners = np.where(reference, numbers[places[0], places[1]], 0)
    segments = []
    for number, tight in boxes:
        box = tuple(slice(max(0, side.start - _ROOM), side.stop + _ROOM) for side in tight)
        ends = np.argwhere(_tips(numbers[box] == number))
        if len(ends) == 2:
            near = np.asarray(distance_transform_edt(owners[box] != number)) <= TOLERANCE
            first, last = ((int(row), int(column)) for row, column in ends)
            segment = Segment((box[0], box[1]), (first, last), near)
            if _path(segment, reference[box].astype(np.float64), reference[box])[1] == 0:
                segments.append(segment)
    return Course(tuple(segments), far)


def track(response: NDArray, threshold: float, course: Course, inside: Map) -> Tracking:
    """Follow every segment of a reference in a segmentation.

    Args:
        response: `(H, W)`, larger where a vessel is more likely, 0 where there is none.
        threshold: a pixel is called vessel from this response on; vesselness is 1/2 there and 1 at twice of it.
        course: of the reference.
        inside: the field of view, bool `(H, W)`.

    Returns:
        The counts; `followed` is NaN where the reference has no segment.
    """
    found = (response >= threshold) & inside
    vesselness = np.where(inside, np.clip(response / (2 * threshold), 0, 1), 0).astype(np.float64)
    near_pixels = all_pixels = broken = 0
    for segment in course.segments:
        near, lost = _path(segment, vesselness[segment.box], found[segment.box])
        near_pixels += int(near.sum())
        all_pixels += len(near)
        broken += lost > TOLERANCE
    followed = near_pixels / all_pixels if all_pixels else float("nan")
    return Tracking(followed, len(course.segments), broken, _invented(found, course.far))


def _path(segment: Segment, vesselness: NDArray[np.float64], found: Map) -> tuple[Map, int]:
    """Which pixels of the minimal path are near the segment, and most of them in a row that are not, or not found."""
    path, _ = route_through_array(1 / (_EPS + vesselness), *segment.ends, geometric=True)
    rows, columns = np.array(path).T
    near = segment.near[rows, columns]
    return near, _longest_run(~(near & found[rows, columns]))


def _invented(found: Map, far: Map) -> int:
    numbers, boxes = _pieces(found)
    return sum(bool(far[box][numbers[box] == number].mean() > 0.5) for number, box in boxes)


def _pieces(vessels: Map) -> tuple[NDArray[np.int32], list[tuple[int, tuple[slice, slice]]]]:
    """Number the pieces of a skeleton that branchings leave, `(H, W)`, and give the box of each; short ones are 0."""
    skeleton = skeletonize(vessels)
    neighbours = convolve(skeleton.astype(np.int64), _EIGHT, mode="constant") - 1
    numbers = np.asarray(label(skeleton & (neighbours <= 2), connectivity=2), dtype=np.int32)
    sizes = np.bincount(numbers.ravel())
    numbers[sizes[numbers] < LEAST] = 0
    boxes = find_objects(numbers)
    return numbers, [(number, box) for number, box in enumerate(boxes, 1) if box is not None]


def _tips(piece: Map) -> Map:
    return piece & (convolve(piece.astype(np.int64), _EIGHT, mode="constant") == 2)


def _longest_run(values: Map) -> int:
    edges = np.flatnonzero(np.diff(np.concatenate(([False], values, [False])).astype(np.int8)))
    return int((edges[1::2] - edges[::2]).max()) if len(edges) else 0
