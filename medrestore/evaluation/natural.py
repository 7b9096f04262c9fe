"""Images degraded by nature, without truth: PIQE before and after, beside what slight noise does to it (S1, fold 2)."""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence

from torch import Tensor

from medrestore.data.samples import Case
from medrestore.errors import MedrestoreError
from medrestore.evaluation.assessment import Context, Finding, Section
from medrestore.evaluation.case_kinds import mask_of
from medrestore.evaluation.natural_pictures import Examples, histogram
from medrestore.evaluation.natural_tables import (
    METRIC,
    SCALE,
    band_text,
    difference_text,
    pairs_of,
    score_table,
    step_table,
    step_text,
    steps_between,
    steps_said,
    transition_table,
)
from medrestore.evaluation.noise_control import NOISE_CONTROL, noisy
from medrestore.evaluation.statistics import Score, Summary, compare, summarise
from medrestore.metrics import piqe

_LEVELS = 255


class NaturalImages:
    """Scores every row by PIQE on the cases without truth, and the input plus slight noise as a control.

    PIQE falls when noise-like texture is added, so that a network that invents some is rewarded: no number of the
    report's section stands without the noise control's. Where a case has a mask, only blocks wholly inside it count.

    Args:
        noise: standard deviation of the control's Gaussian noise, in the image's unit [0, 1].
        seed: of that noise; each image's is a function of the seed and its key.

    Raises:
        MedrestoreError: the noise is not a small positive number.
    """

    def __init__(self, noise: float = 2 / _LEVELS, seed: int = 0) -> None:
        if not 0 < noise < 1:
            raise MedrestoreError(
                f"noise is a standard deviation between 0 and 1, found {noise}; "
                "type evaluation.assessments.natural.noise=0.008"
            )
        self.noise = noise
        self.seed = seed
        self._context: Context | None = None
        self._examples = Examples()
        self._masked = 0

    def begin(self, context: Context) -> None:
        """Forget what was seen before."""
        self._context = context
        self._examples = Examples()
        self._masked = 0

    def observe(self, case: Case, images: Mapping[str, Tensor]) -> list[Score]:
        """`natural/piqe` of every row and of the noise control; nothing for a case with truth."""
        if case.target is not None:
            return []
        context = self._begun()
        self._masked += case.mask is not None and not bool(case.mask.all())
        before = images[context.reference]
        shown = {**images, NOISE_CONTROL: self._noisy(before, case.key)}
        values = {name: float(piqe(image[None], mask=mask_of(case, image))) for name, image in shown.items()}
        if context.shown != context.reference and context.shown in images:
            scores = values[context.reference], values[context.shown]
            self._examples.add(case.key, scores, (before, images[context.shown]))
        return [Score(name, case.key, case.group, METRIC, value) for name, value in values.items()]

    def finish(self, scores: Sequence[Score]) -> Finding | None:
        """The section, or None where every image had a truth."""
        context = self._begun()
        ours = [score for score in scores if score.metric == METRIC]
        if not ours:
            return None
        rows = summarise(ours, {**context.kinds, NOISE_CONTROL: "control"}, context.reference)
        table = {row.method: row for row in rows}
        tables = [score_table(rows, ours, context.reference)]
        looked_at = [NOISE_CONTROL]
        if context.shown != context.reference and context.shown in table:
            looked_at.insert(0, context.shown)
        pairs = {name: pairs_of(ours, context.reference, name) for name in looked_at}
        tables.append(step_table(pairs))
        tables += [transition_table(pairs[name], context.reference, name) for name in looked_at]
        claims = [self._change(table, ours, looked_at[0])] if len(looked_at) == 2 else []
        claims += self._control(table, ours, looked_at)
        lines = [self._seen(ours), *claims, *(steps_said(pairs[name], name) for name in looked_at), self._limits()]
        return Finding(
            Section(
                title="images without truth",
                lines=lines,
                tables=tables,
                pictures=self._pictures(ours, context, looked_at),
                spoken=1 + len(claims),
            )
        )

    def _begun(self) -> Context:
        if self._context is None:
            raise RuntimeError("begin(context) comes before the first case")
        return self._context

    def _noisy(self, image: Tensor, key: str) -> Tensor:
        return noisy(image, key, self.noise, self.seed)

    def _seen(self, scores: Sequence[Score]) -> str:
        reference = [score for score in scores if score.method == self._begun().reference]
        groups = len({score.group for score in reference})
        text = (
            f"{len(reference)} images of {groups} groups (patients or scenes) were degraded by nature, without truth. "
            "PIQE judges an image alone: 0 is best, 100 worst."
        )
        missing = sum(not math.isfinite(score.value) for score in reference)
        if self._masked:
            text += f" {self._masked} have a mask: only blocks of 16 x 16 pixels wholly inside it count."
        return text + (f" {missing} hold no such block and are left out." if missing else "")

    def _change(self, table: Mapping[str, Summary], scores: Sequence[Score], shown: str) -> str:
        reference = self._begun().reference
        before, after = table[reference].mean, table[shown].mean
        text = (
            f"PIQE before ('{reference}') {_said(table[reference])}; after ('{shown}') {_said(table[shown])}; "
            f"difference {difference_text(compare(scores, shown, reference, METRIC))}."
        )
        if before is None or after is None:
            return text
        return f"{text} The band of the mean moves {step_text(steps_between(before, after))} ({SCALE})."

    def _control(self, table: Mapping[str, Summary], scores: Sequence[Score], looked_at: Sequence[str]) -> list[str]:
        reference = self._begun().reference
        gain = compare(scores, NOISE_CONTROL, reference, METRIC)
        rewarded = gain.difference is None or gain.difference < 0
        lines = [
            f"{'PIQE rewards noise' if rewarded else 'PIQE can reward noise; on these images it does not'}: the input "
            f"plus slight Gaussian noise (SD {self.noise * _LEVELS:.3g} of {_LEVELS} grey levels), which restores "
            f"nothing, has {_said(table[NOISE_CONTROL])}; difference to the input {difference_text(gain)}."
        ]
        if len(looked_at) == 1:
            return lines
        shown = looked_at[0]
        beyond = compare(scores, shown, NOISE_CONTROL, METRIC)
        if beyond.difference is None:
            return lines
        if beyond.difference >= 0:
            verdict = f"'{shown}' does no better than this noise: its PIQE is no evidence of a restoration"
        elif beyond.high is None or beyond.high >= 0:
            verdict = f"These images do not show that '{shown}' does better than this noise"
        else:
            verdict = f"'{shown}' lies below this noise; whether by detail or by texture it invents, PIQE cannot tell"
        lines.append(f"{verdict} ('{shown}' minus noise control {difference_text(beyond)}).")
        return lines

    def _limits(self) -> str:
        return (
            f"The bands ({SCALE}) were drawn from photographs; smooth tissue and black background pass for blur. "
            f"PIQE sees 8 bits of the window '{self._begun().window}': another window gives another score."
        )

    def _pictures(
        self, scores: Sequence[Score], context: Context, looked_at: Sequence[str]
    ) -> list[tuple[bytes, str, str]]:
        rows = [context.reference, *looked_at]
        values = {name: [score.value for score in scores if score.method == name] for name in rows}
        pictures = []
        drawn = histogram(values, {name: context.kinds.get(name, "control") for name in rows})
        if drawn is not None:
            caption = f"PIQE of the images before, after and with slight noise; dotted: limits of the bands ({SCALE})"
            pictures.append((drawn, "histogram of PIQE", caption))
        for reason, example in self._examples.chosen():
            for name, score, data in (
                (context.reference, example.before, example.pictures[0]),
                (looked_at[0], example.after, example.pictures[1]),
            ):
                caption = f"{example.key}, {reason}: '{name}', PIQE {score:.2f}, {band_text(score)}"
                pictures.append((data, f"{name} of image {example.key}", caption))
        return pictures


def _said(row: Summary) -> str:
    if row.mean is None:
        return "not available"
    spread = "" if row.sd is None else f" ± {row.sd:.2f}"
    return f"{row.mean:.2f}{spread}, {band_text(row.mean)}"
