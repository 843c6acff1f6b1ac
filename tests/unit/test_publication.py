"""The time in which something was at work, against sums by hand."""

from __future__ import annotations

from types import SimpleNamespace

import pytest

from lowdose.publication import at_work


@pytest.mark.parametrize(
    ("spans", "seconds"),
    [
        ([(0, 10)], 10),
        ([(0, 10), (5, 10)], 15),  # side by side
        ([(0, 10), (2, 3)], 10),  # one within the other
        ([(0, 10), (40, 5)], 15),  # a pause between: another sitting
        ([(40, 5), (0, 10), (10, 30)], 45),
    ],
)
def test_time_at_work_is_that_of_all_jobs_together(spans, seconds):
    known = [
        SimpleNamespace(run=SimpleNamespace(started=f"2026-01-01T00:00:{at:02d}+00:00", seconds=s))
        for at, s in spans
    ]
    assert at_work(known) == seconds
