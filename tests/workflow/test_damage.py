"""A bad wave file is named, set aside and made anew by running again; the others stay."""

from __future__ import annotations

import os

import h5py
import numpy as np
import pytest

TINY = ("--configfile", "config/tiny.yaml")
SHARDS = ("results/waves/shard000.h5", "results/waves/shard001.h5")


@pytest.fixture(scope="module")
def harmed(finished, tmp_path_factory):
    """The tiny study, finished.  Whoever harms a shard has it repaired."""
    return finished.copy(tmp_path_factory.mktemp("harmed") / "project")


def flip_in_a_wave(path, other, rng):
    with h5py.File(path) as file:
        groups = [item for item in file["waves"].values() if isinstance(item, h5py.Group)]
        wave = groups[rng.integers(len(groups))]["wave"]
        offset = wave.id.get_offset() + int(rng.integers(wave.nbytes))
    flip(path, offset, rng)


def flip_in_an_attribute(path, other, rng):
    content = path.read_bytes()
    places = [i for i in range(len(content)) if content.startswith(b"sampling_x_nm", i)]
    # The value stands behind the name and HDF5's words on its type.
    flip(path, places[rng.integers(len(places))] + 50, rng)


def flip(path, offset, rng):
    content = bytearray(path.read_bytes())
    content[offset] ^= 1 << int(rng.integers(8))
    overwrite(path, content)


def overwrite(path, content):
    """Change a file as a failing disk does, which leaves its times."""
    before = path.stat()
    path.write_bytes(content)
    os.utime(path, ns=(before.st_atime_ns, before.st_mtime_ns))


def replace_by_the_other(path, other, rng):
    overwrite(path, other.read_bytes())


def test_the_study_itself_asks_for_its_shards(harmed):
    """A shard that was set aside while all that was made of it is there is made anew."""
    shard = harmed.folder / SHARDS[1]
    shard.rename(shard.with_name("kept"))
    try:
        jobs = harmed.planned()
        assert {"simulate shard001", "frames"} <= jobs
        assert not {"simulate shard000", "structures"} & jobs
    finally:
        shard.with_name("kept").rename(shard)


def test_to_look_at_the_study_changes_nothing(harmed):
    shard = harmed.folder / SHARDS[1]
    whole = shard.read_bytes()
    flip_in_a_wave(shard, None, np.random.default_rng(1))
    found = shard.read_bytes()
    try:
        assert harmed.snakemake("--summary", *TINY).returncode == 0
        assert harmed.planned() == set()
        assert shard.read_bytes() == found
    finally:
        overwrite(shard, whole)


@pytest.mark.parametrize(
    ("harm", "front", "reason"),
    [
        (flip_in_a_wave, "snakemake", " is damaged (its checksum differs)"),
        (flip_in_an_attribute, "study", "damaged"),
        (replace_by_the_other, "snakemake", "because it holds the wave of "),
    ],
)
def test_a_bad_shard_is_named_and_it_alone_is_made_anew(harmed, harm, front, reason):
    bad, other = (harmed.folder / name for name in reversed(SHARDS))
    whole, kept = bad.read_bytes(), (other.read_bytes(), other.stat().st_mtime_ns)
    harm(bad, other, np.random.default_rng(20))
    found = bad.read_bytes()
    assert found != whole
    done = getattr(harmed, front)(*SHARDS, *TINY)
    assert done.returncode == 0, done.stdout + done.stderr
    notes = [line for line in done.stderr.splitlines() if line.startswith("lowdose: note: ")]
    assert len(notes) == 1, done.stderr
    assert f"{SHARDS[1]} is set aside as shard001.h5.damaged because" in notes[0]
    assert notes[0].endswith("it alone is made anew, by a run of the whole study.")
    assert reason in notes[0]
    assert bad.read_bytes() == whole
    assert (other.read_bytes(), other.stat().st_mtime_ns) == kept
    assert bad.with_name("shard001.h5.damaged").read_bytes() == found


def test_any_number_of_jobs_at_once(harmed, tmp_path):
    """Two jobs of one shard (one lost by a cluster) and one of another, in one work folder."""
    config = ("--config", "config/tiny.yaml", "--work", str(tmp_path / "work"))
    names = ["shard000", "shard000", "shard001"]
    outputs = [tmp_path / f"{name}.h5" for name in names]
    jobs = [
        harmed.start("lowdose", "--threads", "1", "simulate", *config, "--shard", name,
                        "--output", str(output))
        for name, output in zip(names, outputs, strict=True)
    ]  # fmt: skip
    for job in jobs:
        _, told = job.communicate(timeout=120)
        assert job.returncode == 0, told
    for name, output in zip(names, outputs, strict=True):
        whole = harmed.folder / "results" / "waves" / f"{name}.h5"
        assert output.read_bytes() == whole.read_bytes(), name
    assert not list((tmp_path / "work" / "waves").iterdir())
