"""Counts what the reliability tests ran, and keeps the table of docs/reliability.md in step with it.

A test takes the fixture `count` and calls it once for each case that held (``count(n)`` for `n` at once). The table has
one row a test function, with the first line of its docstring: what was counted, and how many of its tests failed. Where
all cases of a function ran, the row must say what was counted, else the session fails; ``pytest --reliability`` writes
the rows.
"""

from __future__ import annotations

import re
from collections import Counter
from collections.abc import Callable, Iterator
from dataclasses import dataclass, field
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[1]
PAGE = ROOT / "docs" / "reliability.md"
_ROW = re.compile(r"^\| (?P<text>.*) \| (?P<cases>[\d,]+) \| (?P<lost>[\d,]+) \| `(?P<name>[^`]+)` \|$", re.MULTILINE)


@dataclass
class Ledger:
    """What was counted, by test function."""

    texts: dict[str, str] = field(default_factory=dict)
    cases: Counter[str] = field(default_factory=Counter)
    lost: Counter[str] = field(default_factory=Counter)
    incomplete: set[str] = field(default_factory=set)
    passed: Counter[str] = field(default_factory=Counter)
    collected: Counter[str] = field(default_factory=Counter)
    differences: list[str] = field(default_factory=list)

    def rows(self) -> dict[str, str]:
        """The rows of the functions that ran all their tests."""
        return {
            name: f"| {text} | {self.cases[name]:,} | {self.lost[name]:,} | `{name}` |"
            for name, text in self.texts.items()
            if name not in self.incomplete and self.passed[name] + self.lost[name] == self.collected[name]
        }


_LEDGER = pytest.StashKey[Ledger]()
_ONE = pytest.StashKey[int]()


def function_name(item: pytest.Item) -> str:
    """The test function of `item`, without its parameters, as the table names it."""
    return f"{item.path.relative_to(ROOT).as_posix()}::{getattr(item, 'originalname', item.name)}"


@pytest.fixture
def count(request: pytest.FixtureRequest) -> Iterator[Callable[..., None]]:
    """Call it for each case that held."""
    stash = request.node.stash
    stash[_ONE] = 0

    def add(n: int = 1) -> None:
        stash[_ONE] += n

    yield add


def pytest_addoption(parser: pytest.Parser) -> None:
    parser.addoption("--reliability", action="store_true", help="write the counts into docs/reliability.md")


def pytest_configure(config: pytest.Config) -> None:
    config.stash[_LEDGER] = Ledger()


def pytest_collection_finish(session: pytest.Session) -> None:
    ledger = session.config.stash[_LEDGER]
    part = any("[" in argument for argument in session.config.args)
    for item in session.items:
        if "count" in getattr(item, "fixturenames", ()):
            name = function_name(item)
            ledger.texts[name] = (item.function.__doc__ or "").strip().splitlines()[0].rstrip(".")
            ledger.collected[name] += 1
            if part:
                ledger.incomplete.add(name)


def pytest_deselected(items: list[pytest.Item]) -> None:
    for item in items:
        item.config.stash[_LEDGER].incomplete.add(function_name(item))


@pytest.hookimpl(wrapper=True)
def pytest_runtest_makereport(item: pytest.Item, call: pytest.CallInfo):
    report = yield
    if _ONE in item.stash and call.when == "call":
        ledger, name = item.config.stash[_LEDGER], function_name(item)
        ledger.cases[name] += item.stash[_ONE]
        ledger.passed[name] += report.passed
        ledger.lost[name] += report.failed
    return report


def pytest_sessionfinish(session: pytest.Session) -> None:
    ledger, config = session.config.stash[_LEDGER], session.config
    text = PAGE.read_text()
    there = {match["name"]: match[0] for match in _ROW.finditer(text)}
    rows = ledger.rows()
    if config.getoption("--reliability"):
        head, rest = text.split("|---|", 1)
        rule, rest = rest.split("\n", 1)
        after = _ROW.sub("", rest).lstrip("\n")
        lines = [row for _, row in sorted((there | rows).items())]
        PAGE.write_text(f"{head}|---|{rule}\n" + "\n".join(lines) + "\n\n" + after)
        return
    ledger.differences = [
        f"says: {there.get(name, 'nothing')}\n   the tests: {row}"
        for name, row in rows.items()
        if there.get(name) != row
    ]
    if ledger.differences and session.exitstatus == 0:
        session.exitstatus = pytest.ExitCode.TESTS_FAILED


def pytest_terminal_summary(terminalreporter) -> None:
    for difference in terminalreporter.config.stash[_LEDGER].differences:
        terminalreporter.write_line(f"docs/reliability.md {difference}", red=True)
    if terminalreporter.config.stash[_LEDGER].differences:
        terminalreporter.write_line("pytest --reliability writes it anew.")
