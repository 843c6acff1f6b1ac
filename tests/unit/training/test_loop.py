"""The training loop: resume is exact, the average is what it says, minutes end it, it learns."""

import math
from types import SimpleNamespace

import pytest
import torch

from lowdose.training import loop
from lowdose.training.loop import train
from lowdose.training.schedule import learning_rate

SETTINGS = {
    "steps": 30,
    "minutes": None,
    "loss": "mse",
    "clip": 1.0,
    "compile": False,
    "optimiser": "adamw",
    "batch": 2,
    "crop_px": 12,
    "learning_rate": 0.02,
    "warmup": 0.1,
    "weight_decay": 1e-4,
    "average": 0.9,
    "precision": "fp32",
    "save_every_s": 7.0,
    "validate_every": 10,
}


class Interrupted(Exception):
    """What a kill looks like from inside."""


@pytest.fixture(autouse=True)
def clock(monkeypatch):
    """A clock that advances by one second at each look: states are saved at known steps."""
    seconds = iter(range(10**6))
    monkeypatch.setattr(loop, "time", SimpleNamespace(monotonic=lambda: float(next(seconds))))


def network(seed=0):
    torch.manual_seed(seed)
    layers = torch.nn.Conv2d(1, 4, 3, padding=1), torch.nn.ReLU(), torch.nn.Conv2d(4, 1, 1)
    return torch.nn.Sequential(*layers).to(memory_format=torch.channels_last)


def batch(step):
    generator = torch.Generator().manual_seed(1000 + step)
    clean = torch.rand((2, 1, 12, 12), generator=generator)
    return clean + 0.3 * torch.randn(clean.shape, generator=generator), clean


def validate(candidate):
    noisy, clean = batch(-1)
    with torch.no_grad():
        return {"error": float(torch.mean((candidate(noisy) - clean) ** 2))}


def run(path, fingerprint="one", *, settings=SETTINGS, start=0, data=batch, check=validate, **more):
    made = network(start)
    history = train(made, data, settings, validate=check, state_path=path,
                    fingerprint=fingerprint, **more)  # fmt: skip
    return made.state_dict(), [{k: v for k, v in r.items() if k != "seconds"} for r in history]


def equal(one, other):
    return one.keys() == other.keys() and all(torch.equal(one[k], other[k]) for k in one)


def failing_at(function, call):
    """Return the function, which raises at its `call`-th call."""
    calls = iter(range(10**6))

    def wrapped(*arguments):
        if next(calls) == call:
            raise Interrupted
        return function(*arguments)

    return wrapped


# Which argument raises, and at which of its calls.
INTERRUPTIONS = {
    "at the first step": ("data", batch, 0),
    "before the first state": ("data", batch, 2),
    "between two states": ("data", batch, 12),
    "at the last step": ("data", batch, 29),
    "in the first validation": ("check", validate, 0),
    "in the last validation": ("check", validate, 2),
    "in the first report": ("report", lambda record: None, 0),
    "in the last report": ("report", lambda record: None, 2),
}


@pytest.mark.parametrize("save_every_s", [1e-9, 7.0, 1e9], ids=["always", "at times", "never"])
@pytest.mark.parametrize("when", INTERRUPTIONS)
def test_an_interrupted_training_ends_bit_identical(tmp_path, when, save_every_s):
    settings = SETTINGS | {"save_every_s": save_every_s}
    weights, history = run(tmp_path / "straight", settings=settings)
    state = tmp_path / "interrupted"
    name, function, call = INTERRUPTIONS[when]
    with pytest.raises(Interrupted):
        run(state, settings=settings, **{name: failing_at(function, call)})
    # With a state, the network that is handed in does not matter: all comes from the file.
    resumed = run(state, settings=settings, start=5 if state.is_file() else 0)
    assert equal(resumed[0], weights)
    assert resumed[1] == history


def test_an_interrupted_training_by_muon_ends_bit_identical(tmp_path):
    settings = SETTINGS | {"optimiser": "muon"}
    weights, history = run(tmp_path / "straight", settings=settings)
    with pytest.raises(Interrupted):
        run(tmp_path / "state", settings=settings, data=failing_at(batch, 20))
    resumed = run(tmp_path / "state", settings=settings, start=5)
    assert equal(resumed[0], weights)
    assert resumed[1] == history
    assert not equal(run(tmp_path / "adamw")[0], weights)
    assert history[-1]["loss"] < 0.8 * history[0]["loss"]


def test_it_continues_from_the_state_and_does_not_begin_anew(tmp_path):
    state, seen = tmp_path / "state", []
    with pytest.raises(Interrupted):
        run(state, data=failing_at(batch, 20))

    def watched(step):
        seen.append(step)
        return batch(step)

    run(state, data=watched)
    assert 0 < seen[0] <= 20
    assert seen == list(range(seen[0], 30))
    # A finished training is only read, when a run was killed before its results were written.
    seen.clear()
    assert equal(run(state, data=watched, start=3)[0], run(tmp_path / "straight")[0])
    assert seen == []


def test_a_state_of_another_fingerprint_is_not_continued(tmp_path):
    state = tmp_path / "state"
    with pytest.raises(Interrupted):
        run(state, "one", data=failing_at(batch, 20))
    seen = []

    def watched(step):
        seen.append(step)
        return batch(step)

    weights, history = run(state, "two", data=watched)
    assert seen == list(range(30))
    assert equal(weights, run(tmp_path / "straight", "two")[0])
    assert [record["step"] for record in history] == [10, 20, 30]


@pytest.mark.parametrize("content", [b"", b"not safetensors", bytes(64)])
def test_a_broken_state_is_not_continued(tmp_path, content):
    state = tmp_path / "state"
    state.write_bytes(content)
    assert equal(run(state)[0], run(tmp_path / "straight")[0])


def test_the_result_is_the_running_average_of_the_weights(tmp_path):
    steps, decay = 25, 0.8
    made = network()
    trace = []

    def traced(step):
        trace.append({k: v.clone() for k, v in made.state_dict().items()})
        return batch(step)

    last = {}

    def noted(candidate):
        # Validation sees the average, and leaves the weights as they were.
        last["average"] = {k: v.clone() for k, v in candidate.state_dict().items()}
        return {}

    settings = SETTINGS | {"steps": steps, "average": decay, "validate_every": 5}
    train(made, traced, settings, validate=noted, state_path=tmp_path / "s", fingerprint="f")
    # Weights after step i are those before step i + 1; the last ones follow from the last
    # state on disk.
    kept = loop.saved.load(tmp_path / "s", "f")[0]
    trace.append({k: kept[f"network/{k}"] for k in trace[0]})
    for key in trace[0]:
        average = trace[0][key].double()
        for i in range(steps):
            weight = min(decay, (i + 1) / (i + 10))
            average = weight * average + (1 - weight) * trace[i + 1][key].double()
        assert torch.allclose(made.state_dict()[key].double(), average, atol=1e-6)
        assert torch.equal(last["average"][key], made.state_dict()[key])


def test_it_learns_the_shrinkage_of_white_noise(tmp_path):
    signal, noise = 0.8, 0.6
    made = torch.nn.Conv2d(1, 1, 1)

    def white(step):
        generator = torch.Generator().manual_seed(step)
        clean = 1 + signal * torch.randn((4, 1, 64, 64), generator=generator)
        return clean + noise * torch.randn(clean.shape, generator=generator), clean

    settings = SETTINGS | {"steps": 400, "learning_rate": 0.05, "weight_decay": 0.0}
    settings |= {"average": 0.95, "validate_every": 100}
    history = train(made, white, settings, validate=lambda n: {}, state_path=tmp_path / "s",
                    fingerprint="f")  # fmt: skip
    # Wiener: the weight is s^2 / (s^2 + n^2), the bias keeps the mean, and the error left is
    # s^2 n^2 / (s^2 + n^2).
    shrinkage = signal**2 / (signal**2 + noise**2)
    assert made.weight.item() == pytest.approx(shrinkage, abs=0.01)
    assert made.bias.item() == pytest.approx(1 - shrinkage, abs=0.01)
    assert history[-1]["loss"] == pytest.approx(shrinkage * noise**2, rel=0.02)
    assert history[0]["loss"] > history[-1]["loss"]


def test_seconds_add_up_over_the_pieces(tmp_path):
    state = tmp_path / "state"
    with pytest.raises(Interrupted):
        run(state, data=failing_at(batch, 25))
    before = loop.saved.load(state, "one")[1]["seconds"]
    history = train(network(), batch, SETTINGS, validate=validate, state_path=state,
                    fingerprint="one")  # fmt: skip
    assert history[-1]["seconds"] > before > history[0]["seconds"] > 0


def test_minutes_replace_steps_and_the_rate_follows_the_clock(tmp_path):
    # The clock moves by one second at each look, and a step without validation looks three times.
    settings = SETTINGS | {"minutes": 2.0, "validate_every": 5, "save_every_s": 1e9}
    reports = []
    history = train(network(), batch, settings, validate=validate, state_path=tmp_path / "s",
                    fingerprint="f", report=reports.append)  # fmt: skip
    assert 120 <= history[-1]["seconds"] <= 126
    assert history[-1]["step"] > 30
    assert reports[-1]["progress"] == 1
    assert reports[-1]["seconds_left"] == 0
    middle = reports[len(reports) // 2]
    assert middle["seconds_left"] == pytest.approx(120 - middle["seconds"], abs=2)
    assert middle["progress"] == pytest.approx(middle["seconds"] / 120, abs=0.02)
    for record in history:
        # The clock holds whole seconds: the rate is that of one of the few before the record.
        ago = [min(1, (record["seconds"] - back) / 120) for back in range(1, 7)]
        rates = [learning_rate(share, settings) for share in ago]
        assert min(abs(record["learning_rate"] / rate - 1) for rate in rates) < 1e-9


def test_minutes_are_counted_over_the_pieces(tmp_path):
    settings = SETTINGS | {"minutes": 2.0}
    with pytest.raises(Interrupted):
        run(tmp_path / "s", settings=settings, data=failing_at(batch, 20))
    before = loop.saved.load(tmp_path / "s", "one")[1]
    assert not before["finished"]
    continued = []
    history = train(network(), batch, settings, validate=validate, state_path=tmp_path / "s",
                    fingerprint="one", resumed=continued.extend)  # fmt: skip
    assert continued == before["history"] == history[: len(continued)]
    assert 120 <= history[-1]["seconds"] <= 126
    # A finished training is read, not continued, though the clock goes on.
    again = train(network(), failing_at(batch, 0), settings, validate=validate,
                  state_path=tmp_path / "s", fingerprint="one")  # fmt: skip
    assert again == history


def test_the_speed_and_the_time_left_are_those_of_this_piece(tmp_path):
    # Three looks a step between validations, so that a step takes about three seconds.
    shown = []
    run(tmp_path / "s", settings=SETTINGS | {"save_every_s": 1e9}, report=shown.append)
    assert [r["step"] for r in shown] == [10, 20, 30]
    assert [r["progress"] for r in shown] == pytest.approx([1 / 3, 2 / 3, 1])
    for record in shown:
        assert record["steps_a_second"] == pytest.approx(1 / 3, rel=0.1)
        left = (30 - record["step"]) / record["steps_a_second"]
        assert record["seconds_left"] == pytest.approx(left, rel=0.01)


def test_who_watches_is_told_between_the_validations(tmp_path):
    seen = []
    settings = SETTINGS | {"validate_every": 1000}
    run(tmp_path / "s", settings=settings, progress=seen.append)
    assert 5 < len(seen) < 30
    assert {"step", "loss", "progress", "steps_a_second", "seconds_left"} == set(seen[0])
    for record in seen:
        assert record["progress"] == record["step"] / 30
        left = (30 - record["step"]) / record["steps_a_second"]
        assert record["seconds_left"] == pytest.approx(left, rel=0.01)


def test_the_gradient_is_clipped_to_the_norm_of_the_settings(tmp_path):
    # One step of one weight: AdamW's first moment is (1 - beta1) times the clipped gradient.
    moments = {}
    for clip in (1e-3, 1e3):
        made = torch.nn.Conv2d(1, 1, 1, bias=False)
        torch.nn.init.constant_(made.weight, 3.0)
        settings = SETTINGS | {"clip": clip, "steps": 1}
        train(made, lambda step: (torch.ones(1, 1, 8, 8), torch.ones(1, 1, 8, 8)), settings,
              validate=lambda n: {}, state_path=tmp_path / f"{clip}", fingerprint="f")  # fmt: skip
        moments[clip] = loop.saved.load(tmp_path / f"{clip}", "f")[0][
            "optimiser/0/0/exp_avg"
        ].item()
    assert moments[1e-3] == pytest.approx(0.1 * 1e-3, rel=1e-4)
    assert moments[1e3] == pytest.approx(0.1 * 2 * (3 - 1), rel=1e-4)  # d/dw (w - 1)^2


def test_the_loss_is_that_of_the_settings(tmp_path):
    losses = {}
    for loss in ("mse", "poisson"):
        made = torch.nn.Conv2d(1, 1, 1, bias=False)
        torch.nn.init.constant_(made.weight, 2.0)
        history = train(
            made, lambda step: (torch.ones(1, 1, 8, 8), torch.ones(1, 1, 8, 8)),
            SETTINGS | {"loss": loss, "steps": 1}, validate=lambda n: {},
            state_path=tmp_path / loss, fingerprint="f",
        )  # fmt: skip
        losses[loss] = history[0]["loss"]
    assert losses == pytest.approx({"mse": 1.0, "poisson": 1 - math.log(2)})


def test_a_loss_of_counts_never_looks_at_the_truth(tmp_path):
    def other_truth(step, truth):
        noisy, clean = batch(step)
        return noisy.abs() + 0.1, torch.full_like(clean, truth)

    one, other = (
        run(
            tmp_path / f"{t}",
            data=lambda s, t=t: other_truth(s, t),
            settings=SETTINGS | {"loss": "counts"},
        )
        for t in (0.5, 3.0)
    )
    assert equal(one[0], other[0])


def test_what_lies_beyond_the_target_is_not_learned(tmp_path):
    def shorter(step, beyond):
        noisy, clean = batch(step)
        noisy[..., 9:, :] = beyond
        return noisy, clean[..., :8, :12]  # one row of padding between

    one, other = (run(tmp_path / f"{b}", data=lambda s, b=b: shorter(s, b)) for b in (1.0, 7.0))
    assert equal(one[0], other[0])
    assert one[1][0]["loss"] == other[1][0]["loss"]
    assert not equal(one[0], run(tmp_path / "whole")[0])
