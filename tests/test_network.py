"""Nothing asks for the network."""

from __future__ import annotations

import socket

import pytest

import scclu
from conftest import QUICK, simulated_counts


@pytest.fixture
def no_network(monkeypatch):
    """Every way out of the process, by address or by name, is an error."""

    def refuse(*args, **kwargs):
        raise AssertionError(f"the network was asked for: {args}")

    for name in ("connect", "connect_ex", "sendto"):
        monkeypatch.setattr(socket.socket, name, refuse)
    for name in ("getaddrinfo", "gethostbyname", "create_connection"):
        monkeypatch.setattr(socket, name, refuse)


CALLS = {
    "cicl": lambda: scclu.tl.cicl(simulated_counts(), 3, **QUICK),
    "scsiameseclu": lambda: scclu.tl.scsiameseclu(simulated_counts(), 3, max_epochs=2, accelerator="cpu"),
    "data": scclu.datasets.pbmc68k_reduced,
}


@pytest.mark.parametrize("name", CALLS)
def test_calls_offline(name, no_network, count):
    """Calls with the network refused."""
    with pytest.raises(AssertionError, match="the network was asked for"):
        socket.create_connection(("example.org", 80))
    CALLS[name]()
    count()
