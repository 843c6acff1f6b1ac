"""The page of learning curves: whose, with which numbers, and from whole files only."""

import json
import re

import pytest

from lowdose.cli import main
from lowdose.report.learning_curve_page import page, read
from lowdose.runtime import UserError

STEPS, SECONDS, PSNR = (100, 200, 300), (30.0, 60.0, 150.0), (28.5, 31.25, 31.0)
FALSE = (80.0, 12.5, 4.0)


def training(folder, name=None):
    folder.mkdir(parents=True)
    history = [
        {"step": s, "loss": 0.5 / s, "learning_rate": 1e-3, "validation_psnr_db": p,
         "validation_false_per_100_nm2": f}
        for s, p, f in zip(STEPS, PSNR, FALSE, strict=True)
    ]  # fmt: skip
    timing = [{"step": s, "seconds": t} for s, t in zip(STEPS, SECONDS, strict=True)]
    for kind, records in (("history", history), ("timing", timing)):
        lines = "".join(json.dumps(record) + "\n" for record in records)
        (folder / f"{kind}.jsonl").write_text(lines)
    if name:
        (folder / "card.json").write_text(json.dumps({"denoiser": name}))
    return folder


def test_records_and_minutes(tmp_path):
    (curve,) = read([training(tmp_path / "a", "wide.white.seed0")])
    assert curve.name == "wide.white.seed0"
    assert [r["minutes"] for r in curve.records] == [0.5, 1.0, 2.5]
    assert curve.records[1] == {"step": 200, "minutes": 1.0, "loss": 0.0025,
                                "learning_rate": 1e-3, "validation_psnr_db": 31.25,
                                "validation_false_per_100_nm2": 12.5}  # fmt: skip


def test_trainings_that_did_not_count_columns_in_vacuum_have_no_panel_of_them(tmp_path):
    old = training(tmp_path / "old")
    lines = [json.loads(line) for line in (old / "history.jsonl").read_text().splitlines()]
    for record in lines:
        del record["validation_false_per_100_nm2"]
    (old / "history.jsonl").write_text("".join(json.dumps(r) + "\n" for r in lines))
    new = training(tmp_path / "new")
    assert "of vacuum against" in page(read([new]))
    assert "of vacuum against" not in page(read([new, old]))


def test_names_tell_the_trainings_apart(tmp_path):
    twice = [training(tmp_path / k, "wide.white.seed0") for k in "ab"]
    curves = read([*twice, training(tmp_path / "c", "narrow"), training(tmp_path / "d")])
    assert [c.name for c in curves] == [*map(str, twice), "narrow", str(tmp_path / "d")]


def test_the_table_holds_the_last_and_the_best(tmp_path):
    text = page(read([training(tmp_path / "a", "wide & <co>")]))
    row = re.search(r"<tbody><tr>(.*?)</tr>", text)[1]
    # 300 steps in 2.5 minutes: 2 a second.
    assert re.findall("<td>(.*?)</td>", row) == [
        "wide &amp; &lt;co&gt;", "300", "2.5", "2.00", "0.0016667", "31.00", "31.25"]  # fmt: skip
    assert "<co>" not in text


def test_the_page_needs_nothing_else(tmp_path):
    text = page(read([training(tmp_path / "a")]))
    assert not re.search(r"<script|<link|<img|https?://|url\(|@import", text)
    assert "prefers-color-scheme: dark" in text
    assert "@media print" in text
    titles = re.findall(r"<svg [^>]*role=\"img\"[^>]*><title>(.*?)</title><desc>", text)
    assert [t.replace("minutes of training", "m").replace("optimiser steps", "s")
            for t in titles] == [
        f"{what} against {x}"
        for what in ("Validation PSNR", "Training loss", "Columns shown in 100 nm² of vacuum",
                     "Learning rate")
        for x in "sm"
    ]  # fmt: skip


def test_the_command_writes_it_and_says_nothing(tmp_path, capsys):
    folders = [str(training(tmp_path / k, k)) for k in ("one", "two")]
    output = tmp_path / "pages" / "curves.html"
    assert main(["curves", *folders, "--output", str(output)]) == 0
    assert output.read_text().startswith("<!DOCTYPE html>")
    assert "Learning curves: one, two" in output.read_text()
    assert capsys.readouterr() == ("", "")


@pytest.mark.parametrize(
    ("file", "content", "said"),
    [
        ("history", None, "history.jsonl does not exist; name the folder of a finished training"),
        ("timing", None, "timing.jsonl does not exist; name the folder of a finished training"),
        ("history", "{", "history.jsonl is damaged (JSONDecodeError); train the network anew"),
        ("history", "", "history.jsonl holds no records; name the folder of a finished training"),
        ("timing", '{"step": 100, "seconds": 1}\n', "no complete history of one training"),
        ("history", '{"step": 100, "loss": 1}\n', "(KeyError: 'validation_psnr_db')"),
    ],
)
def test_bad_files_are_one_sentence(tmp_path, file, content, said):
    path = training(tmp_path / "a") / f"{file}.jsonl"
    path.unlink() if content is None else path.write_text(content)
    with pytest.raises(UserError) as caught:
        read([tmp_path / "a"])
    assert said in str(caught.value)
    assert str(tmp_path / "a") in str(caught.value)
