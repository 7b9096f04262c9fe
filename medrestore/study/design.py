"""Who sees what in which order: a pure function of the study's seed, the rater's code and the answers so far."""

from __future__ import annotations

import hashlib
import random
from collections import Counter
from collections.abc import Sequence
from dataclasses import dataclass
from functools import lru_cache
from typing import Literal

from medrestore.errors import MedrestoreError
from medrestore.study.manifest import ANCHOR, REFERENCE, Stimulus, Study

GATE_LOW, GATE_HIGH = 2, 4  # an anchor may get at most, a reference at least this score (methods.md 8.3)
Block = Literal["practice", "stabilising", "main"]
Phase = Literal["practice", "main", "finished", "locked"]


@dataclass(frozen=True)
class Trial:
    """One picture in a rater's order: its id, the block it belongs to, and whether this rater saw it before."""

    stimulus: str
    block: Block
    repeat: bool = False


@dataclass(frozen=True)
class Place:
    """Where a rater stands.

    Attributes:
        phase: practice, main session, finished, or locked after the last failed practice.
        number: of the next answer, which is the number of answers so far.
        done: answers in this phase.
        total: trials of this phase.
        attempt: which practice it is or was, from 1.
        trial: what to show; None when there is nothing more.
        following: what comes after it in the same block, for loading ahead.
    """

    phase: Phase
    number: int
    done: int
    total: int
    attempt: int
    trial: Trial | None
    following: Trial | None = None


def place(study: Study, rater: str, scores: Sequence[int]) -> Place:
    """Where a rater stands after `scores`, the answers in the order given.

    The session begins when a practice was passed; each failed one is followed by another, up to `plan.attempts`.
    """
    begin, attempt = 0, 1
    while True:
        trials = practice(study, rater, attempt)
        given = scores[begin : begin + len(trials)]
        if len(given) < len(trials):
            return _at("practice", trials, len(scores), len(given), attempt)
        begin += len(trials)
        if passed(study, trials, given):
            break
        if attempt == study.plan.attempts:
            return Place("locked", len(scores), len(given), len(trials), attempt, None)
        attempt += 1
    trials = session(study, rater)
    return _at(
        "main" if len(scores) - begin < len(trials) else "finished", trials, len(scores), len(scores) - begin, attempt
    )


def trials_of(study: Study, rater: str, scores: Sequence[int]) -> list[Trial]:
    """The trial behind each of a rater's answers; shorter than `scores` where there are more answers than trials."""
    trials: list[Trial] = []
    for attempt in range(1, study.plan.attempts + 1):
        block = practice(study, rater, attempt)
        given = scores[len(trials) : len(trials) + len(block)]
        trials += block
        if len(given) < len(block):
            break
        if passed(study, block, given):
            trials += session(study, rater)
            break
    return trials[: len(scores)]


def _at(phase: Phase, trials: Sequence[Trial], number: int, done: int, attempt: int) -> Place:
    trial = trials[done] if done < len(trials) else None
    following = trials[done + 1] if done + 1 < len(trials) else None
    return Place(phase, number, min(done, len(trials)), len(trials), attempt, trial, following)


def passed(study: Study, trials: Sequence[Trial], scores: Sequence[int]) -> bool:
    """Whether a practice shows that the scale was understood: every reference high, every anchor low."""
    for trial, score in zip(trials, scores, strict=True):
        method = study.by_id[trial.stimulus].method
        if (method == REFERENCE and score < GATE_HIGH) or (method == ANCHOR and score > GATE_LOW):
            return False
    return True


@lru_cache(maxsize=4096)
def practice(study: Study, rater: str, attempt: int) -> tuple[Trial, ...]:
    """The block before the session: some pictures of each quality, and reference and anchor of the practice scenes."""
    generator = _generator(study, rater, f"practice {attempt}")
    pictures = study.of("practice")
    gates = [picture for picture in pictures if picture.method in (REFERENCE, ANCHOR)]
    rest = shuffled([picture for picture in pictures if picture not in gates], generator)
    chosen = spread([*gates, *rest[: study.plan.practice]], generator, strict=False)
    return tuple(Trial(picture.id, "practice") for picture in chosen)


@lru_cache(maxsize=4096)
def session(study: Study, rater: str) -> tuple[Trial, ...]:
    """The main session: stabilising pictures, then every rated picture and anchor once, and the repeats once more.

    No two pictures of one scene follow each other, the stabilising ones included.
    """
    generator = _generator(study, rater, "session")
    once = [*study.of("rated"), *study.of("anchor")]
    again = shuffled(study.of("rated"), generator)[: study.plan.repeats]
    order = spread([*once, *again], generator)
    seen: set[str] = set()
    trials = []
    for picture in order:
        trials.append(Trial(picture.id, "main", picture.id in seen))
        seen.add(picture.id)
    practised = shuffled([p for p in study.of("practice") if p.method not in (REFERENCE, ANCHOR)], generator)
    first: list[Stimulus] = []
    for picture in practised:
        if len(first) < study.plan.stabilising and (not first or picture.scene != first[-1].scene):
            first.append(picture)
    return (*(Trial(picture.id, "stabilising") for picture in first), *trials)


def spread(pictures: Sequence[Stimulus], generator: random.Random, strict: bool = True) -> list[Stimulus]:
    """A random order in which no two pictures of one scene follow each other.

    Drawn one by one among all pictures that may come next, every one alike, as long as the rest can still be ordered:
    a scene with more pictures left than half the places must come now.

    Args:
        pictures: with repetitions where one is shown twice.
        generator: of the draws.
        strict: False = where it cannot be, neighbours of one scene are accepted.

    Raises:
        MedrestoreError: one scene has more than half of the pictures.
    """
    left = list(pictures)
    order: list[Stimulus] = []
    while left:
        counts = Counter(picture.scene for picture in left)
        last = order[-1].scene if order else None
        scene, most = max(counts.items(), key=lambda item: item[1])
        # after this place, len(left) - 1 remain: the most frequent scene needs a stranger between each two of its own
        if 2 * most > len(left) and scene != last:
            choice = [picture for picture in left if picture.scene == scene]
        else:
            choice = [picture for picture in left if picture.scene != last]
        if not choice or 2 * most > len(left) + (scene != last):
            if strict:
                raise MedrestoreError(f"{most} of {len(left)} pictures show one scene: choose more scenes (scenes=12)")
            choice = choice or left
        picked = choice[int(generator.random() * len(choice))]
        left.remove(picked)
        order.append(picked)
    return order


def shuffled(pictures: Sequence[Stimulus], generator: random.Random) -> list[Stimulus]:
    """A random order; from `random()` alone, whose stream Python keeps between versions."""
    return [picture for _, picture in sorted(((generator.random(), p) for p in pictures), key=lambda pair: pair[0])]


def _generator(study: Study, rater: str, what: str) -> random.Random:
    digest = hashlib.sha256(f"{study.seed}\n{rater}\n{what}".encode()).digest()
    return random.Random(int.from_bytes(digest[:8], "big"))
