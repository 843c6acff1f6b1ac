"""The release networks never saw a particle on which the quick study tests them."""

from pathlib import Path

import pandas as pd
import pytest

from lowdose import config
from lowdose.data.splits import split_shapes, twins
from lowdose.structures.library import build_structure, true_columns
from lowdose.structures.plan import plan, rows

CONFIG = Path(config.default_files()[0]).parent


def perfect_particles(study: config.Config) -> tuple[pd.DataFrame, pd.DataFrame]:
    """One perfect model of each base shape: its columns and its row."""
    structures = study.model_dump(mode="json")["structures"]
    models = {m.base_shape: m for m in plan(structures) if m.defect == "D0"}
    columns = [
        true_columns(build_structure(structures, m, study.seed), m).assign(model_id=m.model_id)
        for m in models.values()
    ]
    table = pd.DataFrame(rows(list(models.values()))).assign(tilt_x_deg=0, tilt_y_deg=0)
    return pd.concat(columns), table


def splits(study: config.Config, table: pd.DataFrame) -> dict[str, str]:
    frames = study.frames
    return split_shapes(table, frames.test_shapes, frames.validation_shapes, study.seed)


@pytest.mark.parametrize("held_out", ["test", "validation"])
def test_no_quick_test_particle_is_trained_on_by_the_release(held_out):
    quick, release = config.load(), config.load([CONFIG / "release.yaml"])
    columns, tables, of = [], [], []
    for name, study in (("quick", quick), ("release", release)):
        found, table = perfect_particles(study)
        of.append(splits(study, table))
        columns.append(found.assign(model_id=name + found["model_id"]))
        tables.append(
            table.assign(model_id=name + table["model_id"], base_shape=name + table["base_shape"])
        )
    # A training shape that looks like one held out is left unused (data.freeze).
    split = {
        n + k: v for n, one in zip(("quick", "release"), of, strict=True) for k, v in one.items()
    }
    same = twins(pd.concat(columns), pd.concat(tables))
    tested = 0
    for group in same:
        in_release = {split[s] for s in group if s.startswith("release")}
        left = in_release - {"train"} or in_release
        if any(s.startswith("quick") and split[s] == held_out for s in group):
            tested += 1
            assert left != {"train"}, group
    assert held_out != "test" or tested >= 1  # PtNp1a is in both
