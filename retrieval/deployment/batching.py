"""Work of several requests, done in batches: a network takes 16 images in less than 16 times one.

A batch is begun as soon as the network is free and either a batch is full or the oldest image has
waited long enough. How much may be in work at a time is bounded, so that memory is, too.
"""

import asyncio
import contextlib
from collections import deque
from collections.abc import Callable, Iterator, Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass

import numpy as np


class Full(Exception):
    """As much is in work as there may be: the request is refused, and may be tried again."""


class Closed(Exception):
    """The service is ending and takes no more work."""


class Room:
    """How many of something may be in work at a time: requests, or bytes that were uploaded.

    Args:
        most: The bound, at least 1.
    """

    def __init__(self, most: int) -> None:
        self.most = most
        self.taken = 0

    def take(self, number: int) -> None:
        """Take room for some more.

        Raises:
            Full: There is none.
        """
        if self.taken + number > self.most:
            raise Full
        self.taken += number

    def give_back(self, number: int) -> None:
        """Give back room that was taken."""
        self.taken -= number

    @contextlib.contextmanager
    def held(self, number: int) -> Iterator[None]:
        """Take room for as long as the block runs.

        Yields:
            Nothing.

        Raises:
            Full: There is none.
        """
        self.take(number)
        try:
            yield
        finally:
            self.give_back(number)


@dataclass(frozen=True)
class _Waiting:
    image: np.ndarray
    done: "asyncio.Future[np.ndarray]"


class Batcher:
    """Embeds images of concurrent requests in batches, in the order in which they arrive.

    Args:
        embed: Images (b, H, W, 3) to embeddings (b, D); called in a thread of its own, one batch at
            a time.
        most: Images of a batch, at least 1.
        wait: Seconds that the oldest image waits for others while the batch is not full.
    """

    def __init__(
        self, embed: Callable[[np.ndarray], np.ndarray], *, most: int, wait: float
    ) -> None:
        self.embed, self.most, self.wait = embed, most, wait
        self.batches = 0
        self.images = 0
        self._waiting: deque[_Waiting] = deque()
        self._arrived, self._filled = asyncio.Event(), asyncio.Event()
        self._thread = ThreadPoolExecutor(1, thread_name_prefix="network")
        self._worker: asyncio.Task[None] | None = None
        self._closed = False

    @property
    def depth(self) -> int:
        """Number of images that wait for a batch."""
        return len(self._waiting)

    def start(self) -> None:
        """Begin to work; called in the event loop."""
        self._worker = asyncio.create_task(self._work(), name="batches")

    async def submit(self, images: Sequence[np.ndarray]) -> np.ndarray:
        """Embed images, together with those of other requests.

        Args:
            images: uint8, (m, H, W, 3), at least one.

        Returns:
            (m, D), in their order.

        Raises:
            Closed: The service is ending.
        """
        if self._closed:
            raise Closed
        loop = asyncio.get_running_loop()
        futures: list[asyncio.Future[np.ndarray]] = [loop.create_future() for _ in images]
        self._waiting.extend(map(_Waiting, images, futures))
        self._arrived.set()
        if len(self._waiting) >= self.most:
            self._filled.set()
        return np.stack(await asyncio.gather(*futures))

    async def close(self) -> None:
        """Finish what waits, then stop."""
        self._closed = True
        self._arrived.set()
        self._filled.set()
        if self._worker is not None:
            await self._worker
        self._thread.shutdown()

    async def _work(self) -> None:
        loop = asyncio.get_running_loop()
        while True:
            await self._arrived.wait()
            if not self._closed and len(self._waiting) < self.most:
                self._filled.clear()
                with contextlib.suppress(TimeoutError):
                    async with asyncio.timeout(self.wait):
                        await self._filled.wait()
            batch = [self._waiting.popleft() for _ in range(min(self.most, len(self._waiting)))]
            if not self._waiting and not self._closed:
                self._arrived.clear()
            wanted = [each for each in batch if not each.done.done()]  # others have hung up
            if wanted:
                await self._run(loop, wanted)
            if self._closed and not self._waiting:
                return

    async def _run(self, loop: asyncio.AbstractEventLoop, batch: Sequence[_Waiting]) -> None:
        images = np.stack([each.image for each in batch])
        try:
            vectors = await loop.run_in_executor(self._thread, self.embed, images)
        except Exception as error:  # of the requests in this batch; the next one may succeed
            for each in batch:
                if not each.done.done():
                    each.done.set_exception(error)
            return
        self.batches += 1
        self.images += len(batch)
        for each, vector in zip(batch, vectors, strict=True):
            if not each.done.done():
                each.done.set_result(vector)
