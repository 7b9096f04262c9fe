"""Orders of pictures: what every one of them must hold to, for many raters and many shapes of study."""

from __future__ import annotations

import random
from collections import Counter
from dataclasses import replace
from itertools import pairwise
from pathlib import Path

import pytest
from small_study import small_study

from medrestore.errors import MedrestoreError
from medrestore.study.design import passed, place, practice, session, spread, trials_of
from medrestore.study.manifest import ANCHOR, REFERENCE, Stimulus, Study


@pytest.fixture(scope="module")
def study(tmp_path_factory: pytest.TempPathFactory) -> Study:
    return small_study(tmp_path_factory.mktemp("study"), count=9)


def answers(study: Study, rater: str, sound: bool) -> list[int]:
    """The answers of a practice: the gates as they are meant, or the other way round."""
    right = {REFERENCE: 5, ANCHOR: 1}
    scores = [right.get(study.by_id[t.stimulus].method, 3) for t in practice(study, rater, 1)]
    return scores if sound else [6 - score for score in scores]


def test_a_session_has_every_picture_once_and_the_repeats_twice(study: Study) -> None:
    wanted = {s.id for s in [*study.of("rated"), *study.of("anchor")]}
    for rater in (f"r{number}" for number in range(40)):
        main = [trial for trial in session(study, rater) if trial.block == "main"]
        counts = Counter(trial.stimulus for trial in main)
        assert set(counts) == wanted
        assert sorted(counts.values(), reverse=True)[: study.plan.repeats + 1] == [2] * study.plan.repeats + [1]
        seen: set[str] = set()
        for trial in main:
            assert trial.repeat == (trial.stimulus in seen)
            seen.add(trial.stimulus)


def test_no_two_pictures_of_a_scene_follow_each_other(study: Study) -> None:
    for rater in (f"r{number}" for number in range(200)):
        shown = [study.by_id[trial.stimulus].scene for trial in session(study, rater)]
        assert all(a != b for a, b in pairwise(shown))


@pytest.mark.parametrize("share", [0.0, 0.1, 0.3, 0.5, 1.0])
def test_the_smallest_study_has_an_order_for_every_rater(share: float, tmp_path: Path) -> None:
    study = small_study(tmp_path, count=5, repeats=share)
    for rater in (f"r{number}" for number in range(100)):
        shown = [study.by_id[trial.stimulus].scene for trial in session(study, rater)]
        assert all(a != b for a, b in pairwise(shown))


def test_orders_are_the_raters_own_and_the_same_every_time(study: Study) -> None:
    assert session(replace(study), "a") == session(study, "a")
    assert len({tuple(session(study, f"r{number}")) for number in range(50)}) == 50
    first = Counter(next(t for t in session(study, f"r{n}") if t.block == "main").stimulus for n in range(600))
    pictures = len(study.of("rated")) + len(study.of("anchor"))
    assert len(first) == pictures and max(first.values()) < 4.5 * 600 / pictures  # no picture is always the first


@pytest.mark.parametrize("counts", [(3, 2), (5, 5), (4, 1, 2), (6, 3, 2, 1), (1, 1, 1), (7, 2, 2, 2)])
def test_spread_succeeds_wherever_an_order_exists(counts: tuple[int, ...]) -> None:
    pictures = [
        Stimulus(f"{scene}.{n}", str(scene), "", "m", "rated", "", 1, 1)
        for scene, count in enumerate(counts)
        for n in range(count)
    ]
    orders = set()
    for seed in range(300):
        order = spread(pictures, random.Random(seed))
        assert sorted(p.id for p in order) == sorted(p.id for p in pictures)
        assert all(a.scene != b.scene for a, b in pairwise(order))
        orders.add(tuple(p.id for p in order))
    assert len(orders) > 1


@pytest.mark.parametrize("counts", [(2,), (4, 2), (9, 3, 4)])
def test_spread_refuses_where_none_exists(counts: tuple[int, ...]) -> None:
    pictures = [
        Stimulus(f"{scene}.{n}", str(scene), "", "m", "rated", "", 1, 1)
        for scene, count in enumerate(counts)
        for n in range(count)
    ]
    with pytest.raises(MedrestoreError, match="choose more scenes"):
        spread(pictures, random.Random(0))
    assert len(spread(pictures, random.Random(0), strict=False)) == sum(counts)


def test_the_practice_has_all_gates_and_none_of_the_rated_scenes(study: Study) -> None:
    rated = {s.scene for s in study.of("rated")}
    for attempt in (1, 2, 3):
        shown = [study.by_id[t.stimulus] for t in practice(study, "r", attempt)]
        assert Counter(p.method for p in shown if p.method in (REFERENCE, ANCHOR)) == {REFERENCE: 2, ANCHOR: 2}
        assert len(shown) == 4 + study.plan.practice and not rated & {p.scene for p in shown}
    assert practice(study, "r", 1) != practice(study, "r", 2)


def test_gates_open_for_who_understood_and_for_nobody_else(study: Study) -> None:
    trials, sound = practice(study, "r", 1), answers(study, "r", True)
    assert passed(study, trials, sound)
    for index, trial in enumerate(trials):
        method = study.by_id[trial.stimulus].method
        for score in range(1, 6):
            changed = [*sound[:index], score, *sound[index + 1 :]]
            right = score >= 4 if method == REFERENCE else score <= 2 if method == ANCHOR else True
            assert passed(study, trials, changed) == right


def test_a_failed_practice_is_repeated_and_the_last_one_locks(study: Study) -> None:
    length = len(practice(study, "r", 1))
    wrong = answers(study, "r", False)
    assert place(study, "r", wrong).attempt == 2 and place(study, "r", wrong).done == 0
    assert place(study, "r", [3] * 3 * length).phase == "locked"
    assert place(study, "r", [3] * 3 * length).trial is None
    # the second practice has an order of its own: passing it opens the session
    right = {REFERENCE: 5, ANCHOR: 1}
    second = [right.get(study.by_id[t.stimulus].method, 3) for t in practice(study, "r", 2)]
    assert place(study, "r", wrong + second).phase == "main"


def test_place_and_trials_tell_the_same_story(study: Study) -> None:
    scores = answers(study, "r", True)
    walked = []
    while (now := place(study, "r", scores[: len(walked)])).trial is not None:
        assert now.number == len(walked)
        walked.append(now.trial)
        if len(scores) < len(walked):
            scores.append(1 + len(walked) % 5)
        after = place(study, "r", scores[: len(walked)])
        if now.following is not None:
            assert after.trial == now.following
    assert place(study, "r", scores).phase == "finished"
    assert trials_of(study, "r", scores) == walked
    assert len(trials_of(study, "r", [*scores, 3])) == len(walked)
    assert walked == [*practice(study, "r", 1), *session(study, "r")]


def test_too_few_scenes_are_told(tmp_path: Path) -> None:
    with pytest.raises(MedrestoreError, match=r"at least 5 test images with truth, 2 of them for practice: found 4"):
        small_study(tmp_path, count=4)
    assert not (tmp_path / "study.json").exists()
