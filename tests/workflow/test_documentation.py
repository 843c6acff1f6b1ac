"""Every command of the documentation is understood, and every piece of Python of it runs.

A command goes to whoever would read it: the front door itself (with a Python that only says how it
is called), the command line's parser, Snakemake's, pip's, MkDocs'.  Targets of a run are planned.
A program that is not known here fails the test, so that no command is left out.
"""

from __future__ import annotations

import contextlib
import importlib.util
import json
import os
import re
import shlex
import shutil
import subprocess
import sys
from pathlib import Path

import pytest

from lowdose import cli, config
from lowdose.cli import bench
from lowdose.cli import run as run_command
from lowdose.denoisers import registry
from lowdose.environments import canonical, lock
from lowdose.runtime import UserError

ROOT = Path(__file__).resolve().parents[2]
_spec = importlib.util.spec_from_file_location("documentation", ROOT / "tests/documentation.py")
documentation = importlib.util.module_from_spec(_spec)
sys.modules["documentation"] = documentation
_spec.loader.exec_module(documentation)

BLOCKS = [b for page in documentation.PAGES for b in documentation.blocks(page, "bash", "console")]
# Where a path that begins so has to exist.
OURS = ("config/", "docs/", "envs/", "results/reference/", "tests/", "workflow/")
PYTEST = {"-k": 1, "-n": 1, "--dist": 1, "-q": 0, "-s": 0, "-x": 0}
DOCKER = {
    "build": {"--tag": 1, "--build-arg": 1},
    "run": {"--rm": 0, "--volume": 1, "--user": 1},
}
# Of a block that is run as it is, below.
RUN = "pip freeze"

FAKE = """#!/bin/sh
if [ "$1" = -c ]; then echo stamp; else printf 'CALL'; printf '\\037%s' "$@"; echo; fi
"""


def simple_commands(text: str) -> list[list[str]]:
    """Return the simple commands of a shell script, each as its words."""
    text = re.sub(r"^\$ ", "", text.replace("\\\n", " "), flags=re.MULTILINE)
    found = []
    for line in text.splitlines():
        lexer = shlex.shlex(line, posix=True, punctuation_chars="();<>|&")
        lexer.whitespace_split, lexer.commenters = True, "#"
        words, redirected = [], False
        for word in [*lexer, ";"]:
            if word[0] in "();|&":
                found.append(words)
                words = []
            elif word[0] in "<>":
                redirected = True
            elif redirected:
                redirected = False
            elif words or not re.match(r"\w+=", word):  # NAME=value before a command
                words.append(word)
    return [words for words in found if words]


class Reader:
    """Asks whoever reads a command whether it would understand it.

    Parameters
    ----------
    folder : Path
        A copy of the project; the configurations that pages show are added to it.
    door : Path
        A folder with the front door and a Python that says how it is called.
    """

    def __init__(self, folder: Path, door: Path) -> None:
        self.folder, self.door = folder, door
        self.shown: set[str] = set()  # files that the page itself shows
        self.planned: dict[tuple[str, ...], set[str]] = {}  # targets by configuration

    def read(self, words: list[str]) -> None:
        """Raise AssertionError or UserError if a command would not be understood."""
        program, *rest = words
        for word in rest:
            path = word.rpartition("=")[2]
            if path.startswith(OURS) and path not in self.shown:
                assert (ROOT / path).exists(), f"there is no {path}"
        if Path(program).name.startswith("python"):
            program = "python"
        reader = {
            "./study": self.study, "python": self.python, "snakemake": self.snakemake,
            "docker": self.docker, "lowdose": self.lowdose,
        }.get(program)  # fmt: skip
        assert reader is not None, f"nobody here reads the command {program}"
        reader(rest)

    def study(self, words: list[str]) -> None:
        environment = {k: v for k, v in os.environ.items() if k not in ("PYTHON", "VIRTUAL_ENV")}
        done = subprocess.run(
            ["./study", *words], cwd=self.door, env=environment, stdin=subprocess.DEVNULL,
            capture_output=True, text=True, timeout=30,
        )  # fmt: skip
        if words == ["clean"]:  # asks, where there is somebody to answer
            assert "without a terminal" in done.stderr
        else:
            assert done.returncode == 0, done.stderr
        for line in done.stdout.splitlines():
            if line.startswith("CALL"):
                self.python(line.split("\x1f")[1:])

    def python(self, words: list[str]) -> None:
        if words[0] != "-m":
            assert (ROOT / words[0]).is_file(), f"there is no {words[0]}"
            return
        module, rest = words[1], words[2:]
        if module == "venv":
            assert len(rest) == 1 and rest[0][0] != "-"
        else:
            {"lowdose": self.lowdose, "snakemake": self.snakemake, "pip": self.pip,
             "pytest": self.pytest, "mkdocs": self.mkdocs}[module](rest)  # fmt: skip

    def lowdose(self, words: list[str]) -> None:
        with ends_well():
            arguments, _ = cli.parsed(words)
            if arguments.command == "run":
                self.snakemake(arguments.rest)
            elif arguments.command == "bench":
                bench.chosen(arguments.names, arguments.quick)
            elif arguments.command == "denoise":
                self.denoiser(arguments)

    def denoiser(self, arguments) -> None:
        if any(name.endswith(f"/{arguments.denoiser}.py") for name in self.shown):
            return  # the page itself adds it
        info = registry.info(arguments.denoiser)
        for text in arguments.parameters:
            name, _, value = text.partition("=")
            assert name in info.parameters, f"{info.name} has no parameter {name}"
            info.parameters[name].check(info.name, name, float(value))

    def snakemake(self, words: list[str]) -> None:
        options = run_command.parsed(words)
        files = tuple(str(path) for path in options.configfile or ())
        if not any(file in self.shown for file in files):
            config.load([self.folder / file for file in files])
        for pair in options.config or ():
            assert pair.partition("=")[0] in config.Config.model_fields, f"no key {pair}"
        if options.targets:
            self.planned.setdefault(files, set()).update(options.targets)

    def docker(self, words: list[str]) -> None:
        rest = without_options(words[1:], DOCKER[words[0]], leading=words[0] == "run")
        if words[0] == "build":
            assert rest == ["."]
        else:
            assert rest[0] == "lowdose", "the image is called lowdose"
            self.study(rest[1:] or ["--help"])

    @staticmethod
    def pytest(words: list[str]) -> None:
        for path in without_options(words, PYTEST):
            assert (ROOT / path).exists(), f"there is no {path}"

    @staticmethod
    def pip(words: list[str]) -> None:
        from pip._internal.commands import create_command

        with ends_well():
            options, _ = create_command(words[0]).parser.parse_args(words[1:])
        for path in getattr(options, "requirements", ()):
            assert (ROOT / path).is_file(), f"there is no {path}"

    @staticmethod
    def mkdocs(words: list[str]) -> None:
        from mkdocs.__main__ import cli as mkdocs

        mkdocs.commands[words[0]].make_context(words[0], words[1:])


@contextlib.contextmanager
def ends_well():
    """Let a parser end the process if that is after its help."""
    try:
        yield
    except SystemExit as end:
        assert not end.code, f"ended with {end.code}"


def without_options(words: list[str], known: dict[str, int], *, leading: bool = False) -> list[str]:
    """Return what is left when options and their values are taken away; refuse unknown ones.

    With `leading`, everything from the first word on that is no option belongs to another program.
    """
    left, skip = [], 0
    for place, word in enumerate(words):
        if skip:
            skip -= 1
        elif word.startswith("-"):
            assert word in known, f"unknown option {word}"
            skip = known[word]
        elif leading:
            return words[place:]
        else:
            left.append(word)
    return left


@pytest.fixture
def reader(fresh, tmp_path, monkeypatch):
    """A reader whose project and front door are copies."""
    door = tmp_path / "door"
    for venv in (".venv", ".venv-topaz"):
        (door / venv / "bin").mkdir(parents=True)
        python = door / venv / "bin" / "python"
        python.write_text(FAKE)
        python.chmod(0o755)
        (door / venv / "study-stamp").write_text("stamp\n")
    for folder in ("envs", "results"):
        (door / folder).mkdir()
    for name in ("study", "envs/requirements.lock", "envs/topaz.lock"):
        shutil.copy2(ROOT / name, door / name)
    monkeypatch.chdir(fresh.folder)
    return Reader(fresh.folder, door)


def ask(reader, blocks):
    """Read the commands of blocks; return what is wrong with them."""
    wrong = []
    for block in blocks:
        if RUN in block.text:
            continue
        # What the README shows is known to all.
        pages = dict.fromkeys([block.page, ROOT / "README.md"])
        shown = [b for page in pages for b in documentation.blocks(page) if b.file]
        reader.shown = {b.file for b in shown}
        for one in shown:
            if one.file.startswith("config/") and not (reader.folder / one.file).exists():
                documentation.apply(one, reader.folder)
        for words in simple_commands(block.text):
            try:
                reader.read(words)
            except (AssertionError, UserError, KeyError, SystemExit) as error:
                wrong.append(f"{block}: {shlex.join(words)}: {error}")
            except Exception as error:  # of a parser that is not ours
                wrong.append(f"{block}: {shlex.join(words)}: {type(error).__name__} {error}")
    return wrong


def test_every_command_is_understood_and_every_target_is_there(reader, fresh):
    assert sum(len(simple_commands(block.text)) for block in BLOCKS) > 80
    assert ask(reader, BLOCKS) == []
    assert len(reader.planned) >= 2
    for files, targets in reader.planned.items():
        words = ("--configfile", *files) if files else ("--config", "study=quick")
        done = fresh.snakemake(*targets, "--dry-run", *words)
        assert done.returncode == 0, f"{targets}: {done.stdout[-2000:]}{done.stderr}"


@pytest.mark.parametrize(
    "command",
    [
        "./study runn",
        "./study test units",
        "./study run --configfile config/stduy.yaml",
        "./study run --confgfile config/study.yaml",
        "./study run --config sede=3",
        "./study denoise movie.dm4 --denoiser gausian",
        "./study denoise movie.dm4 --sums 4",
        "./study denoise movie.dm4 --denoiser udvd --parameters stepz=3",
        "./study bench studdy",
        "./study docs serve",
        './study shell -c "python -m lowdose outdatedd"',
        "python -m lowdose generate --chek",
        "python -m pytest tests/unit/test_nothing.py",
        "python -m mkdocs build --stricd",
        "build/upgrade/bin/python -m pip install -r envs/requirement.lock",
        "build/upgrade/bin/python -m pip instal numpy",
        "snakemake --cores 2 --confgfile config/study.yaml",
        "docker run --rm lowdose runn",
        "docker run --rmm lowdose run",
        "docker build --tag other folder",
        "frobnicate --now",
        "cd .. && ./study run --nothing-of-the-kind",
    ],
)
def test_a_command_with_a_mistake_is_found(reader, command):
    block = documentation.Block(ROOT / "docs" / "index.md", "", "bash", command + "\n", 0)
    assert len(ask(reader, [block])) >= 1


def test_the_words_of_commands():
    assert simple_commands(
        "$ a --b 'c d'  # why\nX=1 e | f > g\n(h; i) && j \\\n  k\n# nothing\n"
    ) == [["a", "--b", "c d"], ["e"], ["f"], ["h"], ["i"], ["j", "k"]]


def test_a_study_in_another_folder(fresh):
    [command] = [
        words for block in documentation.blocks(ROOT / "docs" / "reproduce.md", "bash")
        for words in simple_commands(block.text) if "--directory" in words
    ]  # fmt: skip
    done = fresh.study(*command[2:], "--dry-run")
    assert done.returncode == 0, done.stderr
    folder = (fresh.folder / command[command.index("--directory") + 1]).resolve()
    assert str(folder) in done.stdout + done.stderr or folder.is_dir()
    assert not (fresh.folder / "results").exists()


def test_the_commands_that_write_the_lock_write_it(tmp_path):
    [block] = [block for block in BLOCKS if RUN in block.text]
    shutil.copytree(ROOT / "envs", tmp_path / "envs")
    (tmp_path / "build").mkdir()
    script = block.text.replace("build/upgrade/bin/python", shlex.quote(sys.executable))
    done = subprocess.run(["bash", "-c", script], cwd=tmp_path, capture_output=True, text=True)
    assert done.returncode == 0, done.stderr
    written = lock(tmp_path / "envs" / "requirements.lock")
    # What is installed here is the lock, and perhaps something beside it.
    assert written | lock() == written
    comments = [line for line in (ROOT / "envs/requirements.lock").read_text().splitlines()
                if line.startswith("#")]  # fmt: skip
    new = (tmp_path / "build" / "new.lock").read_text().splitlines()
    assert new[: len(comments)] == comments
    kept = [line for line in new if canonical(line.partition("==")[0]) in lock()]
    old = (ROOT / "envs/requirements.lock").read_text().splitlines()
    assert sorted(kept) == sorted(line for line in old if "==" in line)  # spelled alike, too


# Runs each page's pieces in their order, with names of its own; one process, since the libraries
# take seconds to load.
PIECES = """
import json, linecache, sys, traceback
failed = []
for name, code in json.load(sys.stdin).items():
    linecache.cache[name] = len(code), None, code.splitlines(True), name
    try:
        exec(compile(code, name, "exec"), {"__name__": name})
    except Exception:
        failed.append(traceback.format_exc())
sys.exit("\\n".join(failed) or 0)
"""


def test_the_python_of_every_page_runs_on_a_small_study(finished):
    pages = {}
    for page in sorted((ROOT / "docs").glob("*.md")):
        code = [block.text for block in documentation.blocks(page, "python") if not block.file]
        if code:
            pages[str(page.relative_to(ROOT))] = "\n".join(code)
    assert len(pages) >= 4
    # As the front door leaves it at the end of a run; plain Snakemake does not.
    listed = finished.folder / "results" / "MANIFEST.json"
    assert not listed.exists()
    finished.run("lowdose", "manifest")
    try:
        done = subprocess.run(
            [sys.executable, "-c", PIECES], input=json.dumps(pages), text=True,
            capture_output=True, cwd=finished.folder, env=finished.environment(),
        )  # fmt: skip
    finally:
        listed.unlink()
    assert done.returncode == 0, done.stderr
