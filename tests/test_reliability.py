"""The page on reliability names the tests that are there."""

from __future__ import annotations

import re

from reliability import PAGE, ROOT


def test_page():
    """Each row of docs/reliability.md names a test that is there and counts, and lost nothing."""
    rows = re.findall(r"\| ([\d,]+) \| ([\d,]+) \| `([^`]+)::([^`]+)` \|", PAGE.read_text())
    assert rows
    for cases, lost, path, name in rows:
        assert int(cases.replace(",", "")) > 0 and lost == "0"
        assert re.search(rf"def {name}\([^)]*\bcount\b", (ROOT / path).read_text()), name
