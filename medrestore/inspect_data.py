"""Audit a collection before training on it: counts, groups, leaks, bad files, a preview of pairs."""

from __future__ import annotations

from typing import Any

from medrestore.config import main


@main("inspect_data")
def inspect_data(config: Any) -> Any:
    """Audit a collection before training on it: counts, groups, splits, bad files, a preview of pairs.

    python -m medrestore.inspect_data dataset=cervix dataset.root=DIR
    python -m medrestore.inspect_data dataset=cervix_phantom degradation=motion
    """
    from pathlib import Path

    from medrestore.run import inspect

    audit, picture = inspect(config, Path(config.output))
    print("\n".join(audit.lines()))
    print(f"preview: {picture}")
    return 1 if audit.left_out else 0


if __name__ == "__main__":
    inspect_data()
