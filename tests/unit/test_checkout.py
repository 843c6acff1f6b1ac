"""Commit and dirty flag, in repositories made for the purpose."""

from __future__ import annotations

import subprocess

import pytest

from lowdose.checkout import commit_of


def git(folder, *words):
    who = ("-c", "user.name=nobody", "-c", "user.email=nobody@localhost")
    command = ["git", "-C", str(folder), *who, *words]
    return subprocess.run(command, check=True, capture_output=True, text=True).stdout.strip()


@pytest.fixture
def repository(tmp_path):
    folder = tmp_path / "project"
    (folder / "workflow").mkdir(parents=True)
    (folder / "results").mkdir()
    (folder / "workflow" / "module.py").write_text("X = 1\n")
    (folder / ".gitignore").write_text("/results/*\n")
    git(folder, "init", "-q")
    git(folder, "add", "-A")
    git(folder, "commit", "-q", "-m", "First")
    return folder


def test_a_clean_checkout(repository):
    found = commit_of(repository)
    assert found.id == git(repository, "rev-parse", "HEAD")
    assert not found.dirty


def test_an_edit_of_a_tracked_file_makes_it_dirty(repository):
    module = repository / "workflow" / "module.py"
    module.write_text("X = 2\n")
    assert commit_of(repository).dirty
    git(repository, "add", "-A")  # in the index, and still not in the commit
    assert commit_of(repository).dirty
    before = commit_of(repository).id
    git(repository, "commit", "-q", "-m", "Second")
    assert not commit_of(repository).dirty
    assert commit_of(repository).id != before
    module.unlink()
    assert commit_of(repository).dirty


def test_a_new_file_counts_among_the_sources_only(repository):
    (repository / "notes.txt").write_text("mine\n")
    (repository / "results" / "table.csv").write_text("a\n")
    assert not commit_of(repository).dirty
    (repository / "workflow" / "new module.py").write_text("Y = 1\n")
    assert commit_of(repository).dirty


def test_without_a_repository_and_inside_of_another_one(repository, tmp_path):
    assert commit_of(tmp_path) is None
    # A copy of the project that lies in somebody's repository is at none of its commits.
    inner = repository / "results" / "copy"
    inner.mkdir()
    assert commit_of(inner) is None


def test_before_the_first_commit_and_in_a_broken_repository(tmp_path):
    git(tmp_path, "init", "-q")
    assert commit_of(tmp_path) is None
    (tmp_path / ".git" / "HEAD").write_text("nonsense")
    assert commit_of(tmp_path) is None


def test_without_git(repository, tmp_path, monkeypatch):
    monkeypatch.setenv("PATH", str(tmp_path))
    assert commit_of(repository) is None


def test_the_environment_of_a_hook_leads_nowhere_else(repository, tmp_path, monkeypatch):
    other = tmp_path / "other"
    other.mkdir()
    git(other, "init", "-q")
    git(other, "commit", "-q", "--allow-empty", "-m", "Other")
    monkeypatch.setenv("GIT_DIR", str(other / ".git"))
    found = commit_of(repository).id
    monkeypatch.delenv("GIT_DIR")
    assert found == git(repository, "rev-parse", "HEAD")
