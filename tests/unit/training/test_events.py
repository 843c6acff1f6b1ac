"""TensorBoard event files: every record once, also after a resume."""

import pytest

from lowdose.training.events import Events

accumulator = pytest.importorskip(
    "tensorboard.backend.event_processing.event_accumulator",
    reason="the optional package tensorboard is not installed",
)

HISTORY = [
    {"step": 10 * i, "loss": 1 / i, "learning_rate": 0.01, "validation_psnr_db": 25.0 + i,
     "seconds": 4.0 * i}
    for i in (1, 2, 3)
]  # fmt: skip


def scalars(folder, name):
    found = accumulator.EventAccumulator(str(folder))
    found.Reload()
    return found.Scalars(name)


def test_every_record_is_written_as_it_comes(tmp_path):
    events = Events(tmp_path)
    for count, record in enumerate(HISTORY, 1):
        events.add(record)
        losses = scalars(tmp_path, "loss")
        assert [s.step for s in losses] == [10, 20, 30][:count]
    assert [s.value for s in losses] == pytest.approx([1, 1 / 2, 1 / 3])
    assert [s.value for s in scalars(tmp_path, "validation_psnr_db")] == [26, 27, 28]
    # TensorBoard's relative time is the time of training.
    assert losses[2].wall_time - losses[0].wall_time == pytest.approx(8, abs=1e-3)
    events.close()


def test_after_a_resume_no_step_stands_twice(tmp_path):
    first = Events(tmp_path)
    for record in HISTORY:  # the last was written, but its state was not saved
        first.add(record)
    other = tmp_path / "history.jsonl"
    other.write_text("kept")
    second = Events(tmp_path)
    second.rewrite(HISTORY[:2])
    second.add({**HISTORY[2], "loss": 7.0})
    losses = scalars(tmp_path, "loss")
    assert [(s.step, s.value) for s in losses] == [(10, 1), (20, 0.5), (30, 7)]
    assert losses[2].wall_time - losses[0].wall_time == pytest.approx(8, abs=0.5)
    assert len(list(tmp_path.glob("events.out.tfevents.*"))) == 1
    assert other.read_text() == "kept"
