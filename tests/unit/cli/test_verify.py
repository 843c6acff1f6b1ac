"""Which published study a run, or a call of ``lowdose verify``, is compared with."""

from __future__ import annotations

from pathlib import Path

import pytest

from lowdose.cli import main
from lowdose.cli.run import _published, parsed
from lowdose.cli.verify import PUBLISHED
from lowdose.verification.reference import read_reference

ROOT = Path(__file__).resolve().parents[3]


@pytest.mark.parametrize(
    ("words", "name"),
    [
        ([], "quick"),
        (["--cores", "1"], "quick"),
        (["--configfile", "config/study.yaml"], "study"),
        (["--configfile", str(ROOT / "config" / "study.yaml"), "--config", "seed=3"], None),
        (["--configfile", "config/study.yaml", "config/movies.yaml"], None),
        (["--configfile", "config/tiny.yaml"], None),
        (["--config", "seed=3"], None),
    ],
)
def test_the_published_study_that_a_run_repeats(words, name, monkeypatch):
    monkeypatch.chdir(ROOT)
    assert _published(parsed(words)) == name


def test_another_file_of_that_name_is_another_study(tmp_path, monkeypatch):
    (tmp_path / "config").mkdir()
    (tmp_path / "config" / "study.yaml").write_text("study: study\n")
    monkeypatch.chdir(tmp_path)
    assert _published(parsed(["--configfile", "config/study.yaml"])) is None


@pytest.mark.parametrize("name", PUBLISHED)
def test_what_is_published_is_whole(name):
    extract, about = read_reference(PUBLISHED[name])
    assert len(extract["models"]) == {"quick": 120, "study": 855}[name]
    assert "with changes" not in about["made_with"]["commit"]


def test_a_reference_that_is_none(tmp_path, capsys):
    assert main(["verify", str(tmp_path), "--reference", str(tmp_path / "none")]) == 2
    assert f"{tmp_path / 'none'} holds no reference" in capsys.readouterr().err
