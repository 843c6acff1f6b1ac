"""Words that are too long for a command line go by file, and nothing else notices."""

from __future__ import annotations

import json

import pytest
from snakemake.utils import format as snakemake_format

from lowdose.cli import main
from lowdose.long_words import FOLDER, LONGEST, Word, text_of

SHORT = Word('{"seed":3}')
LONG = Word(json.dumps({"names": ["größe"] * 20_000}, ensure_ascii=False))


def formed(spec: Word) -> str:
    """Return the word of a rule's command, unquoted."""
    return snakemake_format("{spec:q}", spec=spec).strip("'")


def test_a_short_word_is_itself(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    assert formed(SHORT) == text_of(formed(SHORT)) == '{"seed":3}'
    assert not list(tmp_path.iterdir())


def test_a_long_word_is_a_file_named_by_its_content(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    assert len(LONG.encode()) > 128 * 1024 > LONGEST
    word = formed(LONG)
    assert word.startswith(f"@{FOLDER}/") and len(word) < 200
    assert text_of(word) == LONG
    assert formed(Word(LONG)) == word != formed(Word(LONG + " "))
    assert len(list((tmp_path / FOLDER).iterdir())) == 2


def test_what_snakemake_compares_is_the_text():
    assert str(LONG) == LONG and repr(LONG) == repr(str(LONG)) and hash(LONG) == hash(str(LONG))
    assert json.dumps([LONG]) == json.dumps([str(LONG)])


@pytest.mark.parametrize("content", [None, b"\xff\xfe"])
def test_a_file_that_cannot_be_read_is_told(content, tmp_path, capsys):
    path = tmp_path / "spec.json"
    if content is not None:
        path.write_bytes(content)
    assert main(["structures", "--spec", f"@{path}"]) == 2
    told = capsys.readouterr().err
    assert f"--spec @{path}: {path} cannot be read" in told and "Traceback" not in told


def test_a_file_of_something_else_is_told(tmp_path, capsys):
    (tmp_path / "spec.json").write_text("no JSON")
    assert main(["structures", "--spec", f"@{tmp_path / 'spec.json'}"]) == 2
    assert "--spec is no valid JSON" in capsys.readouterr().err
