"""The README's numbers are those of the tables that it names."""

from __future__ import annotations

import json
import re
from pathlib import Path

import numpy as np
import pandas as pd
import pytest

ROOT = Path(__file__).resolve().parents[2]
README = (ROOT / "README.md").read_text(encoding="utf-8")
STUDY = ROOT / "results" / "reference" / "study"
TABLE = pd.read_csv(STUDY / "tables" / "results.csv")
ROW = re.compile(r"^\| ([^|]+) \| ([^|]+) \| ([^|]+) \| (\d+) \| (\d+) \|$", re.MULTILINE)


CARDS = ROOT / "workflow" / "lowdose" / "denoisers" / "released"
OF_NETWORK = re.compile(
    r"^\| `(\w+)`, ([a-z ]+) \((\d+)\) \| ([^|]+) \| ([^|]+) \| ([^|]+) \| ([\d.]+) \|$",
    re.MULTILINE,
)
SETS = {"white contrast": "white", "every contrast": "all", "shifted set": "shifted"}


def said(cell: str) -> list[float]:
    """Return the numbers of a cell: value, lower and upper limit."""
    return [float(n) for n in re.findall(r"-?\d+\.\d+|∞", cell.replace("∞", "0.0"))]


AT_REFERENCE = TABLE[TABLE["dose_e_per_px"] == 0.45].set_index("denoiser")
# Rows that are not called by their title: several trainings of one network have the same.
TRAININGS = {
    **{f"U-Net {name} ({px} px)": f"{name}.white.seed0"
       for name, px in (("narrow", 39), ("medium", 199), ("wide", 871))},
    **{f"wide, learned {what}": f"wide.{of}.seed0"
       for what, of in (("every contrast", "all"), ("one family", "only-ptnp1"),
                        ("perfect surfaces", "only-perfect"), ("no tilt", "only-untilted"))},
    "blind-spot network, learned noisy frames": "blind-set.noisy.seed0",
}  # fmt: skip


def test_the_table_of_results():
    by_title = {row["title"]: name for name, row in AT_REFERENCE.iterrows()}
    found = ROW.findall(README)
    shown = []
    for title, psnr, f1, fill, erasure in found:
        name = TRAININGS.get(title) or by_title[re.sub(r" \(\d+ px\)$", "", title)]
        row = AT_REFERENCE.loc[name]
        shown.append(name)
        if np.isfinite(row["psnr_db"]):
            expected = [row["psnr_db"], row["psnr_db_low"], row["psnr_db_high"]]
            assert said(psnr) == pytest.approx(expected, abs=0.0051), title
        expected = [row["f1"], row["f1_low"], row["f1_high"]]
        assert said(f1) == pytest.approx(expected, abs=0.0051), title
        assert int(fill) == pytest.approx(100 * row["fill_in_rate"], abs=0.51), title
        assert int(erasure) == pytest.approx(100 * row["erasure_rate"], abs=0.51), title
        if field := re.search(r"\((\d+) px\)", title):
            assert int(field[1]) == row["receptive_field_px"]
    # All of them, of trainings that differ in their seed the first.
    assert set(shown) == {n for n in AT_REFERENCE.index if not re.search(r"seed[12]$", n)}


def test_the_sentences_about_the_table():
    psnr, filled = AT_REFERENCE["psnr_db"], 100 * AT_REFERENCE["fill_in_rate"]
    text = " ".join(README.split("The published study's numbers")[1].split("## ")[0].split())
    wide = "wide.white.seed0"
    gains = re.search(r"wide network is (\d\.\d) dB above the best classical filter and (\d\.\d) "
                      r"dB above the narrow one; seeds differ by up to (\d\.\d)", text)  # fmt: skip
    classical = psnr[["gaussian", "wiener", "nlm", "tv"]].max()
    seeds = AT_REFERENCE.filter(regex=r"^\w+\.white\.seed", axis=0)["psnr_db"]
    spread = seeds.groupby(seeds.index.str.partition(".").get_level_values(0))
    expected = [psnr[wide] - classical, psnr[wide] - psnr["narrow.white.seed0"],
                (spread.max() - spread.min()).max()]  # fmt: skip
    assert [float(n) for n in gains.groups()] == pytest.approx(expected, abs=0.051)
    fills = re.search(r"fills in (\d+) % of the vacancies, the Gaussian filter (\d+) %", text)
    assert [int(n) for n in fills.groups()] == pytest.approx(
        [filled[wide], filled["gaussian"]], abs=0.51
    )
    losses = re.search(r"without tilt costs (\d\.\d) dB, with every contrast (\d\.\d), with one "
                       r"family (\d\.\d), without defects (\d\.\d)", text)  # fmt: skip
    expected = [psnr[wide] - psnr[f"wide.{of}.seed0"]
                for of in ("only-untilted", "all", "only-ptnp1", "only-perfect")]  # fmt: skip
    assert [float(n) for n in losses.groups()] == pytest.approx(expected, abs=0.051)
    blind = re.search(r"a network with a blind spot has ([\d.]+) dB", text)
    assert float(blind[1]) == pytest.approx(psnr["blind-set.noisy.seed0"], abs=0.051)


def test_what_the_published_run_took():
    run = json.loads((STUDY / "run.json").read_text())
    text = " ".join(README.split("The published study's numbers")[1].split("## ")[0].split())
    said = re.search(r"(\d+) jobs, ([\d.]+) core-hours, (\d+) minutes on two cores", text)
    jobs, hours, minutes = said.groups()
    assert int(jobs) == run["jobs"]
    assert float(hours) == pytest.approx(run["core_minutes"] / 60, abs=0.051)
    assert int(minutes) == round(run["minutes"]) and run["machine"]["cores"] == 2
    # In one go, of what is in the repository.
    assert len(run["commit"]) == 1 and re.fullmatch(r"[0-9a-f]{40}", run["commit"][0])


def test_the_table_of_the_networks_is_that_of_their_cards():
    found = OF_NETWORK.findall(README)
    cards = {path.parent.name: json.loads(path.read_text()) for path in CARDS.glob("*/card.json")}
    assert {(name, of) for name, of, *_ in found} == {(n, of) for n in cards for of in SETS}
    for name, of, number, *cells in found:
        row = next(r for r in cards[name]["metrics"] if r["set"] == SETS[of])
        assert int(number) == row["n_rows"]
        for key, cell, step in zip(
            ("psnr_db", "contrast_psnr_db", "ssim"), cells, (0.0051, 0.0051, 0.00051), strict=False
        ):
            expected = [row[key], row[f"{key}_low"], row[f"{key}_high"]]
            assert said(cell) == pytest.approx(expected, abs=step), (name, of, key)
        assert float(cells[3]) == pytest.approx(row["constant_psnr_db"], abs=0.0051)


def test_the_paragraph_about_the_receptive_field():
    tables = ROOT / "results" / "reference" / "field" / "tables"
    table = pd.read_csv(tables / "field.csv")
    at = {(r["receptive_field_px"], r["long"]): r for r in table.to_dict("records")}
    text = " ".join(README.split("## How much context")[1].split("## ")[0].split())
    short, long = (
        re.search(r"from ([\d.]+) to ([\d.]+) dB and .* from ([\d.]+) to ([\d.]+); beyond", text),
        re.search(r"871 pixels comes to ([\d.]+) dB, that of 23 pixels to ([\d.]+)\.", text),
    )
    near, far = at[23, False], at[199, False]
    expected = [near["psnr_db"], far["psnr_db"], near["f1"], far["f1"]]
    assert [float(n) for n in short.groups()] == pytest.approx(expected, abs=0.0051)
    expected = [at[871, True]["psnr_db"], at[23, True]["psnr_db"]]
    assert [float(n) for n in long.groups()] == pytest.approx(expected, abs=0.0051)
    filled = re.search(r"from (\d+) to (\d+) %, and to (\d+) %", text).groups()
    expected = [one["fill_in_rate"] for one in (near, far, at[871, True])]
    assert [int(n) / 100 for n in filled] == pytest.approx(expected, abs=0.0051)
    fit = pd.read_csv(tables / "field_law_fit.csv").set_index(["measure", "against"])["r_squared"]
    told = re.search(r"\(R² ([\d.]+)\) rather than pixels of network \(([\d.]+)\)", text).groups()
    expected = [fit["psnr_db", "nm"], fit["psnr_db", "px"]]
    assert [float(n) for n in told] == pytest.approx(expected, abs=0.0051)


def test_the_sentence_about_the_search():
    table = pd.read_csv(ROOT / "results" / "reference" / "search" / "search.csv")
    at = table.set_index(table["network"].str.partition(".")[0])["psnr_db"]
    text = " ".join(README.split())
    gates = float(re.search(r"which gates gain ([\d.]+) dB", text)[1])
    assert gates == pytest.approx(at["base"] - at["gates-none"], abs=0.051)
    long = pd.read_csv(ROOT / "results" / "reference" / "search" / "long.csv")
    assert "separable blocks are ahead" in text
    assert long.loc[long["psnr_db"].idxmax(), "network"] == "separable"


def test_the_sentences_about_speed_and_border():
    path = ROOT / "results" / "reference" / "benchmarks" / "networks.json"
    rows = {row["name"]: row["value"] for row in json.loads(path.read_text())["rows"]}
    text = " ".join(README.split())
    seconds, times = re.search(
        r"takes ([\d.]+) s on two cores, .* takes (\d+) times", text
    ).groups()
    assert float(seconds) == pytest.approx(rows["1024 x 1024 frame by `general`"], abs=0.0051)
    assert float(times) == pytest.approx(
        rows["`general` is faster than the paper's in bf16"], abs=0.51
    )
    losses = re.search(r"`general` are ([\d.]+) and ([\d.]+) dB worse than inside", text).groups()
    for name, loss in zip(("white", "general"), losses, strict=True):
        what = "outer 20 px of crops of 384 px through the particle, loss against their interior"
        assert float(loss) == pytest.approx(rows[f"{name}: {what}"], abs=0.051)


def test_the_paragraph_about_the_geometry_of_the_training_images():
    path = ROOT / "results" / "reference" / "geometry" / "tables" / "geometry.csv"
    table = pd.read_csv(path).pivot_table(
        index="trained_on", columns="tested_on", values="contrast_psnr_db"
    )
    text = " ".join(README.split("## Which images to learn from")[1].split("## ")[0].split())
    said_db = [float(n) for n in re.findall(r"(\d\.\d) dB", text)]
    expected = [
        table.loc["only-white", "white"] - table.loc["only-black", "white"],
        table.loc["only-black", "black"] - table.loc["only-white", "black"],
        table.loc["only-untilted", "none"] - table.loc["all", "none"],
        table.loc["all", "tilted"] - table.loc["only-untilted", "tilted"],
    ]
    beside = pd.read_csv(path.with_name("geometry_paper.csv"))
    family = beside[beside["axis"] == "family"]
    expected += [family["paper_loss_db"].max(), family["own_loss_db"].max()]
    assert said_db == pytest.approx(expected, abs=0.051)
    defects = table.loc[:, ["D0", "D1", "Dh", "Ds"]]
    assert (defects.max(axis=1) - defects.min(axis=1)).max() < 0.1


METHODS = pd.read_csv(ROOT / "results" / "reference" / "baselines" / "methods.csv")
OF_METHOD = re.compile(
    r"^\| ([^|]+) \| (\d+\.\d\d \[[^|]+) \| (0\.\d\d \[[^|]+) \| (0\.\d\d|–) \| ([\d.]+) \| "
    r"([^|]+) \|$",
    re.MULTILINE,
)


def test_the_table_of_all_methods():
    at = METHODS[METHODS["dose_e_per_px"] == 0.45]
    psnr, f1 = (at[at["tuned_for"] == key].set_index("title") for key in ("psnr", "f1"))
    found = OF_METHOD.findall(README)
    assert found[0][0] == "raw counts"
    assert {row[0] for row in found} == set(psnr.index[psnr["kind"] != "reference"]) | {
        "raw counts"
    }
    for title, decibel, own_f1, tuned_f1, seconds, licence in found:
        row = psnr.loc[title]
        for cell, key in ((decibel, "psnr_db"), (own_f1, "f1")):
            limits = [row[key], row[f"{key}_low"], row[f"{key}_high"]]
            assert said(cell) == pytest.approx(limits, abs=0.0051), title
        assert (tuned_f1 == "–") is (title not in f1.index)
        if title in f1.index:
            assert float(tuned_f1) == pytest.approx(f1.loc[title, "f1"], abs=0.0051), title
        assert float(seconds) == pytest.approx(row["seconds_per_frame"], rel=0.06), title
        assert licence == row["licence"], title
    order = [float(row[1].split()[0]) for row in found]
    assert order == sorted(order)


def test_what_may_be_believed():
    folder = ROOT / "results" / "reference" / "credibility" / "tables"
    text = " ".join(README.split("## What may be believed")[1].split("## ")[0].split())
    rows = pd.read_csv(folder / "credibility.csv")
    rows = rows[(rows["kind"] == "all") & (rows["dose_e_per_px"] == 0.45)].set_index("denoiser")
    results = pd.read_csv(folder / "results.csv")
    results = results[results["dose_e_per_px"] == 0.45].set_index("denoiser")
    doses = pd.read_csv(folder / "doses_needed.csv").set_index("denoiser")
    places = pd.read_csv(folder / "localisation.csv")
    places = places[places["dose_e_per_px"] == 0.45].set_index("denoiser")
    fields = [f"{name}.white" for name in ("narrow", "medium", "wide")]
    # Each network was trained twice.
    trained = {name: results[results.index.str.startswith(f"{name}.seed")] for name in fields}
    assert (rows.loc[fields, "n_seeds"] == 2).all()
    contrast = pd.read_csv(folder / "contrasts.csv")
    contrast = contrast[contrast["measure"].isin(["auc", "fill_in_rate"])].set_index(
        ["measure", "denoiser"]
    )

    def share(name, measure, digits):
        values = (100 * rows.loc[name, f"{measure}{end}"] for end in ("", "_low", "_high"))
        value, low, high = (f"{v:.{digits}f}" for v in values)
        return f"{value} % [{low}, {high}]"

    said = [share(name, "right_rate", 1) for name in ("ideal", "white", "gaussian")]
    said += [share(name, "fill_in_rate", 0) for name in (*fields, "white", "gaussian")]
    for measure, digits in (("psnr_db", 1), ("f1", 2)):
        means = [f"{trained[name][measure].mean():.{digits}f}" for name in fields]
        said.append("{} over {} to {}".format(*means))
    said.append(", ".join(f"{rows.loc[name, 'auc']:.3f}" for name in fields))
    said.append(
        "{:+.3f} [{:+.3f}, {:+.3f}]".format(
            *contrast.loc[("auc", "narrow.white"), ["difference", "low", "high"]]
        ).replace("-", "−")
    )
    narrow = contrast.loc[("fill_in_rate", "narrow.white")]
    said.append("{:+.0f} points [{:+.0f}, {:+.0f}]".format(
        *(100 * narrow[["difference", "low", "high"]])).replace("-", "−"))  # fmt: skip
    said.append(f"p = {narrow['p_holm']:.3f}")
    names = ["efficiency", "efficiency_low", "efficiency_high"]
    said += ["{:.2f} [{:.2f}, {:.2f}]".format(*rows.loc[n, names]) for n in ("white", "gaussian")]
    said.append("[{:.2f}, {:.2f}]".format(*doses.loc["ideal", ["low", "high"]]))
    said.append("{:.1f} for `white` [{:.1f}, {:.1f}]".format(*doses.loc["white"]))
    said += [f"{places.loc['white', key]:.1f} pm" for key in ("scatter_pm", "bound_pm")]
    verdicts = pd.read_csv(folder / "verdicts.csv").fillna({"level": 0.05})
    rate = "false_discovery_rate"
    null = verdicts[verdicts["test"] == "parametric null, BH"].set_index(["denoiser", "level"])
    two = ("wide.white.seed0", "white")
    ends = [100 * null.loc[(name, 0.05)] for name in two]
    said.append(" and ".join(
        f"{one[rate]:.1f} % [{one[f'{rate}_low']:.1f}, {one[f'{rate}_high']:.1f}]" for one in ends
    ))  # fmt: skip
    said.append("still {:.1f} % and {:.1f} %".format(
        *(100 * null.loc[(name, 0.01), rate] for name in two)))  # fmt: skip
    said.append(f"of the parametric null {null['n_frames'].iloc[0]:.0f}")
    verdicts = verdicts[verdicts["level"] == 0.05].set_index(["denoiser", "test"])
    for name in ("wide.white.seed0", "white"):
        row = 100 * verdicts.loc[(name, "all detected")]
        said.append(f"{row[rate]:.1f} % [{row[f'{rate}_low']:.1f}, {row[f'{rate}_high']:.1f}]")
    for test, column, digits in (
        ("cross-fitted, BH", rate, 1), ("cross-fitted, BH", "power", 0),
        ("parametric null, BH", "power", 0),
    ):  # fmt: skip
        both = (100 * verdicts.loc[(n, test), column] for n in ("wide.white.seed0", "white"))
        said.append(" and ".join(f"{value:.{digits}f} %" for value in both))
    risk = pd.read_csv(folder / "risk.csv")
    inside = risk["true_gain"].between(risk["gain_low"], risk["gain_high"])
    said.append(f"in {inside.sum()} of {len(risk)} cases")
    strata = pd.read_csv(folder / "strata.csv").set_index(["denoiser", "level"])["recall"]
    steps = (100 * strata[name, "step"] for name in ("wide.white.seed0", "gaussian"))
    said.append(
        "reports {:.0f} % of the surface columns, the Gaussian filter {:.0f} %".format(*steps)
    )
    filters = pd.read_csv(folder / "filter_changes.csv").groupby("denoiser")
    medians = filters[["change", "by_noise"]].median()
    said.append(
        "changes by {:.2f} (1 − cosine, median of ten) when".format(medians.loc["white"].iloc[0])
    )
    said.append("by {:.2f} from one noise".format(medians.loc["white"].iloc[1]))
    said.append("`narrow` by {:.2f} and {:.2f}".format(*medians.loc["narrow.white.seed0"]))
    for one in said:
        assert one in text, one
    # Of the sentences: networks keep the evidence, and decide by their prior.
    assert rows.loc[fields, "auc"].max() - rows.loc[fields, "auc"].min() < 0.01
    assert contrast.loc[("auc", "narrow.white"), "p_holm"] > 0.05 > narrow["p_holm"]
    assert rows.loc["ideal", "right_rate"] > rows.drop(index="ideal")["right_rate"].max()


def test_the_numbers_about_a_users_own_frames():
    text = " ".join(README.split("## Your own frames")[1].split("## ")[0].split())
    file = ROOT / "results" / "reference" / "benchmarks" / "recording.json"
    rows = {row["name"]: row for row in json.loads(file.read_text())["rows"]}
    one, many = "one frame, 1024 x 1024 pixels", "a stack of 100, 1024 x 1024 pixels"
    false = rows["false among the supported surface columns"]
    power = rows["supported of the true surface columns"]

    def interval(row, digits):
        value, *ends = (f"{100 * v:.{digits}f}" for v in (row["value"], *row["interval"]))
        return f"{value} % [{ends[0]}, {ends[1]}]"

    for said in (
        f"takes {rows[f'{one}: file to page']['value']:.1f} s on two cores",
        f"is {rows['of which denoising']['value']:.2f} s",
        f"takes {rows[f'{many}: file to page']['value']:.0f} s and "
        f"{rows[f'{many}: memory']['value']:.1f} GiB",
        interval(false, 1),
        interval(power, 0),
    ):
        assert said in text, said
    assert all(row["met"] is not False for row in rows.values())
