"""The notebooks run, and the .ipynb is what its .py makes."""

from __future__ import annotations

from pathlib import Path

import pytest

NOTEBOOKS = sorted((Path(__file__).parents[1] / "notebooks").glob("*.py"))
EXPERIMENTS = {
    "brain_sr": "brain_sr",
    "cervix": "cervix_deblur",
    "ct": "ct_deblur",
    "first_run": "cervix_deblur",
    "retina": "retina_enhance",
    "street": "street_deblur",
}


def test_every_paper_has_its_notebook() -> None:
    assert [path.stem for path in NOTEBOOKS] == sorted(EXPERIMENTS)
    for path in NOTEBOOKS:
        assert f'"experiment={EXPERIMENTS[path.stem]}"' in path.read_text(encoding="utf-8"), path.stem


@pytest.mark.parametrize("path", NOTEBOOKS, ids=lambda path: path.stem)
def test_the_ipynb_matches_its_source(path: Path) -> None:
    import jupytext

    made, kept = jupytext.read(path), jupytext.read(path.with_suffix(".ipynb"))
    assert [cell.source for cell in made.cells] == [cell.source for cell in kept.cells]
    assert [cell.cell_type for cell in made.cells] == [cell.cell_type for cell in kept.cells]


@pytest.mark.parametrize("path", NOTEBOOKS, ids=lambda path: path.stem)
def test_the_ipynb_holds_no_outputs(path: Path) -> None:
    import jupytext

    kept = jupytext.read(path.with_suffix(".ipynb"))
    for cell in kept.cells:
        assert not cell.get("outputs") and cell.get("execution_count") is None, cell.source


@pytest.mark.slow
@pytest.mark.filterwarnings("ignore")  # the kernel's own messaging stack warns; the notebook's process is another one
@pytest.mark.parametrize("path", NOTEBOOKS, ids=lambda path: path.stem)
def test_the_notebook_runs(path: Path, tmp_path: Path) -> None:
    import jupytext
    from nbclient import NotebookClient

    notebook = jupytext.read(path)
    NotebookClient(notebook, timeout=900, resources={"metadata": {"path": str(tmp_path)}}).execute()
    assert any("image/png" in output.get("data", {}) for cell in notebook.cells for output in cell.get("outputs", []))
    assert not list(tmp_path.iterdir())  # a notebook keeps its files in a temporary folder of its own
