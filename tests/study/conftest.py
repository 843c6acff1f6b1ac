"""The quick study, run once in a fresh copy of the project, for all tests of this folder."""

from __future__ import annotations

import pytest

from lowdose.cli._watched import Run, copy_of_project, study_run


@pytest.fixture(scope="session")
def first_run(tmp_path_factory) -> Run:
    """The quick study on a fresh copy."""
    return study_run(copy_of_project(tmp_path_factory.mktemp("study") / "project"))


@pytest.fixture(scope="session")
def second_run(first_run) -> Run:
    """The same call once more."""
    assert first_run.code == 0, first_run.err
    return study_run(first_run.folder)
