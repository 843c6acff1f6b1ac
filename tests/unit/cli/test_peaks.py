"""What Snakemake says of jobs, and what it does not say of them."""

from lowdose.cli import main, peaks


def test_a_job_that_ended_before_it_was_measured_counts_for_its_time(tmp_path):
    """Of such a one Snakemake writes NA."""
    path = tmp_path / "results" / "logs" / "summarise.jsonl"
    path.parent.mkdir(parents=True)
    path.write_text('{"s": 0.4, "max_rss": "NA"}\n{"s": 2.5, "max_rss": 90.5}\n')
    assert peaks.measured(path.parent) == {"summarise": (2, 0.4, 2.5, 90.5)}


def test_peaks_of_something_else_are_one_sentence(tmp_path, capsys):
    path = tmp_path / "results" / "logs" / "summarise.jsonl"
    path.parent.mkdir(parents=True)
    table = tmp_path / "rules.csv"
    words = ["peaks", str(tmp_path / "results"), "--table", str(table)]
    for text in ('{"s": 0.4', '{"time": 0.4}', "[]"):
        path.write_text(text + "\n")
        assert main(words) == 2 and not table.exists()
        assert f"{path} is no benchmark of a job" in capsys.readouterr().err
    path.unlink()
    table.write_text("a,b\n1,2\n")
    assert main(words) == 2 and table.read_text() == "a,b\n1,2\n"
    assert f"{table} is no table of this command" in capsys.readouterr().err
