"""Hold several judged runs against each other and against the figures of their paper."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from medrestore.command import main

if TYPE_CHECKING:
    from medrestore.evaluation.comparison_sections import RunComparison


def with_regions(comparison: RunComparison) -> RunComparison:
    """Add pictures of the regions where each model is worst; a line where its images or weights are gone."""
    from dataclasses import replace

    from medrestore.errors import MedrestoreError
    from medrestore.evaluation.assessment import Section
    from medrestore.evaluation.comparison_regions import MOST, REGIONS, learned_of, worst_regions
    from medrestore.run import make_data
    from medrestore.run_directory import Run

    if len(comparison.variants) > MOST:
        told = f"no pictures of {len(comparison.variants)} models, which nobody could look at; at most {MOST} in runs="
        return replace(comparison, sections=[*comparison.sections, Section(REGIONS, [told])])
    try:
        models = learned_of(comparison.variants)
        run = Run.load(next(iter(comparison.variants[0].runs.values())).directory)
        data = make_data(run.config, run.directory / "split.csv")
        section = worst_regions(comparison.variants, models, data)
    except MedrestoreError as error:
        section = Section(REGIONS, [f"no pictures: {error}"])
    return replace(comparison, sections=[*comparison.sections, section])


@main("compare")
def compare(config: Any) -> Any:
    """Compare judged runs in one table: seeds are one row, differences are tested, the paper's figures stand beside.

    Runs that cannot be read or stand under other conditions are told and left out (exit code 1).

    python -m medrestore.compare 'runs=[DIR,DIR]'
    python -m medrestore.compare runs=outputs/street_deblur/sweep_DIR output=DIR
    """
    import sys
    from pathlib import Path

    from omegaconf import OmegaConf

    from medrestore.config import plain
    from medrestore.errors import MedrestoreError
    from medrestore.evaluation.comparison_files import write_comparison
    from medrestore.evaluation.comparison_sections import compare_runs
    from medrestore.evaluation.comparison_text import print_sections

    if OmegaConf.is_missing(config, "runs"):
        raise MedrestoreError("runs= is not set; type 'runs=[A,B]' with directories that train printed")
    comparison = compare_runs(plain(config.runs), config.base, plain(config.metrics))
    if config.regions:
        comparison = with_regions(comparison)
    print_sections(comparison.spoken)
    for note in comparison.notes:
        print(f"note: {note}", file=sys.stderr)
    output = Path(config.output)
    write_comparison(output, comparison)
    pictures = sum(len(section.pictures) for section in comparison.sections)
    with_pictures = f", {pictures} pictures" if pictures else ""
    print(f"comparison: {output / 'comparison.md'}, {output / 'comparison.csv'}, runs.csv{with_pictures}")
    return 1 if comparison.refused else 0


if __name__ == "__main__":
    compare()
