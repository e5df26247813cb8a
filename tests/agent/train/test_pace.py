"""Pace: pictures and operations through the time of the last steps, and how much of that had no data."""

import time

import torch

from loratui_agent.train.pace import Pace

DRAWING_S = 0.02
"""Long beside the rest of a step that does nothing."""


def draw(pace: Pace) -> None:
    pace.draw()
    end_s = time.monotonic() + DRAWING_S
    while time.monotonic() < end_s:
        pass


def take_step(pace: Pace, *num_pictures: int, device: str = "cpu") -> None:
    weight = torch.ones(4, 3, device=device)
    with pace.step(sum(num_pictures)):
        for number in num_pictures:
            draw(pace)
            pictures = torch.ones(number, 2, 3, device=device)
            with pace.forward(pictures):
                torch.nn.functional.linear(pictures, weight)


def test_every_micro_batch_counts_with_its_pictures_and_operations():
    pace = Pace()
    take_step(pace, 2, 3)
    seconds = pace._last[0].seconds
    assert pace.img_s == 5 / seconds
    assert pace.tflop_s == 5 * (2 * 4 * 2 * 3) / seconds / 1e12


def test_only_the_first_step_of_all_is_forgotten_once_there_is_another():
    pace = Pace()
    take_step(pace, 100)
    take_step(pace, 1)
    take_step(pace, 1)
    assert round(pace.img_s * pace._seconds) == 2
    assert pace.step_s < 2 * pace._seconds


def test_a_cpu_waits_for_the_data_of_every_micro_batch():
    pace = Pace()
    take_step(pace, 1, 1, 1)
    assert pace.data_wait * pace._seconds >= 3 * DRAWING_S
    assert 0.5 < pace.data_wait <= 1


def test_a_device_that_works_on_its_own_waits_for_the_first_micro_batch_alone():
    pace = Pace()
    take_step(pace, 1, 1, 1, device="meta")
    assert DRAWING_S <= pace.data_wait * pace._seconds < 3 * DRAWING_S


def test_what_comes_before_the_first_step_is_no_part_of_it():
    pace = Pace()
    with pace.forward(torch.ones(7, 2, 3)):
        pass
    take_step(pace, 1)
    assert round(pace.img_s * pace._seconds) == 1


def test_what_other_processes_did_of_a_step_counts_too():
    pace = Pace()
    with pace.step(6):
        draw(pace)
        pictures = torch.ones(3, 2, 3)
        with pace.forward(pictures):
            torch.nn.functional.linear(pictures, torch.ones(4, 3))
    assert pace.img_s == 6 / pace.last.seconds
    assert pace.tflop_s == 6 * (2 * 4 * 2 * 3) / pace.last.seconds / 1e12
