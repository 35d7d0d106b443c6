"""Checks of arguments: what they let through, and what their messages say."""

from __future__ import annotations

import re

import numpy as np
import pytest

from scclu import _checks as checks


@pytest.mark.parametrize(
    ("value", "bounds"),
    [
        (0, {"low": 0, "integer": True}),
        (np.int64(3), {"high": 3, "integer": True}),
        (0.5, {"above": 0, "below": 1}),
        (np.float32(1), {"low": 1, "high": 1}),
        (-7, {}),
    ],
)
def test_numbers_within_their_bounds_are_returned(value, bounds):
    assert checks.check_number("n", value, **bounds) is value


@pytest.mark.parametrize(
    ("value", "bounds", "error", "message"),
    [
        (True, {}, TypeError, "n must be a number, but True (bool) was passed."),
        ("1", {}, TypeError, "n must be a number, but '1' (str) was passed."),
        (1.0, {"integer": True}, TypeError, "n must be a whole number, but 1.0 (float) was passed."),
        (float("nan"), {}, ValueError, "n must be finite, but nan was passed."),
        (float("inf"), {"low": 0}, ValueError, "n must be at least 0, but inf was passed."),
        (-1, {"low": 0}, ValueError, "n must be at least 0, but -1 was passed."),
        (2, {"low": 0, "high": 1}, ValueError, "n must be at least 0 and at most 1, but 2 was passed."),
        (0, {"above": 0, "below": 1}, ValueError, "n must be above 0 and below 1, but 0 was passed."),
        (1, {"above": 0, "below": 1}, ValueError, "n must be above 0 and below 1, but 1 was passed."),
    ],
)
def test_other_numbers_are_refused(value, bounds, error, message):
    with pytest.raises(error, match=f"^{re.escape(message)}$"):
        checks.check_number("n", value, **bounds)


@pytest.mark.parametrize(
    ("call", "error", "message"),
    [
        (lambda: checks.check_seed("seed", 2**32), ValueError, "seed must be at least 0 and below 4294967296"),
        (lambda: checks.check_seed("seed", None), TypeError, "seed must be a whole number, but None"),
        (lambda: checks.check_adata({}, "reference"), TypeError, "reference must be an AnnData, but a dict was"),
        (lambda: checks.check_choice("f", "x", ("a", "b")), ValueError, "f must be one of 'a', 'b', but 'x' was"),
        (lambda: checks.check_choices("f", ["a", "x"], ("a",)), ValueError, "Each of f must be one of 'a', but 'x'"),
        (lambda: checks.check_choices("f", [], ("a",)), ValueError, "f must name at least one of 'a', but is empty"),
        (lambda: checks.check_name("unassigned", ""), TypeError, "unassigned must be a name, but '' was passed"),
        (lambda: checks.check_key(1), TypeError, "key_added must be a name, but 1 was passed"),
        (lambda: checks.check_key("a", None, "a"), ValueError, "'a', which this call reads: it would be overwritten"),
    ],
)
def test_messages_say_what_was_passed_and_what_is_allowed(call, error, message):
    with pytest.raises(error, match=re.escape(message)):
        call()


def test_choices_are_a_list_without_repetitions():
    assert checks.check_choices("f", "a", ("a", "b")) == ["a"]
    assert checks.check_choices("f", ("b", "a", "b"), ("a", "b")) == ["b", "a"]


def test_listed_shows_ten_names_and_their_number():
    assert checks.listed([]) == "none"
    assert checks.listed(["a", 1]) == "'a', '1'"
    assert checks.listed(range(11)).endswith("'9', ... (11 in all)")
