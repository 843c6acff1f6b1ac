"""The Dockerfile and what it takes from the project, read by a small parser of our own.

No image is built here: that needs a daemon and gigabytes.
"""

from __future__ import annotations

import fnmatch
import json
import re
import shlex
import subprocess
from pathlib import Path

import pytest
import yaml

from lowdose.environments import PYTHON

ROOT = Path(__file__).resolve().parents[2]
KNOWN = {"FROM", "ARG", "ENV", "RUN", "USER", "WORKDIR", "COPY", "VOLUME", "ENTRYPOINT", "CMD"}


def instructions(text: str) -> list[tuple[str, str]]:
    """Return the instructions of a Dockerfile: name and what follows, continued lines joined.

    Raises
    ------
    ValueError
        If a line begins with no instruction that is known here.
    """
    joined, found = "", []
    for line in text.splitlines():
        if line.lstrip().startswith("#") or (not line.strip() and not joined):
            continue
        joined += line.rstrip()
        if joined.endswith("\\"):
            joined = joined[:-1]
            continue
        name, _, rest = joined.partition(" ")
        if name not in KNOWN or not rest.strip():
            raise ValueError(f"no instruction: {joined!r}")
        found.append((name, " ".join(rest.split())))
        joined = ""
    if joined:
        raise ValueError(f"the last line is continued: {joined!r}")
    return found


def arguments(rest: str) -> tuple[dict[str, str], list[str]]:
    """Return the options (``--name=value``) and the words of an instruction."""
    words = shlex.split(rest)
    options = dict(word[2:].partition("=")[::2] for word in words if word.startswith("--"))
    return options, [word for word in words if not word.startswith("--")]


def installs(command: str) -> list[str]:
    """Return the calls of pip that install something, in a shell command."""
    return re.findall(r"pip3?\s+install\b[^&|;]*|pip3?\s+download\b[^&|;]*", command)


def problems(text: str) -> list[str]:
    """Return what is wrong with a Dockerfile of this project."""
    try:
        found = instructions(text)
    except ValueError as error:
        return [str(error)]
    wrong = []
    names = [name for name, _ in found]
    image = found[0][1]
    if names[0] != "FROM" or names.count("FROM") != 1:
        wrong.append("one FROM, at the top")
    elif not re.fullmatch(rf"python:{re.escape(PYTHON)}\.\d+-slim-[a-z]+", image):
        wrong.append(f"{image} is not the lock's Python by an exact tag")
    for name, rest in found:
        if name == "RUN":
            for call in installs(rest):
                words = shlex.split(call)
                given = [w for w in words[2:] if not w.startswith("-")]
                if given != ["envs/requirements.lock"] or not {"-r", "--requirement"} & set(words):
                    wrong.append(f"not from the lock: {call.strip()}")
            if re.search(r"\b(curl|wget|git clone|apt-get|conda)\b", rest):
                wrong.append(f"what the lock does not pin: {rest}")
        if name == "COPY":
            _, (*sources, _) = arguments(rest)
            wrong += [f"{s} {why}" for s in sources if (why := not_there(s))]
    users = [rest for name, rest in found if name == "USER"]
    if not users or not users[-1].isdigit() or users[-1] == "0":
        wrong.append("the last USER is no number above 0")
    for name in ("ENTRYPOINT", "CMD"):
        forms = [rest for n, rest in found if n == name]
        if len(forms) != 1 or not forms[0].startswith("["):
            wrong.append(f"one {name}, as a list")
    return wrong


def not_there(source: str) -> str | None:
    """Say why a source of COPY does not reach an image built from a fresh clone, or None."""
    if not (ROOT / source).exists():
        return "does not exist"
    if source != ".":
        ignored = subprocess.run(["git", "check-ignore", "--quiet", source], cwd=ROOT)
        if ignored.returncode == 0:
            return "is ignored by git"
        if left_out(source):
            return "is left out by .dockerignore"
    return None


def left_out(path: str) -> bool:
    """Say whether .dockerignore leaves out a path; the last line that fits decides."""
    out = False
    for line in (ROOT / ".dockerignore").read_text(encoding="utf-8").splitlines():
        if not line or line.startswith("#"):
            continue
        pattern = line.lstrip("!")
        parents = [path, *(str(parent) for parent in Path(path).parents)]
        any_folder = pattern.removeprefix("**/")
        if any(
            fnmatch.fnmatch(p, pattern)
            or ("**/" in pattern and fnmatch.fnmatch(Path(p).name, any_folder))
            for p in parents
        ):
            out = not line.startswith("!")
    return out


TEXT = (ROOT / "Dockerfile").read_text(encoding="utf-8")


def test_nothing_is_wrong():
    assert problems(TEXT) == []


@pytest.mark.parametrize(
    ("old", "new", "part"),
    [
        ("FROM python:3.11", "FROM python:3.12", "not the lock's Python"),
        (r"FROM python:\S+", "FROM python:3.11-slim", "by an exact tag"),
        (r"FROM python:\S+", "FROM python:latest", "by an exact tag"),
        ("(?m)^USER .*", "USER 0", "USER"),
        ("COPY (.*) study ", r"COPY \1 studdy ", "studdy does not exist"),
        ("COPY (.*) study ", r"COPY \1 .venv ", ".venv"),
        ("RUN useradd", "RUN pip install numpy && useradd", "not from the lock: pip install numpy"),
        ("RUN useradd", "RUN pip install -r envs/topaz.lock && useradd", "not from the lock"),
        ("RUN useradd", "RUN apt-get install -y git && useradd", "what the lock does not pin"),
        ("(?m)^ENTRYPOINT .*", "ENTRYPOINT ./study", "one ENTRYPOINT, as a list"),
        ("(?m)^VOLUME", "VOLUMES", "no instruction: 'VOLUMES"),
    ],
)
def test_a_mistake_is_found(old, new, part):
    changed = re.sub(old, new, TEXT, count=1)
    assert changed != TEXT
    assert any(part in problem for problem in problems(changed)), problems(changed)


def test_an_install_from_the_lock_is_right():
    line = "RUN python -m pip install --no-cache-dir -r envs/requirements.lock\nRUN useradd"
    assert problems(TEXT.replace("RUN useradd", line)) == []


def test_the_environment_is_that_of_the_front_door():
    """It is made before the code is copied, by ./study, which installs the lock."""
    found = instructions(TEXT)
    makes = next(i for i, (n, rest) in enumerate(found) if n == "RUN" and "./study " in rest)
    before = [arguments(rest)[1][:-1] for name, rest in found[:makes] if name == "COPY"]
    assert before == [["study"], ["envs/requirements.lock"]]
    assert ("COPY", "--chown=1000:1000 . ./") in found[makes:]
    entry = next(rest for name, rest in found if name == "ENTRYPOINT")
    assert json.loads(entry) == ["./study"]


def test_results_are_a_volume_and_the_context_is_small():
    folder = next(rest for name, rest in instructions(TEXT) if name == "WORKDIR")
    volumes = json.loads(next(rest for name, rest in instructions(TEXT) if name == "VOLUME"))
    assert volumes == [f"{folder}/results", f"{folder}/.snakemake"]
    for path in (".git", ".venv", ".venv-topaz", "results/waves/shard000.h5", "site/index.html",
                 "workflow/lowdose/__pycache__/config.pyc"):  # fmt: skip
        assert left_out(path), path


def test_every_committed_file_but_git_s_own_is_in_the_context():
    listed = subprocess.run(["git", "ls-files"], cwd=ROOT, capture_output=True, text=True)
    missing = [name for name in listed.stdout.splitlines() if left_out(name)]
    assert all(name.startswith(".github/") for name in missing), missing


def test_the_scheduled_job_is_a_workflow():
    path = ROOT / ".github" / "workflows" / "outdated.yml"
    job = yaml.load(path.read_text(encoding="utf-8"), yaml.BaseLoader)
    minute, hour, day, month, weekday = job["on"]["schedule"][0]["cron"].split()
    assert (day, month) == ("*", "*") and weekday.isdigit() and minute.isdigit() and hour.isdigit()
    assert job["permissions"] == {"contents": "read"}
    steps = job["jobs"]["outdated"]["steps"]
    assert [step["with"]["python-version"] for step in steps if "with" in step] == [PYTHON]
    assert 'python -m lowdose outdated --exit-code"' in steps[-1]["run"]
    assert "$GITHUB_STEP_SUMMARY" in steps[-1]["run"]
    # The exit code is the command's, not that of the pipe's last program.
    assert "set -o pipefail" in steps[-1]["run"]
