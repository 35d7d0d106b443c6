"""Counts what the reliability tests ran, and keeps the table of docs/reliability.md in step with it.

A test takes the fixture `count` and calls it once for each case that held (``count(n)`` for `n` at once). The table has
one row a test function, with the first line of its docstring: what was counted, and how many of its tests failed. Where
all cases of a function ran, the row must say what was counted, else the session fails; ``pytest --reliability`` writes
the rows.
"""

from __future__ import annotations

import re
import signal
from collections import Counter
from collections.abc import Callable, Iterator
from dataclasses import dataclass, field
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[1]
PAGE = ROOT / "docs" / "reliability.md"
_ROW = re.compile(r"^\| (?P<text>.*) \| (?P<cases>[\d,]+) \| (?P<lost>[\d,]+) \| `(?P<name>[^`]+)` \|$", re.MULTILINE)


_ONE = pytest.StashKey[int]()
_COLLECTED = pytest.StashKey[Counter[str]]()


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


@dataclass
class Ledger:
    """What was counted, by test function; with pytest-xdist in the process that the workers report to."""

    texts: dict[str, str] = field(default_factory=dict)
    cases: Counter[str] = field(default_factory=Counter)
    lost: Counter[str] = field(default_factory=Counter)
    passed: Counter[str] = field(default_factory=Counter)
    collected: dict[str, int] = field(default_factory=dict)
    differences: list[str] = field(default_factory=list)

    def pytest_runtest_logreport(self, report: pytest.TestReport) -> None:
        for key, value in report.user_properties:
            if key == "reliability" and report.when == "call":
                name, self.texts[name], cases, self.collected[name] = value
                self.cases[name] += cases
                self.passed[name] += report.passed
                self.lost[name] += report.failed

    def rows(self) -> dict[str, str]:
        """The rows of the functions that ran all their tests."""
        return {
            name: f"| {text} | {self.cases[name]:,} | {self.lost[name]:,} | `{name}` |"
            for name, text in self.texts.items()
            if self.passed[name] + self.lost[name] == self.collected[name]
        }

    @pytest.hookimpl(trylast=True)
    def pytest_sessionfinish(self, session: pytest.Session) -> None:
        text = PAGE.read_text()
        there = {match["name"]: match[0] for match in _ROW.finditer(text)}
        rows = self.rows()
        if session.config.getoption("--reliability"):
            head, rest = text.split("|---|", 1)
            rule, rest = rest.split("\n", 1)
            after = _ROW.sub("", rest).lstrip("\n")
            lines = [row for _, row in sorted((there | rows).items())]
            PAGE.write_text(f"{head}|---|{rule}\n" + "\n".join(lines) + "\n\n" + after)
            return
        self.differences = [
            f"says: {there.get(name, 'nothing')}\n   the tests: {row}"
            for name, row in rows.items()
            if there.get(name) != row
        ]
        if self.differences and session.exitstatus == 0:
            session.exitstatus = pytest.ExitCode.TESTS_FAILED

    def pytest_terminal_summary(self, terminalreporter) -> None:
        for difference in self.differences:
            terminalreporter.write_line(f"docs/reliability.md {difference}", red=True)
        if self.differences:
            terminalreporter.write_line("pytest --reliability writes it anew.")


def pytest_addoption(parser: pytest.Parser) -> None:
    parser.addoption("--reliability", action="store_true", help="write the counts into docs/reliability.md")


def pytest_configure(config: pytest.Config) -> None:
    config.stash[_COLLECTED] = Counter()
    # a shell ignores Ctrl-C for what it starts in the background, and tests of interrupts need it
    signal.signal(signal.SIGINT, signal.default_int_handler)
    if not hasattr(config, "workerinput"):
        config.pluginmanager.register(Ledger())


def pytest_itemcollected(item: pytest.Item) -> None:
    item.config.stash[_COLLECTED][function_name(item)] += 1


@pytest.hookimpl(wrapper=True)
def pytest_runtest_makereport(item: pytest.Item, call: pytest.CallInfo):
    if _ONE in item.stash and call.when == "call":
        name, text = function_name(item), (item.function.__doc__ or "").strip().splitlines()[0].rstrip(".")
        # where parameters were picked by name, not all cases were collected
        part = any("[" in argument for argument in item.config.args)
        collected = -1 if part else item.config.stash[_COLLECTED][name]
        item.user_properties.append(("reliability", (name, text, item.stash[_ONE], collected)))
    return (yield)
