import gc
import threading

import pytest
from waiting import WATCHDOG_SECONDS, wait_for

from firstsight.errors import SettingsError
from firstsight.footage.queues import prefetch


def threads() -> list[str]:
    return [thread.name for thread in threading.enumerate() if thread.name == "prefetch"]


@pytest.fixture(autouse=True)
def no_thread_is_left():
    yield
    assert threads() == []


@pytest.mark.parametrize("depth", [1, 2, 100])
def test_gives_the_same_items_in_order(depth):
    with prefetch(range(50), depth=depth) as items:
        assert list(items) == list(range(50))
        assert list(items) == []


def test_takes_no_more_than_depth_ahead():
    used, leads, taken = [], [], threading.Semaphore(0)

    def counted():
        for number in range(100):
            leads.append(number - len(used))
            taken.release()
            yield number

    with prefetch(counted(), depth=3) as items:
        for _ in range(3 + 1):
            assert taken.acquire(timeout=WATCHDOG_SECONDS)  # before any is used
        for item in items:
            used += [item]
    assert max(leads) <= 3 + 1  # waiting, and handed over


def test_raises_where_the_item_would_have_been():
    def failing():
        yield 1
        yield 2
        raise ValueError("broken")

    with prefetch(failing(), depth=8) as items:
        assert [next(items), next(items)] == [1, 2]
        with pytest.raises(ValueError, match="broken"):
            next(items)
        with pytest.raises(StopIteration):
            next(items)


def test_closing_early_stops_the_thread_and_closes_what_it_read():
    closed = threading.Event()

    def endless():
        try:
            while True:
                yield 0
        finally:
            closed.set()

    items = prefetch(endless(), depth=2)
    next(items)
    items.close()
    assert closed.is_set()
    assert threads() == []
    assert list(items) == []
    items.close()


def test_an_error_of_the_consumer_closes_it():
    with pytest.raises(KeyError), prefetch(iter(int, 1), depth=2):
        raise KeyError


def test_forgetting_it_stops_the_thread():
    items = prefetch(iter(int, 1), depth=2)
    next(items)
    del items
    gc.collect()
    wait_for(lambda: not threads())


def test_reads_while_the_consumer_works():
    taken = threading.Semaphore(0)

    def counted():
        for number in range(10):
            taken.release()
            yield number

    with prefetch(counted(), depth=4) as items:
        next(items)
        for _ in range(5):
            assert taken.acquire(timeout=WATCHDOG_SECONDS)  # without asking for another item


def test_refuses_a_depth_of_nothing():
    with pytest.raises(SettingsError, match="depth 0; valid is"):
        prefetch([], depth=0)
