"""The house keeps its order: floors, sizes, names."""

from __future__ import annotations

import ast
from pathlib import Path

import pytest

import lowdose
from lowdose.provenance import CARRIED_BY_THE_SPEC

PACKAGE = Path(lowdose.__file__).parent
ROOT = PACKAGE.parents[1]
MODULES = sorted(PACKAGE.rglob("*.py"))

FLOOR = {
    "structures": 1,
    "columns": 1,
    "microscope": 1,
    "training": 1,
    "imaging": 2,
    "denoisers": 2,
    "data": 3,
    "evaluation": 4,
    "report": 5,
    "verification": 5,
    # The wiring of the stages lies under the command line and above every room.
    "stages": 5.5,
    "contest": 5.4,
    "experiment": 5.4,
    "films": 5.42,
    "study_names": 5.45,
    "closed_sets": 5.6,
    "cost": 5.6,
    "publication": 5.7,
    "cli": 6,
}
# Rooms that must work without the rest: what they may take from the first floor up.
ALONE = {
    "structures": set(),
    "columns": set(),
    "microscope": set(),
    "training": set(),
    "imaging": {"structures"},
    "denoisers": {"training", "columns"},
}


def room_of(path: Path) -> str | None:
    """Return the room of a module's file, None for floor 0."""
    inside = path.relative_to(PACKAGE).with_suffix("").parts
    return inside[0] if inside[0] in FLOOR else None


def imported(path: Path) -> list[str]:
    """Return the names of this package that a module imports."""
    names = []
    for node in ast.walk(ast.parse(path.read_text(encoding="utf-8"))):
        if isinstance(node, ast.Import):
            names += [alias.name for alias in node.names]
        elif isinstance(node, ast.ImportFrom):
            assert node.level == 0, f"{path}: imports are absolute, so that they can be followed"
            names += [f"{node.module}.{alias.name}" for alias in node.names]
    return [name for name in names if name.split(".")[0] == "lowdose"]


def test_every_room_has_a_floor():
    rooms = {path.name for path in PACKAGE.iterdir() if (path / "__init__.py").is_file()}
    assert rooms <= set(FLOOR)


@pytest.mark.parametrize("path", MODULES, ids=lambda path: str(path.relative_to(PACKAGE)))
def test_imports_go_down(path):
    room = room_of(path)
    if path == PACKAGE / "__main__.py":
        return  # the door of the command line
    floor = FLOOR.get(room, 0)
    for name in imported(path):
        other = name.split(".")[1] if "." in name else ""
        if other == room or other not in FLOOR:
            continue
        assert FLOOR[other] < floor, f"{room or 'floor 0'} may not import {name}"
        if room in ALONE:
            assert other in ALONE[room], f"{room} works without {other}, but imports {name}"


def test_an_import_upwards_would_be_seen(tmp_path):
    # The checks above read the source with this function: let it miss nothing.
    module = tmp_path / "module.py"
    module.write_text(
        "import lowdose.report.figures\n"
        "def inside():\n    from lowdose.cli import log\n    from lowdose import evaluation\n"
    )
    assert imported(module) == ["lowdose.report.figures", "lowdose.cli.log", "lowdose.evaluation"]


@pytest.mark.parametrize(
    "path",
    [*MODULES, *sorted((ROOT / "tests").rglob("*.py")), ROOT / "study"],
    ids=lambda path: str(path.relative_to(ROOT)),
)
def test_no_file_is_longer_than_400_lines(path):
    assert len(path.read_text(encoding="utf-8").splitlines()) <= 400


def test_the_snakefile_is_a_table_of_contents():
    assert len((ROOT / "Snakefile").read_text(encoding="utf-8").splitlines()) < 60


def test_no_module_has_a_name_that_says_nothing():
    assert not {path.stem for path in MODULES} & {"utils", "helpers", "common", "misc"}


def test_a_package_runs_nothing_when_it_is_imported():
    # Else every stage's content digest would contain whatever the package's first file imports.
    for path in MODULES:
        name = ".".join(("lowdose", *path.parent.relative_to(PACKAGE).parts))
        if path.name == "__init__.py" and name not in CARRIED_BY_THE_SPEC:
            body = ast.parse(path.read_text(encoding="utf-8")).body
            assert len(body) == 1, f"{path} holds more than a docstring"
            assert isinstance(body[0], ast.Expr), path
            assert isinstance(body[0].value.value, str), path
