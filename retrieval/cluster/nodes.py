"""The machines of a cluster and what they have."""

from dataclasses import dataclass

from retrieval.errors import counted


@dataclass(frozen=True)
class Node:
    """A living machine of the cluster.

    Attributes:
        identity: Ray's identity of it, hexadecimal digits.
        address: Its IP address.
        cpus: Processors that tasks may ask for.
        gpus: GPUs that tasks may ask for.
        memory: Bytes that tasks may ask for.
    """

    identity: str
    address: str
    cpus: float
    gpus: float
    memory: float

    def __str__(self) -> str:
        return f"{self.address} ({amounts(self.cpus, self.gpus)})"


def nodes() -> list[Node]:
    """Return the living nodes of the cluster that this process is connected to, by address."""
    import ray

    found = [
        Node(
            identity=each["NodeID"],
            address=each["NodeManagerAddress"],
            cpus=each["Resources"].get("CPU", 0.0),
            gpus=each["Resources"].get("GPU", 0.0),
            memory=each["Resources"].get("memory", 0.0),
        )
        for each in ray.nodes()
        if each["Alive"]
    ]
    return sorted(found, key=lambda node: (node.address, node.identity))


def amounts(cpus: float, gpus: float) -> str:
    """Return processors and GPUs in words.

    >>> amounts(1, 0), amounts(8, 0.5)
    ('1 CPU', '8 CPUs and 0.5 GPUs')
    """
    words = _amount(cpus, "CPU")
    return f"{words} and {_amount(gpus, 'GPU')}" if gpus else words


def _amount(number: float, noun: str) -> str:
    return counted(int(number), noun) if number == int(number) else f"{number:g} {noun}s"
