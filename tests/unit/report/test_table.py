"""The page of results, and the captions."""

from __future__ import annotations

import re
import types
from html.parser import HTMLParser
from pathlib import Path

import numpy as np
import pandas as pd
import pytest
from docutils.core import publish_parts
from jinja2 import Environment, StrictUndefined

from lowdose import config
from lowdose.report.table import MEASURES, best_rows, results_html
from lowdose.runtime import UserError
from lowdose.stages import Study

CAPTIONS = sorted((Path(__file__).parents[3] / "workflow" / "report").glob("*.rst"))


class Cells(HTMLParser):
    """Texts of the cells, row by row; open tags must be closed in order."""

    def __init__(self):
        super().__init__()
        self.open, self.rows, self.links = [], [], []

    def handle_starttag(self, tag, attrs):
        self.links += [value for key, value in attrs if key in ("src", "href")]
        if tag != "meta":
            self.open.append(tag)
        if tag == "tr":
            self.rows.append([])
        if tag in ("td", "th"):
            self.rows[-1].append("")

    def handle_endtag(self, tag):
        assert self.open.pop() == tag

    def handle_data(self, data):
        if self.rows and {"td", "th"} & set(self.open):
            self.rows[-1][-1] += ("|" if "small" in self.open else "") + data


@pytest.fixture
def table(inputs):
    return pd.read_csv(inputs.tables / "results.csv")


def test_every_number_of_the_page_is_in_the_table(table):
    page = Cells()
    page.feed(results_html(table))
    assert page.open == [] and page.links == []
    body = [row for row in page.rows[1:] if len(row) > 1]
    assert len(body) == len(table)
    for cells, (_, row) in zip(body, table.sort_values("dose_e_per_px", kind="stable").iterrows(),
                               strict=True):  # fmt: skip
        assert cells[0].split("|")[0] == row["title"]
        for text, measure in zip(cells[1:], MEASURES, strict=True):
            value, *interval = text.split("|")
            wanted = row[measure.key] * measure.factor
            if np.isnan(wanted):
                assert (value, interval) == ("–", [])
            elif np.isinf(wanted):
                assert (value, interval) == ("∞", [])
            else:
                half = 0.5 * 10.0**-measure.digits + 1e-9
                assert float(value) == pytest.approx(wanted, abs=half)
                low, high = map(float, interval[0].split(" to "))
                assert low == pytest.approx(row[f"{measure.key}_low"] * measure.factor, abs=half)
                assert high == pytest.approx(row[f"{measure.key}_high"] * measure.factor, abs=half)


def test_the_best_rival_is_bold_and_a_reference_never(table):
    rows = table[table["dose_e_per_px"] == 0.45].set_index("denoiser")
    rows.loc[["gaussian", "narrow.white.seed0", "wide.white.seed0"], "f1"] = [0.5, 0.8, 0.8001]
    rows.loc["clean", "f1"] = 0.99
    rows.loc[["gaussian", "narrow.white.seed0", "wide.white.seed0"], "erasure_rate"] = [
        0.4, 0.2, 0.3,
    ]  # fmt: skip
    by_key = {m.key: m for m in MEASURES}
    # Equal as shown: both bold.
    assert best_rows(rows, by_key["f1"]) == {"narrow.white.seed0", "wide.white.seed0"}
    assert best_rows(rows, by_key["erasure_rate"]) == {"narrow.white.seed0"}
    page = results_html(rows.reset_index())
    assert len(re.findall(r'data-label="F1"><b>0\.800</b>', page)) == 2
    rows.loc[:, "precision"] = np.nan
    assert best_rows(rows, by_key["precision"]) == set()


def test_text_is_escaped_and_a_missing_column_named(table):
    page = results_html(table.assign(title="<script>"))
    assert "<script>" not in page and "&lt;script&gt;" in page
    with pytest.raises(UserError, match="lacks the column 'f1_low'"):
        results_html(table.drop(columns="f1_low"))


@pytest.mark.parametrize("path", CAPTIONS, ids=lambda path: path.stem)
@pytest.mark.parametrize(
    "overlays", [[], ["study.yaml"], ["study.yaml", "movies.yaml"], ["paper.yaml"]], ids="+".join
)
def test_captions_quote_the_configuration(path, overlays):
    folder = Path(config.default_files()[0]).parent
    recorded = {"experiment": {"files": {"movie": {"file": "data/movie.dm4"}}}}
    values = Study(config.load([folder / overlay for overlay in overlays], recorded)).values
    environment = Environment(undefined=StrictUndefined, autoescape=False)
    text = environment.from_string(path.read_text(encoding="utf-8")).render(
        snakemake=types.SimpleNamespace(
            config=values, wildcards=types.SimpleNamespace(recording="movie")
        )
    )
    body = publish_parts(text, writer="html", settings_overrides={"halt_level": 2})["body"]
    assert "{{" not in body
    if path.stem == "recording":
        assert "data/movie.dm4" in text and "at 5 % false discoveries" in " ".join(text.split())
    elif path.stem not in ("library", "defocus"):
        assert f"{values['frames']['reference_dose_e_per_px']:g}" in body
    if path.stem == "likelihood":
        assert f"{100 * values['evaluation']['false_discovery_rate']:g} %" in text
