"""Runs take turns picture by picture, within the places and the number of runs that there are."""

import threading
import time
from concurrent.futures import ThreadPoolExecutor

import pytest

from segmentation.web.runs.turns import Ticket, Turns
from tests.waiting import until

SECONDS = 0.03  # a picture


class Batches:
    """Runs of pictures that take the same time each; who was at work, and when each run was done."""

    def __init__(self, turns: Turns) -> None:
        self.turns = turns
        self.order: list[str] = []
        self.done: dict[str, float] = {}
        self.asked: dict[str, int] = {}  # pictures that had begun when a run asked for its first turn
        self.at_work = self.most = 0
        self.lock = threading.Lock()

    def run(self, name: str, pictures: int, workers: int = 2) -> threading.Thread:
        ticket = self.turns.ticket(single=pictures == 1)

        def picture(_: int) -> None:
            self.asked.setdefault(name, len(self.order))
            with ticket:
                with self.lock:
                    self.order.append(name)
                    self.at_work += 1
                    self.most = max(self.most, self.at_work)
                time.sleep(SECONDS)
                with self.lock:
                    self.at_work -= 1

        def all_of_them() -> None:
            with ThreadPoolExecutor(min(workers, pictures)) as pool:
                list(pool.map(picture, range(pictures)))
            self.done[name] = time.monotonic()

        thread = threading.Thread(target=all_of_them)
        thread.start()
        return thread


def test_a_single_picture_comes_before_the_rest_of_two_batches() -> None:
    batches = Batches(Turns(2))
    threads = [batches.run("a", 20), batches.run("b", 20)]
    time.sleep(2.5 * SECONDS)
    threads.append(batches.run("single", 1))
    for thread in threads:
        thread.join(10)
    place = batches.order.index("single") - batches.asked["single"]
    assert place <= 2  # of two places: its turn comes when each was free once
    assert batches.most == 2
    assert batches.done["single"] < min(batches.done["a"], batches.done["b"])


def test_batches_alternate_and_a_flood_of_singles_does_not_starve_one() -> None:
    batches = Batches(Turns(1))
    threads = [batches.run("batch", 10)]
    for number in range(30):
        time.sleep(SECONDS / 2)  # twice as many as can be done
        threads.append(batches.run(f"single {number}", 1))
    for thread in threads:
        thread.join(10)
    assert batches.order[:13].count("batch") >= 3, batches.order


@pytest.mark.parametrize("places", [1, 2, 4, 8])
def test_a_single_picture_begins_within_one_round_on_any_machine(places: int) -> None:
    batches = Batches(Turns(places))
    threads = [batches.run(name, 6 * places, workers=places) for name in ("a", "b")]
    time.sleep(2.5 * SECONDS)
    threads.append(batches.run("single", 1))
    for thread in threads:
        thread.join(20)
    assert batches.order.index("single") - batches.asked["single"] <= 2
    assert batches.most == places


def test_a_single_picture_does_not_wait_for_a_turn_of_each_of_many_batches() -> None:
    batches = Batches(Turns(2))
    threads = [batches.run(f"batch {number}", 4) for number in range(21)]
    time.sleep(2.5 * SECONDS)
    threads.append(batches.run("single", 1))
    for thread in threads:
        thread.join(20)
    assert batches.order.index("single") - batches.asked["single"] <= 2


def test_a_run_that_does_not_move_keeps_no_place() -> None:
    turns = Turns(1)
    stuck, release = turns.ticket(), threading.Event()

    def hang() -> None:
        with stuck:
            release.wait(5)

    thread = threading.Thread(target=hang)
    thread.start()
    until(lambda: stuck.at_work)
    turns.abandon(stuck)
    with turns.ticket():  # another gets it
        assert turns.at_work == 1
    assert stuck.at_work  # its thread is still there, for whoever asks
    with stuck:  # what else waited for it goes through, without a place
        assert turns.at_work == 0
    release.set()
    thread.join(5)
    assert not stuck.at_work
    assert turns.at_work == 0
    with turns.ticket():
        assert turns.at_work == 1


def test_the_place_is_told_and_becomes_zero() -> None:
    turns = Turns(1)
    first, second, third = turns.ticket(), turns.ticket(), turns.ticket()
    release = threading.Event()

    def work(ticket: Ticket) -> None:
        with ticket:
            release.wait(5)

    threads = [threading.Thread(target=work, args=(first,))]
    threads[0].start()
    until(lambda: first.at_work)
    for ticket in (second, third):
        threads.append(threading.Thread(target=work, args=(ticket,)))
        threads[-1].start()
        until(lambda: ticket.waiting)  # noqa: B023  # called at once
    told = [ticket.ahead for ticket in (first, second, third)]
    assert told == [0, 1, 2]
    assert turns.at_work == 1
    release.set()
    for thread in threads:
        thread.join(5)
    assert [ticket.ahead for ticket in (first, second, third)] == [0, 0, 0]
    assert turns.at_work == 0


def test_a_place_is_given_back_when_a_picture_fails() -> None:
    turns = Turns(1)
    with pytest.raises(ZeroDivisionError), turns.ticket():
        raise ZeroDivisionError
    with turns.ticket():
        pass
