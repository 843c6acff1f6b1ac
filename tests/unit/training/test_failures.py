"""What goes wrong in a training is one sentence, and the state is kept."""

import errno
import math
import os
import signal
import threading

import numpy as np
import pytest
import torch
from safetensors import SafetensorError

from lowdose.runtime import UserError
from lowdose.training import state as saved
from lowdose.training.interruption import Interruption
from lowdose.training.loop import train

SETTINGS = {
    "steps": 20, "minutes": None, "loss": "mse", "clip": 1.0, "compile": False, "batch": 4,
    "optimiser": "adamw",
    "crop_px": 8, "learning_rate": 0.02, "warmup": 0.1, "weight_decay": 1e-4, "average": 0.9,
    "precision": "fp32", "save_every_s": 1e-9, "validate_every": 7,
}  # fmt: skip
NAME = "wide.white.seed0"


def batch(step):
    generator = torch.Generator().manual_seed(step)
    clean = torch.rand((4, 1, 8, 8), generator=generator)
    return clean + 0.3 * torch.randn(clean.shape, generator=generator), clean


def run(folder, data=batch, *, made=None, **changes):
    torch.manual_seed(0)
    made = made or torch.nn.Conv2d(1, 1, 3, padding=1)
    history = train(made, data, SETTINGS | changes, validate=lambda n: {},
                    state_path=folder / NAME / "s", fingerprint="f")  # fmt: skip
    return made.state_dict(), [{k: v for k, v in r.items() if k != "seconds"} for r in history]


def at(step, action):
    """Return the batches, with an action on those of one step: it may raise."""

    def data(number):
        noisy, clean = batch(number)
        return action(noisy, clean) if number == step else (noisy, clean)

    return data


def assert_continues(folder, from_step):
    """Assert that the state is that of a step and leads to the uninterrupted end."""
    assert saved.load(folder / NAME / "s", "f")[1]["step"] == from_step
    resumed, straight = run(folder), run(folder / "straight")
    assert all(torch.equal(resumed[0][k], straight[0][k]) for k in straight[0])
    assert resumed[1] == straight[1]


def raising(error):
    def action(*_):
        raise error

    return action


def test_a_loss_that_is_no_number(tmp_path):
    with pytest.raises(UserError) as caught:
        run(tmp_path, at(17, lambda noisy, clean: (noisy * math.nan, clean)))
    assert str(caught.value) == (
        "The loss is nan at step 17 of wide.white.seed0; lower training.learning_rate and run "
        "again (the last good state is kept)."
    )
    assert_continues(tmp_path, 17)


class Steep(torch.autograd.Function):
    """The identity, with an infinite gradient at images that are all 5."""

    @staticmethod
    def forward(context, x):
        context.steep = bool((x == 5).all())
        return x.clone()

    @staticmethod
    def backward(context, gradient):
        return gradient * math.inf if context.steep else gradient


class OnCliff(torch.nn.Module):
    def __init__(self):
        super().__init__()
        self.weight = torch.nn.Parameter(torch.ones(1))

    def forward(self, x):
        return self.weight * 0 + Steep.apply(x + 0 * self.weight)


def test_a_gradient_that_is_not_finite(tmp_path):
    action = at(3, lambda noisy, clean: (torch.full_like(noisy, 5.0), clean))
    with pytest.raises(
        UserError, match=r"^The gradient is (nan|inf) at step 3 of wide.white.seed0;"
    ):
        run(tmp_path, action, made=OnCliff())
    tensors, values = saved.load(tmp_path / NAME / "s", "f")
    assert values["step"] == 3
    assert all(torch.isfinite(t).all() for t in tensors.values())


@pytest.mark.parametrize(
    "error",
    [
        RuntimeError("DefaultCPUAllocator: can't allocate memory: you tried to allocate 4 bytes."),
        torch.OutOfMemoryError("CUDA out of memory. Tried to allocate 2.00 GiB."),
        MemoryError("Unable to allocate 8.00 GiB"),
    ],
    ids=lambda error: type(error).__name__,
)
def test_out_of_memory_names_what_to_lower(tmp_path, error):
    with pytest.raises(UserError) as caught:
        run(tmp_path, at(5, raising(error)))
    assert str(caught.value) == (
        "The memory is full at step 5 of wide.white.seed0, with training.batch 4 and "
        "training.crop_px 8; set training.batch to 2 or lower training.crop_px, and run again "
        "(the last state is kept)."
    )
    assert_continues(tmp_path, 5)


def test_memory_that_no_machine_has(tmp_path):
    # The allocators' own words, not ours.
    for action in (lambda *_: torch.zeros(10**15), lambda *_: np.zeros(10**15)):
        with pytest.raises(UserError, match=r"with training.batch 1 and .* lower training.crop_px"):
            run(tmp_path, at(5, action), batch=1)


def test_another_error_stays_what_it_is(tmp_path):
    with pytest.raises(RuntimeError, match="mat1 and mat2"):
        run(tmp_path, at(5, raising(RuntimeError("mat1 and mat2 cannot be multiplied"))))


def test_a_full_disk_while_saving(tmp_path, monkeypatch):
    calls = iter(range(100))
    save_file = saved.save_file

    def fill(tensors, path, metadata):
        if next(calls) < 6:
            return save_file(tensors, path, metadata)
        # What safetensors raises: no OSError.
        raise SafetensorError(
            "Error while serializing: I/O error: No space left on device (os error 28)"
        )

    monkeypatch.setattr(saved, "save_file", fill)
    with pytest.raises(UserError, match=r"^The disk is full while writing .*wide.white.seed0/s;"):
        run(tmp_path)
    monkeypatch.undo()
    assert [p.name for p in (tmp_path / NAME).iterdir()] == ["s"]  # no half file stays
    assert_continues(tmp_path, 6)


def test_a_file_that_may_not_grow(tmp_path, monkeypatch):
    def refuse(*_):
        raise SafetensorError("Error while serializing: I/O error: File too large (os error 27)")

    monkeypatch.setattr(saved, "save_file", refuse)
    with pytest.raises(UserError) as caught:
        run(tmp_path)
    assert str(caught.value) == (
        f"The training state cannot be written to {tmp_path / NAME} ({os.strerror(errno.EFBIG)}); "
        "make room or name another folder with --work, and run again."
    )


@pytest.fixture
def heard():
    """Ctrl-C as a terminal has it: a shell lets its background jobs ignore it."""
    before = signal.signal(signal.SIGINT, signal.default_int_handler)
    yield
    signal.signal(signal.SIGINT, before)


@pytest.mark.usefixtures("heard")
@pytest.mark.parametrize(
    ("number", "raised"), [(signal.SIGINT, KeyboardInterrupt), (signal.SIGTERM, SystemExit)]
)
def test_a_signal_finishes_the_step_and_saves(tmp_path, number, raised):
    def strike(noisy, clean):
        signal.raise_signal(number)
        return noisy, clean

    before = [signal.getsignal(n) for n in (signal.SIGINT, signal.SIGTERM)]
    with pytest.raises(raised) as caught:
        run(tmp_path, at(8, strike), save_every_s=1e9)
    if raised is SystemExit:
        assert caught.value.code == 143
    assert [signal.getsignal(n) for n in (signal.SIGINT, signal.SIGTERM)] == before
    assert_continues(tmp_path, 9)


@pytest.mark.usefixtures("heard")
def test_a_second_ctrl_c_does_not_wait():
    with pytest.raises(KeyboardInterrupt), Interruption() as interruption:
        signal.raise_signal(signal.SIGTERM)
        signal.raise_signal(signal.SIGTERM)  # a cluster may say it twice
        assert interruption.received == signal.SIGTERM
        signal.raise_signal(signal.SIGINT)
        pytest.fail("the second signal was ignored")


def test_ignored_signals_stay_ignored():
    before = signal.signal(signal.SIGINT, signal.SIG_IGN)
    try:
        with Interruption() as interruption:
            signal.raise_signal(signal.SIGINT)
            assert interruption.received is None
        assert signal.getsignal(signal.SIGINT) is signal.SIG_IGN
    finally:
        signal.signal(signal.SIGINT, before)


def test_a_training_runs_in_a_thread(tmp_path):
    found = []
    thread = threading.Thread(target=lambda: found.append(run(tmp_path)))
    thread.start()
    thread.join()
    straight = run(tmp_path / "straight")
    # Another thread may compute with another number of threads, and so sum in another order.
    torch.testing.assert_close(found[0][0]["weight"], straight[0]["weight"])


def test_a_network_that_cannot_be_compiled(tmp_path, monkeypatch):
    def broken(_):
        return raising(AssertionError("expected stride 1==2304 at dim=1.\nError in op: pad"))

    monkeypatch.setattr(torch, "compile", broken)
    with pytest.raises(UserError) as caught:
        run(tmp_path, compile=True)
    assert str(caught.value) == (
        "training.compile is true, but torch cannot compile this network here (AssertionError: "
        "expected stride 1==2304 at dim=1); set training.compile to false."
    )


def test_a_compiled_network_shares_the_weights(tmp_path, monkeypatch):
    # The real compiler takes a minute; what matters here is that the loop uses what it returns.
    called = []

    def compiled(network):
        return lambda x: called.append(1) or network(x)

    straight = run(tmp_path / "straight")
    monkeypatch.setattr(torch, "compile", compiled)
    made = run(tmp_path, compile=True)
    assert len(called) == 20
    assert torch.equal(run(tmp_path / "cuda", compile="cuda")[0]["weight"], made[0]["weight"])
    assert len(called) == 20  # not on a processor
    assert torch.equal(made[0]["weight"], straight[0]["weight"])
