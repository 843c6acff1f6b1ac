"""docs/ablate.md does what it says: its own blocks, applied to a copy of a finished study."""

from __future__ import annotations

import hashlib
import importlib.util
import shutil
import subprocess
import sys
from pathlib import Path

import numpy as np
import pytest

ROOT = Path(__file__).resolve().parents[2]
TINY = ("--configfile", "config/tiny.yaml")

_spec = importlib.util.spec_from_file_location("documentation", ROOT / "tests/documentation.py")
documentation = importlib.util.module_from_spec(_spec)
sys.modules["documentation"] = documentation
_spec.loader.exec_module(documentation)

BLOCKS = [b for b in documentation.blocks(ROOT / "docs" / "ablate.md") if b.file]
TRAINED = {"mechanism"}  # learned filters of all networks
STEM = 4
FIELD_PX = STEM * 2 * (1 + 2 + 4 + 2 + 1) + 2 * STEM - 1


@pytest.fixture
def copy(finished, tmp_path):
    """The finished tiny study, to be changed."""
    return finished.copy(tmp_path / "project")


@pytest.fixture
def summaries(all_jobs):
    """What is made of all denoisers together."""
    return {"summarise", *(job for job in all_jobs if job.startswith("figure_"))}


def sources(project):
    """Return a digest of every file of the project itself."""
    return {
        str(path.relative_to(project.folder)): hashlib.sha256(path.read_bytes()).hexdigest()
        for path in project.folder.rglob("*")
        if path.is_file()
        and not {"results", ".snakemake", "__pycache__"} & set(path.parts)
        and path.name != ".snakemake_timestamp"
    }


def added(project, heading, *generated):
    """Apply the blocks of a section; check that they change what they name and nothing else.

    Return the overlay that uses what was added.
    """
    before = sources(project)
    chosen = [block for block in BLOCKS if block.heading == heading]
    for folder in {str(Path(block.file).parent) for block in chosen}:
        (project.folder / folder).mkdir(parents=True, exist_ok=True)  # tests/, not copied
    named = {documentation.apply(block, project.folder) for block in chosen}
    if generated:
        done = project.run("lowdose", "generate")
        assert done.returncode == 0, done.stderr
        assert {line.removeprefix("wrote ") for line in done.stdout.splitlines()} == {*generated}
    after = sources(project)
    changed = {name for name in before | after if before.get(name) != after.get(name)}
    assert changed == named | {*generated}
    assert changed <= {*text_of_page_names()}
    [overlay] = [name for name in named if name.startswith("config/")]
    return overlay


def text_of_page_names():
    """Return every file that the page names, in a block or in its text."""
    text = (ROOT / "docs" / "ablate.md").read_text(encoding="utf-8")
    yield from (block.file for block in BLOCKS)
    yield from (word for word in text.split("`") if "/" in word and " " not in word)


def jobs(project, overlay):
    return project.planned(*TINY, overlay)


def test_the_page_adds_one_of_each_kind():
    headings = list(dict.fromkeys(block.heading for block in BLOCKS))
    assert headings == ["A training set", "A network", "A baseline", "An architecture"]
    places = {h: sum(b.heading == h for b in BLOCKS) for h in headings}
    assert places == {
        "A training set": 1,
        "A network": 1,
        "A baseline": 2 + 1,  # module and line, then the study that uses it
        "An architecture": 3 + 1,  # module, class and test
    }


def test_a_training_set(copy, summaries):
    overlay = added(copy, "A training set")
    new = {f"train medium,untilted,{seed}" for seed in (0, 1)}
    new |= {f"evaluate medium.untilted.seed{seed}" for seed in (0, 1)}
    assert jobs(copy, overlay) == new | {"dataset"} | TRAINED | summaries


def test_a_network(copy, summaries):
    overlay = added(copy, "A network")
    new = {"train shallow,white,0", "evaluate shallow.white.seed0"}
    assert jobs(copy, overlay) == new | TRAINED | summaries


def test_a_baseline(copy, summaries):
    overlay = added(copy, "A baseline")
    assert jobs(copy, overlay) == {"tune box", "evaluate box"} | summaries
    # Who does not ask for it sees it only in what has the names of all denoisers.
    assert copy.planned() <= summaries

    # It denoises a user's file: a mean over 23 x 23 pixels, which is 0.13 nm, by another route.
    counts = np.random.default_rng(0).poisson(0.45, (1, 90, 80)).astype(np.uint16)
    counts[:, 30:60, 20:50] += 1
    np.save(copy.folder / "frame.npy", counts)
    words = ("--pixel-size", "0.0061", "--gain", "1", "--offset", "0", "--formats", "npy")
    done = copy.run("lowdose", "denoise", "frame.npy", "--denoiser", "box", *words)
    assert done.returncode == 0, done.stderr
    image = np.load(copy.folder / "frame.denoised.npy").reshape(90, 80)
    for y, x in ((45, 40), (30, 50), (78, 11)):
        square = counts[0, y - 11 : y + 12, x - 11 : x + 12]
        assert square.shape == (23, 23)
        assert image[y, x] == pytest.approx(square.mean(), rel=1e-5)
    contract(copy, "box")


def test_an_architecture(copy, summaries):
    generated = ("workflow/schemas/config.schema.json", "config/README.md")
    overlay = added(copy, "An architecture", *generated)
    new = {"train dilated,white,0", "evaluate dilated.white.seed0"}
    assert jobs(copy, overlay) == new | TRAINED | summaries
    # The architectures of the others have not changed.
    assert copy.planned() == set()
    passes(copy, "test_dilated.py")

    # It computes: untrained it says vacuum, with positive weights it sees as far as it claims.
    (copy.folder / "asked.py").write_text(
        "import torch, yaml\n"
        "from lowdose.denoisers.networks.build import build\n"
        "from lowdose.denoisers.networks.receptive_field import computed\n"
        f"spec = yaml.safe_load(open('{overlay}'))['networks']['dilated']['spec']\n"
        "network = build(spec, seed=0)\n"
        "image = torch.ones(1, 1, 400, 400)\n"
        "with torch.no_grad():\n"
        "    vacuum = network(image)\n"
        "    for parameter in network.parameters():\n"
        "        parameter.abs_().add_(0.05 * torch.rand(parameter.shape))\n"
        "    before = network(image)\n"
        "    image[0, 0, 200, 200] = 2\n"
        "    changed = (network(image) != before)[0, 0].nonzero()\n"
        "low, high = changed.min(0).values, changed.max(0).values\n"
        "print(bool((vacuum == 1).all()), computed(network), *(high - low + 1).tolist())\n"
    )
    done = copy.run("asked")
    assert done.returncode == 0, done.stderr
    vacuum, field, *sides = done.stdout.split()
    assert (vacuum, int(field)) == ("True", FIELD_PX)
    # From one pixel, whole cells of the stem change: the field less the phases of the output.
    assert {int(side) for side in sides} == {FIELD_PX - (STEM - 1)}


def contract(project, name):
    """Run the registry's contract tests of one denoiser on the copy."""
    passes(project, "test_contract.py", "-k", f"{name} or {name}-", at_least=10)


def passes(project, file, *words, at_least=1):
    """Run a file of the tests of denoisers on the copy."""
    folder = project.folder / "tests" / "unit" / "denoisers"
    folder.mkdir(parents=True, exist_ok=True)
    for name in ("conftest.py", "test_contract.py"):
        shutil.copy2(ROOT / "tests" / "unit" / "denoisers" / name, folder)
    shutil.copy2(ROOT / "pyproject.toml", project.folder)
    command = [sys.executable, "-m", "pytest", "-q", "-p", "no:cacheprovider", str(folder / file)]
    done = subprocess.run(
        [*command, *words], cwd=project.folder, env=project.environment(), text=True,
        stdin=subprocess.DEVNULL, capture_output=True,
    )  # fmt: skip
    assert done.returncode == 0, done.stdout + done.stderr
    assert int(done.stdout.rsplit(" passed", 1)[0].split()[-1]) >= at_least, done.stdout
