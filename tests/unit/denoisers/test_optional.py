"""Optional denoisers: what is said where they are missing, and what they do where they are not."""

from __future__ import annotations

import gc
import importlib.util
import os
import signal
import subprocess
import sys
import textwrap
import time
from pathlib import Path

import numpy as np
import pytest

from lowdose import metrics
from lowdose.denoisers import registry
from lowdose.denoisers.external import framing, process
from lowdose.denoisers.external.process import Worker
from lowdose.environments import ROOT, lock
from lowdose.runtime import UserError

PIXEL_NM = 0.0061
DOSE_E_PER_A2 = 120.9


def needs(name: str) -> None:
    """Skip the test where an optional denoiser cannot be used."""
    if sentence := registry.missing(name):
        pytest.skip(sentence)


def psnr(estimate: np.ndarray, truth: np.ndarray) -> float:
    return float(metrics.psnr(truth, estimate, dose_e_per_px=0.45))


def is_running(pid: int) -> bool:
    try:
        os.kill(pid, 0)
    except ProcessLookupError:
        return False
    return True


@pytest.fixture
def frame(particle):
    """A particle and one noisy image of it, electrons per pixel."""
    clean = particle(384)
    return clean, np.random.default_rng(11).poisson(clean).astype(np.float32)


# ---- what is missing ---------------------------------------------------------------------------


@pytest.fixture
def without(monkeypatch, tmp_path):
    """Nothing optional is installed."""
    found = importlib.util.find_spec
    monkeypatch.setattr(
        importlib.util, "find_spec", lambda name, *rest: None if name == "bm3d" else found(name)
    )
    monkeypatch.setenv("LOWDOSE_TOPAZ_PYTHON", str(tmp_path / "none" / "python"))


@pytest.mark.parametrize(
    ("name", "sentence"),
    [
        ("bm3d-package", r"needs the package bm3d, which is not installed; .* pip install 'bm3d>="),
        ("topaz", r"none/python does not exist; make it with \./study optional topaz, or name a"),
    ],
)
def test_what_is_missing_is_said_and_creates_nothing(without, name, sentence):
    assert name in registry.OPTIONAL
    said = registry.missing(name)
    assert said.endswith(".")
    with pytest.raises(UserError, match=sentence) as caught:
        registry.create(name)
    assert str(caught.value) == said
    with pytest.raises(UserError, match=sentence):  # as tuning creates it
        registry.kind(name)(binning=4)
    assert registry.info(name).name == name  # known all the same


def test_nothing_else_is_optional():
    assert set(registry.OPTIONAL) == {"bm3d-package", "topaz"} < set(registry.names())
    assert {registry.missing(name) for name in registry.names()} - {
        registry.missing(name) for name in registry.OPTIONAL
    } <= {None}


def test_topaz_is_looked_for_in_its_folder(monkeypatch):
    monkeypatch.delenv("LOWDOSE_TOPAZ_PYTHON", raising=False)
    assert process.python_of("topaz") == ROOT / ".venv-topaz" / "bin" / "python"
    monkeypatch.setenv("LOWDOSE_TOPAZ_PYTHON", sys.executable)
    assert registry.missing("topaz") is None


def test_to_ask_loads_neither_torch_nor_the_package():
    code = (
        "import sys; from lowdose.denoisers import registry; "
        "[registry.missing(name) for name in registry.OPTIONAL]; "
        "print(*(name in sys.modules for name in ('torch', 'bm3d', 'topaz')))"
    )
    environment = os.environ | {"PYTHONPATH": os.pathsep.join(filter(None, sys.path))}
    done = subprocess.run(
        [sys.executable, "-c", code], capture_output=True, text=True, check=True, env=environment
    )
    assert done.stdout.split() == ["False"] * 3


# ---- the front door ----------------------------------------------------------------------------


def front_door(*words: str, **variables: str) -> subprocess.CompletedProcess:
    return subprocess.run(
        [str(ROOT / "study"), "optional", *words],
        env=os.environ | variables,
        stdin=subprocess.DEVNULL,
        capture_output=True,
        text=True,
        timeout=60,
    )


def test_the_lock_of_topaz_is_exact():
    pins = lock(ROOT / "envs" / "topaz.lock")
    assert pins["topaz-em"] == "0.3.20"
    assert pins["torch"] == lock()["torch"]  # one download serves both


def test_the_front_door_says_what_is_optional():
    assert front_door().stdout.startswith("topaz: Topaz-Denoise")
    refused = front_door("bm3d")
    assert (refused.returncode, refused.stdout) == (2, "")
    assert refused.stderr == 'study: there is nothing optional called "bm3d"; choose topaz.\n'


def test_the_front_door_wants_a_python_that_topaz_knows(tmp_path):
    (tmp_path / "python").write_text("#!/bin/sh\nexit 1\n")
    (tmp_path / "python").chmod(0o755)
    refused = front_door("topaz", PYTHON=str(tmp_path / "python"))
    assert refused.returncode == 2
    assert "is not Python 3.11 or 3.12 with" in refused.stderr.splitlines()[-1]


def test_the_front_door_has_nothing_to_do_twice():
    if not (ROOT / ".venv-topaz" / "study-stamp").is_file():
        pytest.skip("there is no .venv-topaz; ./study optional topaz makes it")
    done = front_door("topaz", PYTHON="")
    assert (done.returncode, done.stderr) == (0, "")
    assert done.stdout == "Denoiser topaz is ready to use (.venv-topaz).\n"


# ---- a worker, without topaz -------------------------------------------------------------------


@pytest.fixture
def worker(tmp_path):
    """A function that starts a worker which handles ``header, array`` with these lines."""

    def start(lines: str) -> Worker:
        script = tmp_path / "script.py"
        script.write_text(
            "import os, runpy, sys, time\nimport numpy as np\n"
            f"framing = runpy.run_path({framing.__file__!r})\n"
            "send, out = framing['send'], sys.stdout.buffer\n"
            "while True:\n"
            "    try:\n"
            "        header, array = framing['receive'](sys.stdin.buffer)\n"
            "    except EOFError:\n"
            "        sys.exit()\n" + textwrap.indent(textwrap.dedent(lines), "    ")
        )
        return Worker("toy", sys.executable, script)

    return start


def test_arrays_go_there_and_back(worker):
    toy = worker("send(out, {}, array[:: header['step']])")
    rng = np.random.default_rng(0)
    for shape in ((1, 1), (3, 0), (700, 801), (5,)):
        for kind in ("f4", ">f8", "u2"):
            array = (100 * rng.random(shape)).astype(kind)
            for given in (array, np.asfortranarray(array), array[..., ::-1]):
                answer = toy.ask(given, step=2)
                assert answer.dtype == given.dtype
                assert np.array_equal(answer, given[::2])


def test_a_worker_has_the_threads_of_its_owner_and_nothing_of_its_paths(worker, monkeypatch):
    monkeypatch.setenv("PYTHONPATH", "/nowhere")
    lines = """
        said = [os.environ["OMP_NUM_THREADS"], os.environ["MKL_NUM_THREADS"],
                "/nowhere" in sys.path, os.path.dirname(os.path.abspath(__file__)) in sys.path]
        send(out, {}, np.array([int(value) for value in said]))
    """
    for given, threads in (("3", 3), ("", 1), ("many", 1)):
        monkeypatch.setenv("OMP_NUM_THREADS", given)
        assert worker(lines).ask(np.zeros(1)).tolist() == [threads, threads, 0, 0]


def test_a_worker_ends_with_its_owner(worker):
    toy = worker("send(out, {}, array)")
    pid = toy.pid
    toy.ask(np.zeros(1))
    del toy
    gc.collect()
    assert not is_running(pid)


def test_a_worker_ends_with_the_process_whatever_ends_that(tmp_path):
    script = tmp_path / "script.py"
    script.write_text("import sys\nsys.stdin.read()\n")
    code = (
        "import os, sys; from lowdose.denoisers.external.process import Worker\n"
        f"kept = Worker('toy', sys.executable, {str(script)!r}); print(kept.pid, flush=True)\n"
        "if sys.argv[1] == 'kill': os.kill(os.getpid(), 9)\n"
    )
    environment = os.environ | {"PYTHONPATH": os.pathsep.join(filter(None, sys.path))}
    for how in ("end", "kill"):
        command = [sys.executable, "-c", code, how]
        done = subprocess.run(command, capture_output=True, text=True, env=environment)
        assert done.stderr == ""
        end = time.monotonic() + 20
        while is_running(int(done.stdout)):
            assert time.monotonic() < end, "the worker is left running"
            time.sleep(0.02)


def test_a_worker_that_does_not_listen_is_killed(worker, monkeypatch):
    monkeypatch.setattr(process, "PATIENCE_S", 0.2)
    toy = worker("send(out, {}, array); time.sleep(600)")
    toy.ask(np.zeros(1))
    toy.close()
    assert not is_running(toy.pid)
    with pytest.raises(UserError, match="The worker of toy has been ended; create the denoiser"):
        toy.ask(np.zeros(1))


@pytest.mark.parametrize(
    ("lines", "sentence"),
    [
        ("raise KeyError('thing')", r"ended with code 1, its last words were: KeyError: 'thing';"),
        ("os._exit(7)", r"ended with code 7, without a word; create the denoiser anew\.$"),
        ("os.kill(os.getpid(), 9)", "ended with code -9, without a word"),
        ("out.write(b'{}\\n'); out.flush(); sys.exit('Odd.')", "last words were: Odd; create"),
        ("out.write(b'hello\\n'); sys.exit()", "ended with code 0, without a word"),
        ("out.write(b'{\"bytes\": 99}\\nhalf'); sys.exit()", "ended with code 0"),
        ("send(out, {'error': 'The memory is full.'})", "toy failed: The memory is full.$"),
    ],
)
def test_a_worker_that_fails_is_one_sentence(worker, lines, sentence):
    toy = worker(lines)
    with pytest.raises(UserError, match=sentence) as caught:
        toy.ask(np.zeros(1))
    assert "\n" not in str(caught.value)
    assert caught.value.__suppress_context__ or caught.value.__context__ is None


def test_a_question_that_is_broken_off_leaves_no_answer_for_the_next(worker, monkeypatch):
    toy = worker("send(out, {}, array)")

    def stopped(stream):
        raise KeyboardInterrupt

    with monkeypatch.context() as patch:
        patch.setattr(process, "receive", stopped)
        with pytest.raises(KeyboardInterrupt):
            toy.ask(np.zeros(1))
    with pytest.raises(UserError, match="has been ended"):
        toy.ask(np.ones(1))
    assert not is_running(toy.pid)


def test_a_program_that_is_none(tmp_path):
    with pytest.raises(UserError, match=r"cannot be started with .*none \(No such file"):
        Worker("toy", tmp_path / "none", tmp_path / "script.py")


# ---- topaz -------------------------------------------------------------------------------------


def test_topaz_denoises_a_particle(frame):
    """What it learned from cryo-EM helps a little: 1.5 dB above the frame's mean at least."""
    needs("topaz")
    clean, counts = frame
    constant = psnr(np.full_like(clean, counts.mean()), clean)
    estimate = registry.create("topaz", binning=4).denoise(counts[None], PIXEL_NM)[0]
    assert estimate.dtype == np.float32
    assert psnr(counts, clean) + 15 < constant < psnr(estimate, clean) - 1.5


def test_topaz_says_the_same_twice(frame):
    needs("topaz")
    made = registry.create("topaz", binning=2, model="unet-small")
    first, second = (made.denoise(frame[1][None], PIXEL_NM, dose=DOSE_E_PER_A2) for _ in range(2))
    assert np.array_equal(first, second)
    again = registry.create("topaz", binning=2, model="unet-small")
    assert np.array_equal(again.denoise(frame[1][None], PIXEL_NM, dose=DOSE_E_PER_A2), first)


@pytest.mark.parametrize("model", registry.kind("topaz").info.parameters["model"].choices)
def test_topaz_is_what_topaz_itself_returns(frame, model, tmp_path):
    """Second route: no worker and no binning, but topaz on a file in the other Python."""
    needs("topaz")
    counts = frame[1][:70, :90]
    np.save(tmp_path / "counts.npy", counts)
    code = (
        "import sys, numpy, torch; from topaz.denoise import Denoise\n"
        "torch.set_num_threads(1); x = numpy.load(sys.argv[1])\n"
        "mean, deviation = x.mean(), x.std()\n"
        "y = Denoise(sys.argv[2]).denoise((x - mean) / deviation)\n"
        "numpy.save(sys.argv[3], deviation * y + mean)\n"
    )
    python, result = process.python_of("topaz"), tmp_path / "result.npy"
    words = [tmp_path / "counts.npy", model, result]
    subprocess.run([python, "-I", "-c", code, *words], check=True, capture_output=True)
    made = registry.create("topaz", binning=1, model=model)
    sums = made._denoise_sums(counts.astype(np.float64), PIXEL_NM, 0.45)
    np.testing.assert_allclose(sums, np.load(result), rtol=1e-5, atol=1e-6)


def test_a_killed_topaz_is_one_sentence(frame):
    needs("topaz")
    made = registry.create("topaz", binning=6, model="affine")
    made.denoise(frame[1][None], PIXEL_NM)
    os.kill(made._worker.pid, signal.SIGKILL)
    with pytest.raises(UserError, match=r"The worker of topaz ended with code -9.*; create the"):
        made.denoise(frame[1][None], PIXEL_NM)


def test_topaz_in_a_python_without_topaz(monkeypatch, frame):
    monkeypatch.setenv("LOWDOSE_TOPAZ_PYTHON", sys.executable)
    with pytest.raises(UserError, match="last words were: ModuleNotFoundError: No module named 't"):
        registry.create("topaz").denoise(frame[1][None], PIXEL_NM)


def test_a_frame_larger_than_a_patch_has_no_seam():
    """Of 1700 rows the first 1024 are one patch with the 500 that follow, where all is smooth."""
    needs("topaz")
    counts = np.random.default_rng(1).poisson(0.45, (1700, 40))
    estimate = registry.create("topaz", model="affine", binning=1).denoise(counts[None], PIXEL_NM)
    steps = np.abs(np.diff(estimate[0], axis=0)).mean(axis=1)
    assert steps[1023] < 3 * np.median(steps)


# ---- the package bm3d --------------------------------------------------------------------------


def test_the_package_denoises_a_particle_as_well_as_ours(frame):
    needs("bm3d-package")
    clean, counts = frame
    found = {
        name: psnr(registry.create(name).denoise(counts[None], PIXEL_NM)[0], clean)
        for name in ("gaussian", "bm3d", "bm3d-package")
    }
    assert found["bm3d-package"] > found["gaussian"] + 1
    assert abs(found["bm3d-package"] - found["bm3d"]) < 3


@pytest.mark.parametrize(
    "profile", registry.kind("bm3d-package").info.parameters["profile"].choices
)
def test_every_profile_of_the_package_works_at_every_small_size(profile, frame):
    """Sizes about that of a block, at which the package itself crashes."""
    needs("bm3d-package")
    made = registry.create("bm3d-package", profile=profile, binning=2)
    for size in (2, 16, 22, 24, 25, 40):
        counts = frame[1][None, :size, : size + 3]
        estimate = made.denoise(counts, PIXEL_NM)
        assert np.array_equal(estimate, made.denoise(counts, PIXEL_NM))
        assert estimate.shape == counts.shape


def test_the_package_tells_its_licence_once():
    needs("bm3d-package")
    code = (
        "from lowdose.denoisers import registry; registry.info('bm3d-package'); print('known')\n"
        "[registry.create('bm3d-package') for _ in range(2)]"
    )
    environment = os.environ | {"PYTHONPATH": os.pathsep.join(filter(None, sys.path))}
    done = subprocess.run(
        [sys.executable, "-c", code], capture_output=True, text=True, check=True, env=environment
    )
    assert done.stderr.count("non-commercial") == len(done.stderr.splitlines()) == 1
    assert "non-commercial" in registry.info("bm3d-package").licence
    assert Path(importlib.util.find_spec("bm3d").origin).exists()
