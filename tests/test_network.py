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
    "import": "import scclu\nfor name in scclu.__all__: getattr(scclu, name)\nadata = scclu.datasets.pbmc68k_reduced()",
    "cicl": "scclu.tl.cicl(adata, 3, max_epochs=1, n_hidden=8, cluster_method='kmeans')",
    "scsiameseclu": "scclu.tl.scsiameseclu(adata, 3, max_epochs=1, cluster_method='assignment')",
    "number of clusters": "scclu.tl.choose_n_clusters(adata, use_rep='X_pca', k_range=(2, 4))",
    "annotation": "scclu.tl.annotate(adata, groupby='cell_type', reference=adata, reference_key='cell_type')",
    "classifier": "classifier = scclu.tl.fit_classifier(adata, labels_key='cell_type', use_rep='X_pca')\n"
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


@pytest.mark.parametrize("names", [["import", "cicl"], pytest.param(list(CALLS), marks=pytest.mark.slow)], ids=len)
def test_offline(names):
    """Imports and calls in a process that is refused the network."""
    done = python("\n".join(f"{CALLS[name]}\nprint({name!r})" for name in names))
    assert done.returncode == 0 and done.stdout.split("\n")[:-1] == names, done.stderr
