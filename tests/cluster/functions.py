"""What the tests run on the cluster; the nodes import it by name."""

import os
import signal
import time
from pathlib import Path

from retrieval.errors import UserError
from retrieval.files import write_text


def square(number):
    return number * number


def fail_at(number, bad, kind):
    if number == bad:
        raise {"user": UserError(f"row {number} is bad"), "other": ValueError("a mistake")}[kind]
    return number


class Awkward(Exception):
    """Cannot be unpickled: its constructor takes two arguments."""

    def __init__(self, one, two):
        super().__init__(f"{one} {two}")


def raise_awkward():
    raise Awkward("left", "right")


def fill_the_disk():
    raise OSError(28, "No space left on device", "/scratch/file")


def variables(names):
    return {name: os.environ.get(name) for name in names}


def die_once(marker, value):
    """Kill this process, the first time."""
    if not Path(marker).exists():
        Path(marker).touch()
        os.kill(os.getpid(), signal.SIGKILL)
    return value


def die():
    os.kill(os.getpid(), signal.SIGKILL)


def wait_on_first_node(folder):
    """Leave a file with this node's identity, then wait, if it is the first attempt."""
    import ray

    node = ray.get_runtime_context().get_node_id()
    file = Path(folder, "node")
    if not file.exists():
        write_text(file, node)
        time.sleep(120)
    return node


def wait_for_interrupt(folder, is_first):
    """The first call returns as soon as the second has begun; that one waits to be interrupted."""
    if is_first:
        while not Path(folder, "begun").exists():
            time.sleep(0.02)
        return
    try:
        Path(folder, "begun").touch()
        for _ in range(2400):  # Ray's interrupt does not end a long sleep, unlike a signal
            time.sleep(0.05)
    except KeyboardInterrupt:
        Path(folder, "interrupted").touch()
        raise


def make_adder(amount, folder=None):
    if folder is not None:
        Path(folder, f"made-{os.getpid()}").touch()

    def add(item):
        if item == "die":
            os.kill(os.getpid(), signal.SIGKILL)
        if isinstance(item, Path):  # dies the first time
            return die_once(item, "lived")
        if item == "fail":
            raise UserError("this item is bad")
        return amount + item

    return add


def make_nothing():
    raise UserError("no network there")


def meet(rank, addresses, folder):
    """Every member waits for all others."""
    Path(folder, str(rank)).write_text(addresses[rank])
    while len(list(Path(folder).iterdir())) < len(addresses):
        time.sleep(0.02)
    return rank, addresses, os.getpid()


def lose_one(rank, addresses, folder, dying):
    """Rank `dying` is killed the first time; the others notice and raise."""
    if rank == dying:
        return die_once(Path(folder, "died"), rank)
    while not Path(folder, "died").exists():
        time.sleep(0.02)
    if not Path(folder, f"noticed-{rank}").exists():
        Path(folder, f"noticed-{rank}").touch()
        raise RuntimeError("connection reset by peer")
    return rank


def fail_as_rank(rank, addresses, bad):
    if rank == bad:
        raise UserError("the batch does not divide")
    time.sleep(60)


def lead(rank, addresses):
    """Rank 0 is done at once, the others never are."""
    if rank:
        time.sleep(3600)
    return "done"


def note_and_sleep(rank, addresses, folder):
    Path(folder, f"pid-{os.getpid()}").touch()
    time.sleep(3600)


def raise_before_the_loss(rank, addresses, folder):
    """The first time, rank 0 raises what it notices, and rank 1 dies a little later."""
    marker = Path(folder, f"begun-{rank}")
    if marker.exists():
        return rank
    marker.touch()
    while len(list(Path(folder).glob("begun-*"))) < len(addresses):
        time.sleep(0.02)
    if rank == 0:
        raise RuntimeError("connection reset by peer")
    time.sleep(1)
    return die()
