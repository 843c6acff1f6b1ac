"""The running average of weights and buffers."""

import pytest
import torch

from lowdose.training.averaging import AveragedWeights


def test_statistics_are_averaged_and_whole_numbers_copied():
    norm = torch.nn.BatchNorm2d(1, momentum=1.0)
    average = AveragedWeights(norm, 0.5)
    with torch.no_grad():
        norm.weight.fill_(3.0)
    norm(torch.full((1, 1, 2, 2), 8.0))
    average.update(1000)  # late: the decay alone
    assert average.values["weight"].item() == 2.0  # between 1 and 3
    assert average.values["running_mean"].item() == 4.0  # between 0 and 8
    assert average.values["num_batches_tracked"].item() == 1
    assert average.values["num_batches_tracked"].dtype == torch.int64


def test_early_it_follows_and_late_it_smooths():
    layer = torch.nn.Linear(1, 1, bias=False)
    torch.nn.init.zeros_(layer.weight)
    average = AveragedWeights(layer, 0.99)
    torch.nn.init.ones_(layer.weight)
    average.update(0)  # weight of the past: 1 / 10
    assert average.values["weight"].item() == pytest.approx(0.9)
    torch.nn.init.zeros_(layer.weight)
    average.update(10**6)
    assert average.values["weight"].item() == pytest.approx(0.9 * 0.99)


def test_a_decay_of_zero_is_the_last_weights():
    layer = torch.nn.Linear(1, 1)
    average = AveragedWeights(layer, 0.0)
    torch.nn.init.constant_(layer.weight, 7.0)
    average.update(50)
    assert average.values["weight"].item() == 7.0


def test_it_is_shown_in_evaluation_mode_and_taken_back_even_after_an_error():
    layer = torch.nn.Linear(1, 1).train()
    torch.nn.init.constant_(layer.weight, 1.0)
    average = AveragedWeights(layer, 0.9)
    torch.nn.init.constant_(layer.weight, 5.0)
    with pytest.raises(ZeroDivisionError), average.shown() as shown:
        assert shown.weight.item() == 1.0
        assert not shown.training
        raise ZeroDivisionError
    assert layer.weight.item() == 5.0
    assert layer.training
