"""Nothing asks for the network."""

from __future__ import annotations

import subprocess
import sys

import pytest

# an audit hook sees every way out, in C code as well, and stays until the process ends
REFUSE = """
import sys

def refuse(event, arguments):
    if event in ("socket.connect", "socket.sendto", "socket.getaddrinfo", "socket.gethostbyname", "urllib.Request"):
        raise RuntimeError(f"the network was asked for: {event} {arguments}")

sys.addaudithook(refuse)
"""
CALLS = {
    "import": "import scclu\nfor name in scclu.__all__: getattr(scclu, name)",
    "cicl": "import scclu\nscclu.tl.cicl(scclu.datasets.pbmc68k_reduced(), 3, max_epochs=1, n_hidden=8)",
    "scsiameseclu": "import scclu\nscclu.tl.scsiameseclu(scclu.datasets.pbmc68k_reduced(), 3, max_epochs=1)",
    "number of clusters": "import scclu\n"
    "scclu.tl.choose_n_clusters(scclu.datasets.pbmc68k_reduced(), use_rep='X_pca', k_range=(2, 4))",
    "annotation": "import scclu\nadata = scclu.datasets.pbmc68k_reduced()\n"
    "scclu.tl.annotate(adata, groupby='cell_type', reference=adata, reference_key='cell_type')",
    "classifier": "import scclu\nadata = scclu.datasets.pbmc68k_reduced()\n"
    "classifier = scclu.tl.fit_classifier(adata, labels_key='cell_type', use_rep='X_pca')\n"
    "scclu.tl.classify(adata, classifier)",
}


def python(code: str) -> subprocess.CompletedProcess:
    return subprocess.run([sys.executable, "-W", "ignore", "-c", REFUSE + code], capture_output=True, text=True)


def test_the_refusal_refuses():
    for code in (
        "import socket; socket.create_connection(('127.0.0.1', 9))",
        "import socket; socket.getaddrinfo('x', 1)",
    ):
        done = python(code)
        assert done.returncode == 1 and "the network was asked for" in done.stderr


@pytest.mark.parametrize("name", CALLS)
def test_offline(name, count):
    """Imports and calls in a process that is refused the network."""
    done = python(CALLS[name])
    assert done.returncode == 0, done.stderr
    count()
