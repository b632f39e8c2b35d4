"""Worker processes: what comes of each, whose turn ends whom, and when all has to stop."""

import os
import signal

import pytest

from perdure.data.processes import Broken, Gone, each


def squared(number: int) -> int:
    if number == 2:
        os.kill(os.getpid(), signal.SIGSEGV)
    if number > 4:
        raise Broken("numbers end at four")
    return number * number


def test_one_that_dies_costs_what_it_was_at():
    done = dict(each(squared, [0, 1, 2, 3], 1))
    assert {at: said for at, said in done.items() if at != 2} == {0: 0, 1: 1, 3: 9}
    assert isinstance(done[2], Gone) and "SIGSEGV" in done[2]


def test_what_would_befall_the_next_as_well_stops_all():
    with pytest.raises(Broken, match="numbers end at four"):
        list(each(squared, [1, 5, 3], 1))
