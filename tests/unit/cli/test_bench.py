"""``lowdose bench``: rows, verdicts, what is written, and what is refused."""

from __future__ import annotations

import json

import pytest

from lowdose.cli import _bench_networks, _bench_study, main
from lowdose.cli._bench_rows import Row, table


@pytest.mark.parametrize(
    ("value", "target", "at_least", "met"),
    [
        (1.0, None, False, None),
        (1.0, 1.0, False, True),
        (1.01, 1.0, False, False),
        (1.0, 1.0, True, True),
        (0.99, 1.0, True, False),
        (None, 1.0, True, False),  # nothing does not meet a target
        (None, None, False, None),
    ],
)
def test_a_target_is_met_on_its_own_side(value, target, at_least, met):
    assert Row("x", value, "s", target, at_least).met is met


def test_the_table_says_value_interval_target_and_verdict():
    rows = [
        Row("speed", 51.2345, "times", 45, True, note="best mode"),
        Row("PSNR", 37.04, "dB", 37.5, True, 36.9, 37.2),
        Row("lost", None, "dB", note="not shipped"),
    ]
    assert table(rows).splitlines()[2:] == [
        "| speed | 51.23 times | at least 45 times | met | best mode |",
        "| PSNR | 37.04 [36.9, 37.2] dB | at least 37.5 dB | MISSED |  |",
        "| lost | none |  |  | not shipped |",
    ]


def test_the_file_holds_what_the_table_shows(tmp_path, monkeypatch, capsys):
    rows = [("time", 1.23456, "s", 1), Row("gain", 3.61, "dB", 3.5, True, 3.1, 4.0, "paired")]
    monkeypatch.setattr(_bench_study, "measure", lambda threads: rows)
    assert main(["--threads", "1", "bench", "study", "--output", str(tmp_path)]) == 0
    written = json.loads((tmp_path / "study.json").read_text())
    assert written["threads"] == 1
    assert written["rows"] == [
        {"name": "time", "value": 1.235, "unit": "s", "target": 1, "met": False,
         "limit": "at most"},
        {"name": "gain", "value": 3.61, "unit": "dB", "target": 3.5, "met": True,
         "limit": "at least", "interval": [3.1, 4.0], "note": "paired"},
    ]  # fmt: skip
    assert "| gain | 3.61 [3.1, 4] dB | at least 3.5 dB | met | paired |" in capsys.readouterr().out


def test_a_quick_one_keeps_the_whole_one(tmp_path, monkeypatch):
    asked = []
    monkeypatch.setattr(
        _bench_networks, "measure", lambda threads, quick: asked.append((threads, quick)) or []
    )
    assert main(["--threads", "1", "bench", "--quick", "--output", str(tmp_path)]) == 0
    assert asked == [(1, True)]
    assert [path.name for path in tmp_path.iterdir()] == ["networks-quick.json"]


@pytest.mark.parametrize(
    ("words", "sentence"),
    [
        (["netwroks"], "There is no benchmark 'netwroks' (did you mean networks?); choose from "
         "simulation, study, networks, denoisers, evaluation, recording, adaptive, scale."),
        (["speed"], "There is no benchmark 'speed'; choose from simulation, study, networks, "
         "denoisers, evaluation, recording, adaptive, scale."),
        (["study", "--quick"], "The benchmark 'study' has no quick form; leave out --quick, or "
         "choose from networks."),
    ],
)  # fmt: skip
def test_what_there_is_not_is_refused_before_anything_runs(words, sentence, capsys):
    assert main(["--threads", "1", "bench", *words]) == 2
    assert capsys.readouterr().err == f"lowdose: {sentence}\n"


def test_rows_of_positions_are_those_of_the_table():
    import pandas as pd

    from lowdose.cli._bench_adaptive import DOSE, located_rows

    rows = [
        {"columns": "all", "method": method, "dose_e_per_px": dose, "ratio": ratio + dose / 100,
         "scatter_ratio": 1.05, "systematic_pm": 1.4, "failure_rate": rate,
         "failure_rate_low": rate / 2, "failure_rate_high": rate + 0.01}
        for method, ratio, rate in (
            ("blobs", 1.2, 0.88), ("fits", 1.0, 0.9), ("network", 0.5, 0.02)
        )
        for dose in (DOSE, 5.0, 100.0)
    ]  # fmt: skip
    found = [Row(*row) for row in located_rows(pd.DataFrame(rows))]
    assert [row.value for row in found] == pytest.approx([1.25, 2.2, 0.88, 0.02])
    assert [row.met for row in found] == [True, False, None, None]
    assert "Gaussian fits 2.000" in found[1].note and found[3].low == 0.01
