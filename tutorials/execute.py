"""Execute the tutorials: ``python tutorials/execute.py`` (``make tutorials``) stores their output."""

from __future__ import annotations

import base64
import io
import os
import re
import sys
import tempfile
from pathlib import Path

import nbformat
from nbclient import NotebookClient
from PIL import Image

FOLDER = Path(__file__).parent
# progress bars of the training are not stored
PROGRESS = re.compile(r"(Epoch \d+/\d+|Training(: \w+)?): ")
ENVIRONMENT = {
    # show plots, even if a test runner has selected a backend without display
    "MPLBACKEND": "module://matplotlib_inline.backend_inline",
    # tqdm warns that progress bars in notebooks need another package
    "PYTHONWARNINGS": "ignore:IProgress not found",
}


def execute(path: Path, *, timeout: int = 600) -> nbformat.NotebookNode:
    """Run all cells of a notebook in order, in a new kernel and an empty folder.

    Parameters
    ----------
    path
        Path of the notebook, which is not written.
    timeout
        Maximum number of seconds per cell.

    Returns
    -------
    The notebook with its new outputs, without progress bars and without metadata that differ between runs.

    Raises
    ------
    nbclient.exceptions.CellExecutionError
        If a cell raises.
    """
    notebook = nbformat.read(path, as_version=4)
    with tempfile.TemporaryDirectory() as folder:
        client = NotebookClient(
            notebook,
            timeout=timeout,
            kernel_name="python3",
            resources={"metadata": {"path": folder}},
            record_timing=False,
        )
        client.execute(env=os.environ | ENVIRONMENT)
    notebook.metadata = nbformat.from_dict(
        {
            "kernelspec": {"display_name": "Python 3", "language": "python", "name": "python3"},
            "language_info": {"name": "python"},
        }
    )
    for cell in notebook.cells:
        cell.metadata = nbformat.from_dict({key: cell.metadata[key] for key in ("tags",) if key in cell.metadata})
        if cell.cell_type == "code":
            cell.outputs = [output for output in cell.outputs if not _is_progress(output)]
        for output in cell.get("outputs", []):
            if "image/png" in output.get("data", {}):
                output.data["image/png"] = _smaller(output.data["image/png"])
    return notebook


def needs_data(path: Path) -> bool:
    """Whether a notebook reads a file from the folder that ``SCCLU_DATA`` names."""
    return "SCCLU_DATA" in path.read_text(encoding="utf-8")


def _is_progress(output: nbformat.NotebookNode) -> bool:
    lines = re.split(r"[\r\n]+", output.get("text", "")) if output.output_type == "stream" else []
    return bool(lines) and all(PROGRESS.match(line) for line in lines if line.strip())


def _smaller(picture: str) -> str:
    """Reduce a picture to 256 colours, which takes a third of the bytes."""
    written = io.BytesIO()
    Image.open(io.BytesIO(base64.b64decode(picture))).convert("RGB").quantize(dither=Image.Dither.NONE).save(
        written, format="png", optimize=True
    )
    return base64.b64encode(written.getvalue()).decode()


def main(names: list[str]) -> None:
    """Execute and store the notebooks with these names, or all; without ``SCCLU_DATA`` those that need no file."""
    paths = [FOLDER / f"{name}.ipynb" for name in names] or sorted(FOLDER.glob("*.ipynb"))
    for path in paths:
        if needs_data(path) and not os.environ.get("SCCLU_DATA"):
            print(f"{path.name} is left out: SCCLU_DATA does not name the folder with its data.", flush=True)
            continue
        print(path.name, flush=True)
        nbformat.write(execute(path), path)


if __name__ == "__main__":
    main(sys.argv[1:])
