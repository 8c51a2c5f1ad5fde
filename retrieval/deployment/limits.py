"""Where a service listens by default, and what it takes on.

Nothing here needs TensorFlow.
"""

from dataclasses import dataclass

DEFAULT_HOST, DEFAULT_PORT = "127.0.0.1", 8080
MEGA = 10**6


@dataclass(frozen=True, kw_only=True)
class Limits:
    """What a service takes on.

    Attributes:
        batch: Images of a batch. Defaults to 16.
        wait: Seconds that an image waits for others to share its batch. Defaults to 0.005.
        requests: Requests in work at a time; any more are refused with 503. Defaults to 128.
        upload: Bytes of a request. Defaults to 16 MiB.
        uploads: Bytes of all requests in work. Defaults to 256 MiB.
        images: Images of a request. Defaults to 32.
        pixels: Pixels of an image, for a JPEG twice as many, as it is decoded at a reduced size.
            Defaults to 24 million.
        k: Neighbors of a search. Defaults to 100.
        seconds: How long a request may take to arrive. Defaults to 30.
    """

    batch: int = 16
    wait: float = 0.005
    requests: int = 128
    upload: int = 16 << 20
    uploads: int = 256 << 20
    images: int = 32
    pixels: int = 24 * MEGA
    k: int = 100
    seconds: float = 30.0
