"""What a search may try: sweeps in Hydra's grammar as Optuna's distributions, and back as they are typed."""

from __future__ import annotations

from typing import Any

from medrestore.errors import MedrestoreError


def distribution(override: Any) -> Any:
    """Optuna's distribution for a sweep in Hydra's grammar.

    `a,b` and `choice(a,b)` are categories, `range(1,10,2)` integers (or numbers) on a grid, `interval(0.1,1)` numbers
    and `int(interval(1,9))` integers in between, `tag(log, interval(...))` on a logarithmic scale.

    Raises:
        MedrestoreError: values that cannot be searched.
    """
    from optuna.distributions import CategoricalDistribution, FloatDistribution, IntDistribution

    value = override.value()
    try:
        if override.is_interval_sweep():
            whole = isinstance(value.start, int) and isinstance(value.end, int)
            kind = IntDistribution if whole else FloatDistribution
            return kind(value.start, value.end, log="log" in value.tags)
        if override.is_range_sweep():
            points = [float(text) for text in override.sweep_string_iterator()]
            whole = all(isinstance(number, int) for number in (value.start, value.stop, value.step))
            if whole:
                return IntDistribution(int(min(points)), int(max(points)), step=abs(int(value.step)))
            return FloatDistribution(min(points), max(points), step=abs(float(value.step)))
        return CategoricalDistribution(list(override.sweep_string_iterator()))
    except ValueError as error:
        raise MedrestoreError(f"{override.input_line} cannot be searched: {error}") from None


def suggest(trial: Any, key: str, space: Any) -> str:
    """A value of one key, as it is typed."""
    from optuna.distributions import CategoricalDistribution, IntDistribution

    if isinstance(space, CategoricalDistribution):
        return str(trial.suggest_categorical(key, space.choices))
    if isinstance(space, IntDistribution):
        return str(trial.suggest_int(key, space.low, space.high, step=space.step, log=space.log))
    return repr(trial.suggest_float(key, space.low, space.high, step=space.step, log=space.log))
