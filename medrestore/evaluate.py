"""Judge a finished run again, on its own test split or on other images."""

from __future__ import annotations

from typing import Any

from medrestore.command import main


@main("evaluate")
def evaluate(config: Any) -> Any:
    """Judge a finished run on its test split or on other images, beside the classical rows.

    python -m medrestore.evaluate run=DIR
    python -m medrestore.evaluate run=DIR dataset=cervix dataset.root=DIR split=all
    python -m medrestore.evaluate run=DIR 'baselines=[DIR,DIR]'
    torchrun --nproc-per-node=2 -m medrestore.evaluate run=DIR

    Any key of the run's own config.yaml may follow; only those given are changed.
    """
    from pathlib import Path

    from medrestore.run import evaluate as judge
    from medrestore.run_directory import Run

    run = Run.load(config.run)
    output = Path(config.output) if config.output else None
    found = judge(run, list(config.run_overrides), config.split, output, baselines=list(config.baselines))
    print(f"evaluation: {found.directory}")
    return None


if __name__ == "__main__":
    evaluate()
