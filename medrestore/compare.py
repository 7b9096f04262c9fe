"""Hold several judged runs against each other and against the figures of their paper."""

from __future__ import annotations

from typing import Any

from medrestore.command import main


@main("compare")
def compare(config: Any) -> Any:
    """Compare judged runs in one table: seeds are one row, differences are tested, the paper's figures stand beside.

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
    print_sections(comparison.sections)
    for note in comparison.notes:
        print(f"note: {note}", file=sys.stderr)
    output = Path(config.output)
    write_comparison(output, comparison)
    print(f"comparison: {output / 'comparison.md'}, {output / 'comparison.csv'}")
    return None


if __name__ == "__main__":
    compare()
