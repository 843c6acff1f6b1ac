"""The page of all methods."""

from __future__ import annotations

import pandas as pd
import pytest

from lowdose.report.methods_page import SHOWN, methods_html
from lowdose.report.table import table_html


def row(denoiser, kind, psnr, tuned_for="psnr", dose=0.45, in_range=True, licence="MIT"):
    values = {m.key: psnr if m.key == "psnr_db" else 0.5 for m in SHOWN}
    limits = {f"{key}{end}": v for key, v in values.items() for end in ("_low", "_high")}
    return {
        "denoiser": denoiser, "title": denoiser.upper(), "kind": kind, "tuned_for": tuned_for,
        "dose_e_per_px": dose, "licence": licence, "in_range": in_range, "n_units": 8,
        "seconds_per_frame": 0.7, "receptive_field_px": None, "receptive_field_nm": None,
        "parameters": '{"binning": 4}' if kind == "baseline" else "", **values, **limits,
    }  # fmt: skip


@pytest.fixture
def page():
    table = pd.DataFrame([
        row("raw", "reference", 3.5), row("tv", "baseline", 28.25), row("white", "network", 38.5),
        row("tv", "baseline", 29.75, dose=20), row("white", "network", 25.5, dose=20,
                                                   in_range=False),
        row("tv", "baseline", 27.125, "f1"),
    ])  # fmt: skip
    paper = pd.DataFrame([
        {"paper": "VST & TV", "paper_psnr_db": 26.5, "paper_spread_db": 0.5, "paper_ssim": 0.5,
         "source": "recollection", "ours": "TV", "psnr_db": 28.25, "ssim": 0.5,
         "difference_db": 3.0, "because": "ours is tuned"},
        {"paper": "DnCNN", "paper_psnr_db": 30.47, "paper_spread_db": float("nan"),
         "paper_ssim": 0.93, "source": "recollection"},
    ])  # fmt: skip
    spec = {
        "denoisers": ["raw", "tv", "white"], "reference_dose_e_per_px": 0.45, "realisations": 1,
        "trials": 12, "not_run": {"topaz": "Denoiser topaz needs its own environment."},
    }  # fmt: skip
    return methods_html(table, paper, spec)


def test_both_tunings_stand_in_tables_of_their_own(page):
    psnr, f1 = page.split("<h1>Tuned for the surface</h1>")
    assert "28.25" in psnr and "29.75" in psnr and "27.12" not in psnr
    f1, paper = f1.split("<h1>The paper&#x27;s own rows</h1>") if "&#x27;" in f1 else f1.split(
        "<h1>The paper's own rows</h1>"
    )  # fmt: skip
    # The network is tuned for nothing: the same row in both.
    assert "27.12" in f1 and "38.50" in f1 and "28.25" not in f1
    assert "ours is tuned" in paper and "26.50 ± 0.5" in paper and "VST &amp; TV" in paper


def test_what_a_reader_must_know_of_a_row_stands_below_its_name(page):
    assert page.count("outside the doses that it is made for") == 1
    assert "<small>MIT</small>" in page and "Denoiser topaz needs its own environment." in page
    assert "http" not in page  # no request to anywhere


def test_the_best_of_methods_and_networks_is_bold_at_each_dose():
    table = pd.DataFrame([row("raw", "reference", 50.0), row("tv", "baseline", 28.25),
                          row("white", "network", 38.5)])  # fmt: skip
    html = table_html(table, SHOWN[:1])
    assert "<b>38.50</b>" in html and html.count("<b>") == 1
