"""A specification that no command line holds: 128 KiB are the most of one word on Linux."""

from __future__ import annotations

import re

import yaml

from lowdose import config, records
from lowdose.long_words import LONGEST
from lowdose.provenance import canonical_json
from lowdose.stages import Study

TARGET = "results/structures/models.csv"


def test_a_stage_takes_it_by_file_and_its_record_has_all_of_it(fresh):
    # The quota decides how many models are made; of the tilts, that many are drawn.
    tilts = [[0, 0], *([round(4 * k / 16_000, 5), 0] for k in range(1, 16_001))]
    many = fresh.folder / "config" / "many-tilts.yaml"
    many.write_text(yaml.safe_dump({"structures": {"tilts_deg": tilts}}))
    files = ("--configfile", "config/tiny.yaml", "config/many-tilts.yaml")
    study = Study(config.load([fresh.folder / "config" / "tiny.yaml", many]))
    spec = study.spec("structures")
    assert len(canonical_json(spec)) > 128 * 1024

    done = fresh.study(TARGET, *files)
    assert done.returncode == 0, done.stderr
    record = records.read(fresh.folder / TARGET)
    assert canonical_json(record.compared.spec) == canonical_json(spec)
    assert [file.path for file in record.compared.inputs] == []

    # Snakemake remembers the text, not the file: without it, nothing is made again.
    for path in (fresh.folder / ".snakemake" / "lowdose-words").iterdir():
        path.unlink()
    again = fresh.study(TARGET, *files)
    assert "Nothing to be done" in again.stdout, again.stdout + again.stderr


def test_no_command_of_a_large_sweep_is_too_long(fresh):
    """Not even those of the tables over all trainings."""
    path = fresh.folder / "config" / "sweep.yaml"
    names = [f"a-network-with-a-long-name-{i}" for i in range(140)]
    one = {"spec": {"architecture": "unet", "scales": 2, "widths": [8, 16, 24]}}
    sweep = {"networks": names, "training_sets": ["white"], "seeds": [*range(10)]}
    path.write_text(yaml.safe_dump({"networks": dict.fromkeys(names, one), "sweep": [sweep]}))
    study = Study(config.load([path]))
    assert len(canonical_json(study.spec("search"))) > LONGEST
    done = fresh.snakemake(
        "--dry-run", "--printshellcmds", "results/tables/search.csv",
        "results/figures/receptive_field.png", "--configfile", "config/sweep.yaml",
    )  # fmt: skip
    assert done.returncode == 0, done.stderr[-500:]
    commands = [line for line in done.stdout.splitlines() if "python -m lowdose" in line]
    assert len(commands) > 2 * len(study.networks()) and max(map(len, commands)) < LONGEST + 5_000
    (command,) = (line for line in commands if " search " in line)
    file = re.search(r"--spec '?@([^ ']+)", command)[1]
    assert (fresh.folder / file).read_text() == canonical_json(study.spec("search"))
