"""The time in which something was at work, against sums by hand; who is replaced, and how."""

from __future__ import annotations

import json
import os
from types import SimpleNamespace

import pytest

from lowdose.publication import RUN, _is_ours, _replace, at_work


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


def test_an_earlier_one_comes_back_where_the_new_one_cannot_be_put(tmp_path, monkeypatch):
    folder, made = tmp_path / "published", tmp_path / "made"
    for path in (folder, made):
        path.mkdir()
        (path / "which").write_text(path.name)
    plain = os.rename

    def full(source, target):
        if source == made:
            raise OSError(28, "No space left on device")
        plain(source, target)

    monkeypatch.setattr(os, "rename", full)
    with pytest.raises(OSError, match="No space left"):
        _replace(folder, made, tmp_path / "earlier")
    assert (folder / "which").read_text() == "published"
    monkeypatch.undo()
    _replace(folder, made, tmp_path / "earlier")
    assert (folder / "which").read_text() == "made"


@pytest.mark.parametrize(
    ("told", "reference", "ours"),
    [
        ({"study": "a", "command": "./study run", "core_minutes": 1.0}, True, True),
        ({"study": "a", "command": "./study run", "core_minutes": 1.0}, False, False),
        ({"command": "somebody else's"}, True, False),
        ([], True, False),
        (None, True, False),
    ],
)
def test_nobody_elses_folder_is_replaced(tmp_path, told, reference, ours):
    if told is not None:
        (tmp_path / RUN).write_text(json.dumps(told))
    if reference:
        (tmp_path / "verify").mkdir()
        (tmp_path / "verify" / "reference.json").write_text("{}")
    assert _is_ours(tmp_path) is ours
