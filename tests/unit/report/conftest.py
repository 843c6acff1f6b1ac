"""A small study on disk: two frames of one shape, two networks, one baseline."""

from __future__ import annotations

import json
from dataclasses import dataclass
from pathlib import Path

import h5py
import numpy as np
import pandas as pd
import pytest

from lowdose import config
from lowdose.data.frames import write_frames
from lowdose.report.inputs import Inputs
from lowdose.stages import Study

PIXEL = 0.02
SHAPE = 170, 190
NETWORKS = ["narrow.white.seed0", "wide.white.seed0"]
DENOISERS = ["clean", "constant", "raw", "gaussian", *NETWORKS]
FIELDS = {NETWORKS[0]: 43, NETWORKS[1]: 639}
METRICS = (
    "psnr_db", "contrast_psnr_db", "ssim", "deviance", "precision", "recall", "f1", "jaccard",
    "localisation_pm", "fill_in_rate", "erasure_rate",
)  # fmt: skip
VACANCY = 1.78, 1.2  # x and y [nm]
TRACE = 0.3  # contrast of a column
TINY = Path(config.default_files()[0]).parent / "tiny.yaml"
CONTRASTS = ("white", "intermediate", "black")


@pytest.fixture(scope="session")
def spec():
    return {
        "denoisers": DENOISERS,
        "baselines": ["gaussian"],
        "shipped": [],
        "networks": NETWORKS,
        "widest": NETWORKS[1],
        "shown": DENOISERS,
        "pooled": {},
        "study": "small",
        "doses_e_per_px": [0.2, 0.45],
        "reference_dose_e_per_px": 0.45,
        "realisations": 2,
        "realisations_elsewhere": 1,
        "evaluation": {"gate_nm": 0.072, "false_discovery_rate": 0.05},
        "seed": 5,
    }


def lattice() -> pd.DataFrame:
    """Platinum columns on a square grid of 0.24 nm, the outermost on the surface."""
    rows = [
        {"x_nm": 1.3 + 0.24 * i, "y_nm": 1.2 + 0.24 * k, "element": "Pt",
         "is_particle": True, "n_atoms": 5, "is_surface": k == 0 or i in (0, 4),
         "site": "facet" if k == 0 else "bulk", "changed": False}
        for i in range(5) for k in range(4)
    ]  # fmt: skip
    return pd.DataFrame(rows)


def picture(columns: pd.DataFrame) -> np.ndarray:
    y, x = (np.arange(n) * PIXEL for n in SHAPE)
    image = np.ones(SHAPE)
    for _, one in columns[columns["n_atoms"] > 0].iterrows():
        square = (y[:, None] - one["y_nm"]) ** 2 + (x[None, :] - one["x_nm"]) ** 2
        image += TRACE * np.exp(-square / 2 / 0.05**2)
    return image.astype(np.float32)


@pytest.fixture(scope="session")
def inputs(tmp_path_factory, spec):
    folder = tmp_path_factory.mktemp("results")
    perfect = lattice()
    vacant = perfect.copy()
    here = np.hypot(vacant["x_nm"] - VACANCY[0], vacant["y_nm"] - VACANCY[1]) < 0.05
    assert here.sum() == 1
    vacant.loc[here, ["n_atoms", "is_surface", "site"]] = [0, False, "vacancy"]
    truth, frames, models = [], [], []
    for defect, columns in (("D0", perfect), ("D1", vacant)):
        model = f"PtNp1a-{defect}-16L-x0y0"
        truth.append(columns.assign(model_id=model, y_nm=columns["y_nm"] + 0.15))
        about = {"model_id": model, "base_shape": "PtNp1a", "family": "PtNp1", "defect": defect,
                 "layers": 16, "tilt_x_deg": 0.0, "tilt_y_deg": 0.0}  # fmt: skip
        models.append({**about, "interface_y_nm": 2.3, "meaning": "a square", "variant": "plain"})
        about = {**models[-1], "c1_nm": 9.0, "contrast": "white"}
        frames.append((about, picture(columns), truth[-1]))
    truth = pd.concat(truth, ignore_index=True)
    imaging = {
        "camera": {"pixel_size_nm": PIXEL, "dark_e_per_px": 0.0},
        "optics": {},
        "energy_kev": 300.0,
    }
    write_frames(folder / "test.h5", "test", frames, imaging, [0.45], spec["seed"])
    (folder / "structures").mkdir()
    pd.DataFrame(models).to_csv(folder / "structures" / "models.csv", index=False)
    truth.to_parquet(folder / "structures" / "columns.parquet")

    rng = np.random.default_rng(3)
    for k, name in enumerate(DENOISERS):
        (folder / "evaluation" / name).mkdir(parents=True)
        with h5py.File(folder / "evaluation" / name / "images.h5", "w") as file:
            for i, (_, clean, _) in enumerate(frames):
                file[str(i)] = (clean + 0.02 * k * rng.standard_normal(SHAPE)).astype(np.float16)
    (folder / "tables").mkdir()
    results(spec, rng).to_csv(folder / "tables" / "results.csv", index=False)
    for name in NETWORKS:
        where = folder / "networks" / name.replace(".", "/")
        where.mkdir(parents=True)
        for file, record in (("history", {"loss": 0.1, "learning_rate": 1e-3}), ("timing", {})):
            lines = []
            for step in (10, 20, 30):
                extra = {"seconds": step / 4} if file == "timing" else {
                    "validation_psnr_db": 25 + step / 10}  # fmt: skip
                lines.append(json.dumps({"step": step, **record, **extra}))
            (where / f"{file}.jsonl").write_text("\n".join(lines) + "\n")
    surface = vacant[vacant["is_surface"]].reset_index(drop=True)
    llr = np.linspace(-2, 6, len(surface))
    pd.DataFrame(
        {"frame": 1, "x_nm": surface["x_nm"], "y_nm": surface["y_nm"], "llr_total": llr,
         "llr_per_pixel": llr / 20, "n_pixels": 20, "e_value": np.exp(llr),
         "p_value": np.exp(-np.abs(llr)), "supported_e": llr > 5,
         "supported": llr > 1, "true": True, "site": surface["site"]}
    ).to_parquet(folder / "likelihood.parquet")  # fmt: skip
    with h5py.File(folder / "filters.h5", "w") as file:
        for name, reach in ((NETWORKS[0], 10), (NETWORKS[1], 80)):
            for where, (x, y) in {"surface": (1.3, 1.2), "bulk": (1.78, 1.68)}.items():
                row, column = round(y / PIXEL), round(x / PIXEL)
                top, left = max(0, row - reach), max(0, column - reach)
                window = np.full((row + reach + 1 - top, column + reach + 1 - left), -1e-4)
                window[row - top, column - left] = 0.5
                group = file.create_group(f"{name}/{where}")
                group["filter"] = window.astype(np.float32)
                group.attrs.update(
                    {"x_nm": x, "y_nm": y, "frame": 0, "row": row - top, "column": column - left,
                     "output": 1.2, "linear_part": 1.0, "remainder": 0.2, "half_width_px": reach}
                )  # fmt: skip
    belief(folder, rng)
    classes = [(0.0, "black"), (0.0, "intermediate"), (9.0, "white"), (9.0, "white")]
    pd.DataFrame(classes, columns=["c1_nm", "contrast"]).to_parquet(folder / "classes.parquet")
    return Inputs(
        frames=folder / "test.h5",
        evaluation=folder / "evaluation",
        networks=folder / "networks",
        tables=folder / "tables",
        columns=folder / "likelihood.parquet",
        limits=folder / "limits",
        mechanism=folder / "filters.h5",
        structures=folder / "structures",
        classes=folder / "classes.parquet",
    )


def belief(folder: Path, rng: np.random.Generator) -> None:
    """Write what is said of columns at stake: sites, credibility, risk, verdicts, filters."""
    names = ["ideal", *DENOISERS]
    (folder / "limits").mkdir()
    for k, name in enumerate(names):
        sites = pd.DataFrame({
            "kind": "vacancy", "present": np.repeat([True, False], 20), "dose_e_per_px": 0.45,
            "score": np.r_[rng.normal(3 - 0.4 * k, 1, 20), rng.normal(0, 1, 20)],
        })  # fmt: skip
        sites["reported"] = sites["score"] > 1
        where = folder / ("limits" if name == "ideal" else f"evaluation/{name}")
        sites.to_parquet(where / "sites.parquet")
    rows = []
    for k, name in enumerate(names):
        for dose in (0.2, 0.45):
            row = {"denoiser": name, "dose_e_per_px": dose, "kind": "all"}
            for metric in ("auc", "right_rate", "efficiency"):
                value = 0.95 - 0.05 * k - 0.1 * (dose < 0.4)
                row |= {metric: value, f"{metric}_low": value - 0.1, f"{metric}_high": value + 0.05}
            rows.append(row)
    tables = {"credibility": rows}
    tables["risk"] = [
        {"denoiser": name, "frame": f, "true_gain": 0.003 + 1e-4 * f, "gain": 0.0031,
         "gain_low": 0.0028, "gain_high": 0.0034, "excess": rng.normal()}
        for name in DENOISERS[1:] for f in (0, 1)
    ]  # fmt: skip
    tests = [("all detected", np.nan), ("LLR > 0, same counts", np.nan)]
    tests += [(f"cross-fitted, {kind}", q) for kind in ("BH", "e-BH") for q in (0.05, 0.1)]
    tables["verdicts"] = [
        {"denoiser": NETWORKS[1], "test": test, "level": level,
         **{f"{m}{end}": v for m, mid in (("false_discovery_rate", 0.03), ("power", 0.5))
            for end, v in (("", mid), ("_low", mid / 2), ("_high", mid * 1.5))}}
        for test, level in tests
    ]  # fmt: skip
    tables["filters"] = [
        {"denoiser": name, "kind": kind, "extent_nm": 0.2 + 0.3 * k, "remainder": 0.1 * k,
         "lattice_contrast": 1.0 + k}
        for k, name in enumerate(NETWORKS) for kind in ("vacuum", "bulk", "facet") for _ in range(2)
    ]  # fmt: skip
    tables["filter_changes"] = [
        {"denoiser": name, "pair": pair, "change": 0.4 + 0.1 * k, "by_noise": 0.3}
        for k, name in enumerate(NETWORKS) for pair in "ab"
    ]  # fmt: skip
    levels = {"defect": ("D0", "D1"), "layers": (16, 21), "tilt_deg": (0, 2), "c1_nm": (8, 16),
              "family": ("PtNp1",), "site": ("facet", "corner")}  # fmt: skip
    tables["strata"] = [
        {"factor": factor, "level": level, "n_units": 1 + i, "denoiser": name,
         "f1": None if factor == "site" else 0.9 - 0.1 * k, "f1_low": None, "f1_high": None,
         "recall": 0.8 - 0.1 * k, "recall_low": 0.7 - 0.1 * k, "recall_high": 0.9 - 0.1 * k}
        for factor, of in levels.items() for i, level in enumerate(of)
        for k, name in enumerate(DENOISERS)
    ]  # fmt: skip
    for name, table in tables.items():
        pd.DataFrame(table).to_csv(folder / "tables" / f"{name}.csv", index=False)


def results(spec: dict, rng: np.random.Generator) -> pd.DataFrame:
    rows = []
    for dose in spec["doses_e_per_px"]:
        for name in spec["denoisers"]:
            field = FIELDS.get(name)
            row = {"denoiser": name, "title": name.split(".")[0], "kind": "network" if field else
                   "baseline" if name in spec["baselines"] else "reference",
                   "receptive_field_px": field, "receptive_field_nm": field and field * PIXEL,
                   "dose_e_per_px": dose, "n_units": 1, "n_frames": 2,
                   "interval_method": "none"}  # fmt: skip
            for metric in METRICS:
                value = float(rng.uniform(0.3, 0.9))
                row |= {metric: value, f"{metric}_low": value - 0.1, f"{metric}_high": value + 0.1}
            if name == "clean":
                row |= {m: np.inf for m in ("psnr_db", "psnr_db_low", "psnr_db_high")}
            if name == "constant":
                row |= {m: np.nan for m in ("precision", "precision_low", "precision_high")}
            rows.append(row)
    return pd.DataFrame(rows)


@dataclass(frozen=True)
class World:
    """Where the files lie, and what is in them."""

    folder: Path
    spec: dict
    models: pd.DataFrame
    columns: pd.DataFrame
    classes: pd.DataFrame
    clean: dict[str, np.ndarray]
    counts: dict[str, np.ndarray]

    @property
    def structures(self) -> Path:
        return self.folder / "structures"

    @property
    def frozen(self) -> list[Path]:
        return [self.folder / f"{name}.h5" for name in self.clean]


def square(rows: int, across: int, defect: str) -> list[dict]:
    """Return a square of columns on a row of cations; D1 lacks its middle top column."""
    found = []
    for i in range(across):
        for k in range(rows):
            gone = defect == "D1" and k == 0 and i == across // 2
            found.append({
                "x_nm": 1 + 0.24 * i, "y_nm": 2.0 - 0.24 * (rows - 1 - k), "element": "Pt",
                "n_atoms": 0 if gone else 4, "is_particle": True,
                "is_surface": k == 0 and not gone, "changed": gone,
                "site": "vacancy" if gone else "facet" if k == 0 else "bulk",
            })  # fmt: skip
    for i in range(12):
        found.append({"x_nm": 0.2 + 0.3 * i, "y_nm": 2.3, "element": "Ce", "n_atoms": 8,
                      "is_particle": False, "is_surface": False, "changed": False,
                      "site": "support"})  # fmt: skip
    return found


@pytest.fixture(scope="session")
def world(tmp_path_factory):
    """Models, columns, pairs, classes and two frozen sets on disk, with a blank model."""
    folder = tmp_path_factory.mktemp("world")
    spec = Study(config.load([TINY])).spec("dataset")
    rng = np.random.default_rng(4)
    models, columns, classes = [], [], []
    for shape in ("PtNp1a", "PtNp1b", "PtNp2a", "vacuum"):
        for defect in ("D0", "D1") if shape != "vacuum" else ("D0",):
            for layers, tilt in ((16, 2), (21, 0), (26, 0)):
                name = f"{shape}-{defect}-{layers}L-x{tilt}y0"
                family = shape.removesuffix("a").removesuffix("b")
                about = {"model_id": name, "base_shape": shape, "family": family, "defect": defect,
                         "layers": layers, "tilt_x_deg": tilt, "tilt_y_deg": 0}  # fmt: skip
                kind = {"meaning": f"like {family}", "variant": "plain"}
                models.append({**about, **kind, "interface_y_nm": 2.115})
                size = {"PtNp1a": (4, 5), "PtNp1b": (5, 7), "PtNp2a": (2, 6)}.get(shape)
                if size:
                    table = pd.DataFrame(square(*size, defect)).assign(model_id=name)
                    columns.append(table.assign(x_nm=table["x_nm"] + 0.05 * tilt))
                split = {"PtNp1a": "test", "PtNp2a": "validation"}.get(shape, "train")
                for c1 in (0.0, 1.0, 6.0, 20.0):
                    contrast = "none" if shape == "vacuum" else str(rng.choice(CONTRASTS))
                    mean = 0.0 if shape == "vacuum" else float(rng.normal(0.1, 0.2))
                    classes.append({**about, "c1_nm": c1, "contrast": contrast,
                                    "mean_contrast": mean, "split": split})  # fmt: skip
    pairs = [{"pair": f"p{i}", "kind": kind} for i, kind in enumerate(("vacancy",) * 5 + ("half",))]
    tables = [pd.DataFrame(t) for t in (models, pairs, classes)]
    (folder / "structures").mkdir()
    tables[0].to_csv(folder / "structures" / "models.csv", index=False)
    tables[1].to_csv(folder / "structures" / "pairs.csv", index=False)
    every = pd.concat(columns, ignore_index=True)
    every.to_parquet(folder / "structures" / "columns.parquet")
    tables[2].to_parquet(folder / "classes.parquet")
    dose = spec["frames"]["reference_dose_e_per_px"]
    clean, counts = {}, {}
    for number, name in enumerate(("validation", "test")):
        clean[name] = rng.normal(1, 0.1 + 0.05 * number, (2, 30, 40)).astype(np.float32)
        counts[name] = rng.poisson(clean[name].clip(0) * dose).astype(np.uint16)
        with h5py.File(folder / f"{name}.h5", "w") as file:
            file["clean"] = clean[name]
            file[f"counts/{dose:g}"] = counts[name]
            file.attrs.update({"split": name, "digest": f"{name}-digest", "pixel_size_nm": 0.0122,
                               "imaging": '{"camera": {"dark_e_per_px": 0.0}}'})  # fmt: skip
    return World(folder, spec, tables[0], every, tables[2], clean, counts)
