"""A person in front of a real Chromium: rates by keyboard, reloads, goes back, and sees every pixel as it is."""

from __future__ import annotations

import io
import json
import os
import shutil
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from PIL import Image
from small_study import ROWS, small_study

from medrestore.study.database import Database
from medrestore.study.design import place, trials_of
from medrestore.study.manifest import ANCHOR, REFERENCE, Study, picture_path
from medrestore.study.raters import Rater, load_roster
from medrestore.study.standalone import import_answers, write_standalone

_CHROMIUM = next(filter(None, map(shutil.which, ("chromium", "chromium-browser", "google-chrome"))), None)
try:
    from playwright.sync_api import Browser, Page, expect, sync_playwright

    from medrestore.study.simulate import running
except ImportError as error:
    _MISSING = f"{error.name} is not installed"
else:
    _MISSING = "" if _CHROMIUM else "no chromium is installed"
if _MISSING and os.environ.get("MEDRESTORE_REQUIRE_BROWSER") == "1":
    raise RuntimeError(f"MEDRESTORE_REQUIRE_BROWSER=1, but {_MISSING}")
if _MISSING:
    pytest.skip(f"needs a browser: {_MISSING}", allow_module_level=True)

_WINDOW = {"width": 1400, "height": 860}
_SLOW = 60_000  # milliseconds: the machine may be busy


class Desk:
    """A study that is served, and windows of a browser to rate it in."""

    def __init__(self, directory: Path, study: Study, port: int, database: Database, browser: Browser) -> None:
        self.directory, self.study, self.port, self.database, self.browser = directory, study, port, database, browser
        self.roster = list(load_roster(directory).items())
        self.errors: list[str] = []

    def window(self, viewport: dict[str, int] | None = None, ratio: float = 1, **more: Any) -> Page:
        size = {**_WINDOW, **(viewport or {})}
        screen = more.pop("screen", {"width": 1600, "height": 1000})
        context = self.browser.new_context(viewport=size, screen=screen, device_scale_factor=ratio, **more)  # type: ignore
        context.set_default_timeout(_SLOW)
        page = context.new_page()
        page.on("pageerror", lambda error: self.errors.append(str(error)))
        page.on("console", lambda line: self.errors.append(line.text) if line.type == "error" else None)
        return page

    def open(self, page: Page, rater: int = 0, hurry: bool = True) -> None:
        page.goto(f"http://127.0.0.1:{self.port}/r/{self.roster[rater][0]}/")
        page.wait_for_function("() => state !== null")  # the first screen is there
        if hurry:
            page.evaluate("() => { GAP_MS = 10; LEAST_MS = 20; }")

    def scores(self, rater: int = 0) -> list[int]:
        return self.database.scores(self.roster[rater][1])

    def right(self, rater: Rater, scores: list[int]) -> int:
        """What an attentive rater presses next."""
        trial = place(self.study, rater.code, scores).trial
        assert trial is not None
        return {REFERENCE: 5, ANCHOR: 1}.get(self.study.by_id[trial.stimulus].method, 2 + len(scores) % 3)


@pytest.fixture(scope="module")
def browser() -> Iterator[Browser]:
    with sync_playwright() as playwright:
        started = playwright.chromium.launch(
            executable_path=_CHROMIUM, headless=True, args=["--no-sandbox"], timeout=_SLOW
        )
        yield started
        started.close()


@pytest.fixture
def desk(tmp_path: Path, browser: Browser) -> Iterator[Desk]:
    study = small_study(tmp_path, count=5, size=(200, 160), practice=1, rows=ROWS[2:], title="Brain <b>pictures</b>")
    database = Database(tmp_path, study)
    with running(study, tmp_path, load_roster(tmp_path), database) as port:
        desk = Desk(tmp_path, study, port, database, browser)
        yield desk
        for context in browser.contexts:
            context.close()
    database.close()
    assert desk.errors == []


def rating(page: Page) -> None:
    """Wait until an answer is taken."""
    page.wait_for_function(
        "() => !document.getElementById('rating').hidden && !document.querySelector('[data-score]').disabled "
        "&& inView() >= LEAST_MS"
    )


def press_on(page: Page, press: Callable[[str], None], desk: Desk, rater: int = 0, most: int = 1000) -> int:
    """Rate on by keyboard until the session ends or `most` pictures are rated; the number rated."""
    code, scores = desk.roster[rater][1], desk.scores(rater)
    done = 0
    while done < most and place(desk.study, code.code, scores).trial is not None:
        page.wait_for_function("() => !document.getElementById('notice').hidden || taking && inView() >= LEAST_MS")
        if page.locator("#notice").is_visible():
            press("Enter")
            rating(page)
        score = desk.right(code, scores)
        press(str(score))
        scores.append(score)
        done += 1
        page.wait_for_function("(number) => state.number === number", arg=len(scores))
    return done


def test_a_whole_rating_by_keyboard_alone(desk: Desk) -> None:
    page = desk.window()
    desk.open(page)
    expect(page.locator("h1#title")).to_have_text("Brain <b>pictures</b>")
    page.keyboard.press("Enter")
    count = press_on(page, page.keyboard.press, desk)
    expect(page.locator("#notice-title")).to_have_text("Thank you")
    scores, code = desk.scores(), desk.roster[0][1].code
    assert len(scores) == count and place(desk.study, code, scores).phase == "finished"
    votes = desk.database.votes()
    assert [vote.trial for vote in votes] == trials_of(desk.study, code, scores)
    assert all(20 <= vote.viewing_ms < 60_000 and (vote.width, vote.ratio) == (1400, 1.0) for vote in votes)
    page.keyboard.press("3")
    page.reload()
    expect(page.locator("#notice-title")).to_have_text("Thank you")
    assert desk.scores() == scores


def test_reload_and_back_in_the_middle_lose_and_double_nothing(desk: Desk) -> None:
    page = desk.window()
    page.goto(f"http://127.0.0.1:{desk.port}/")
    desk.open(page)
    page.keyboard.press("Enter")
    press_on(page, page.keyboard.press, desk, most=7)
    before = desk.scores()
    page.reload()
    expect(page.locator("#notice-title")).to_have_text("Welcome back")
    page.keyboard.press("Enter")
    rating(page)
    press_on(page, page.keyboard.press, desk, most=2)
    page.go_back()
    expect(page.locator("h1")).to_have_text("Picture rating")
    page.go_forward()
    page.wait_for_function("() => state !== null && !document.getElementById('notice').hidden")
    assert desk.scores()[:7] == before and len(desk.scores()) == 9
    page.keyboard.press("Enter")
    rating(page)
    press_on(page, page.keyboard.press, desk)
    assert place(desk.study, desk.roster[0][1].code, desk.scores()).phase == "finished"


def test_two_raters_at_once_and_one_of_them_in_two_windows(desk: Desk) -> None:
    pages = [desk.window(), desk.window()]
    for rater, page in enumerate(pages):
        desk.open(page, rater)
        page.keyboard.press("Enter")
    for _ in range(3):
        for rater, page in enumerate(pages):
            press_on(page, page.keyboard.press, desk, rater, most=2)
    assert [len(desk.scores(rater)) for rater in (0, 1)] == [6, 6]
    second = desk.window()
    desk.open(second, 0)
    second.keyboard.press("Enter")
    rating(second)
    second.keyboard.press("2")
    second.wait_for_function("() => state.number === 7")
    rating(pages[0])
    pages[0].keyboard.press("4")  # on the picture that the other window has rated
    expect(pages[0].locator("#notice-title")).to_have_text("Welcome back")
    assert desk.scores(0)[6:] == [2]
    assert [error for error in desk.errors if "409" not in error] == []
    desk.errors.clear()  # the browser itself reports the refusal


@pytest.mark.parametrize("ratio", [1, 1.25, 2])
def test_every_pixel_of_the_picture_is_one_of_the_screen(desk: Desk, ratio: float) -> None:
    page = desk.window({"width": 1401, "height": 859}, ratio)  # odd: the middle falls between pixels
    desk.open(page)
    page.keyboard.press("Enter")
    rating(page)
    trial = place(desk.study, desk.roster[0][1].code, []).trial
    assert trial is not None
    truth = np.asarray(Image.open(picture_path(desk.directory, desk.study.by_id[trial.stimulus])))
    box = page.evaluate(
        "() => { const b = document.getElementById('picture').getBoundingClientRect(); return [b.x, b.y]; }"
    )
    left, top = (round(side * ratio) for side in box)
    shot = np.asarray(Image.open(io.BytesIO(page.screenshot(scale="device"))).convert("L"))
    shown = shot[top : top + truth.shape[0], left : left + truth.shape[1]]
    assert np.array_equal(shown, truth)
    around = shot[top - 3 : top, left : left + truth.shape[1]]
    assert around.std() == 0 and around.max() < 64  # dark and even


@pytest.mark.parametrize(
    ("window", "told"),
    [
        ({"viewport": {"width": 1400, "height": 260}}, "The picture does not fit: the window needs"),
        ({"ratio": 1.1}, "press Ctrl and 0"),
        ({"screen": {"width": 1024, "height": 700}}, "This screen has 1024"),
        ({"has_touch": True, "is_mobile": True}, "phone or tablet"),
    ],
)
def test_a_window_that_will_not_do_is_refused_politely(desk: Desk, window: dict[str, Any], told: str) -> None:
    page = desk.window(**window)
    desk.open(page)
    if page.locator("#refused").is_hidden():
        page.keyboard.press("Enter")
    expect(page.locator("#refused-text")).to_contain_text(told)
    for key in "12345":
        page.keyboard.press(key)
    assert desk.scores() == []
    if "viewport" in window:
        page.set_viewport_size(_WINDOW)  # type: ignore[arg-type]
        expect(page.locator("#refused")).to_be_hidden()
        rating(page)
        page.keyboard.press("3")
        page.wait_for_function("() => state.number === 1")


def test_a_rater_who_has_the_scale_upside_down_does_not_pass(desk: Desk) -> None:
    page = desk.window()
    desk.open(page)
    page.keyboard.press("Enter")
    code = desk.roster[0][1]
    for attempt in (2, 3):
        scores = desk.scores()
        while place(desk.study, code.code, scores).attempt < attempt:
            rating(page)
            score = 6 - desk.right(code, scores)
            page.keyboard.press(str(score))
            scores.append(score)
            page.wait_for_function("(number) => state.number === number", arg=len(scores))
        expect(page.locator("#notice-title")).to_have_text("Once more, please")
        page.keyboard.press("Enter")
    while place(desk.study, code.code, scores).trial is not None:
        rating(page)
        score = 6 - desk.right(code, scores)
        page.keyboard.press(str(score))
        scores.append(score)
        page.wait_for_function("(number) => state.number === number", arg=len(scores))
    expect(page.locator("#notice-title")).to_have_text("The practice could not be passed")


def test_the_mouse_works_too_and_everything_has_a_name(desk: Desk) -> None:
    page = desk.window()
    desk.open(page, hurry=False)
    page.get_by_role("button", name="Begin").click()
    rating(page)
    assert page.get_by_role("img", name="Picture 1 of").is_visible()
    assert page.get_by_role("group", name="How good is the quality of this picture?").is_visible()
    assert page.get_by_role("progressbar", name="Progress").is_visible()
    words = [button.inner_text().split()[0] for button in page.locator("[data-score]").all()]
    assert words == ["Bad", "Poor", "Fair", "Good", "Excellent"]
    page.get_by_role("button", name="Good").click()
    page.wait_for_function("() => state.number === 1")
    assert desk.scores() == [4] and desk.database.votes()[0].viewing_ms >= 200
    rating(page)
    page.keyboard.press("Tab")
    assert page.evaluate("document.activeElement.dataset.score") == "1"
    assert page.evaluate("getComputedStyle(document.activeElement).outlineWidth") == "3px"


def test_an_answer_waits_for_a_lost_connection(desk: Desk) -> None:
    page = desk.window()
    desk.open(page)
    page.keyboard.press("Enter")
    rating(page)
    page.context.set_offline(True)
    page.keyboard.press("3")
    expect(page.locator("#trouble")).to_contain_text("not saved yet")
    assert desk.scores() == []
    page.context.set_offline(False)
    page.wait_for_function("() => state.number === 1")
    assert desk.scores() == [3]
    desk.errors.clear()  # the browser reports the failed request


def test_the_file_without_a_server_gives_its_answers_back(desk: Desk, tmp_path: Path) -> None:
    path = write_standalone(desk.directory, desk.study, load_roster(desk.directory))
    page = desk.window()
    asked: list[str] = []
    page.on("request", lambda request: asked.append(request.url))
    page.goto(path.as_uri())
    code = desk.roster[2][1]
    page.wait_for_function("() => document.activeElement.id === 'code'")
    page.keyboard.type("nobody")
    page.keyboard.press("Enter")
    expect(page.locator("#code-error")).to_contain_text("not known")
    page.locator("#code").fill(code.code)
    page.keyboard.press("Enter")
    scores: list[int] = []
    while place(desk.study, code.code, scores).trial is not None:
        page.wait_for_function("() => !document.getElementById('notice').hidden || taking && inView() >= LEAST_MS")
        if page.locator("#notice").is_visible():
            page.keyboard.press("Enter")
            rating(page)
        score = desk.right(code, scores)
        page.keyboard.press(str(score))
        scores.append(score)
        page.wait_for_function("(number) => state.number === number", arg=len(scores))
        if len(scores) == 4:  # a closed tab: the answers are still there
            page.reload()
            page.wait_for_function("() => document.activeElement.id === 'code'")
            page.locator("#code").fill(code.code)
            page.keyboard.press("Enter")
            expect(page.locator("#notice-title")).to_have_text("Welcome back")
    expect(page.locator("#notice-title")).to_have_text("Thank you")
    with page.expect_download() as download:
        page.keyboard.press("Enter")
    answers = tmp_path / "answers.json"
    download.value.save_as(answers)
    assert json.loads(answers.read_text())["rater"] == code.code
    import_answers([answers], desk.study, load_roster(desk.directory), desk.database)
    assert desk.database.scores(code) == scores
    assert all(url.startswith(("file:", "data:", "blob:")) for url in asked)
