"""Do all nodes have the versions of this machine? Results would differ, or tasks fail midway."""

import functools
import hashlib
import importlib.metadata
import platform
from pathlib import Path

from retrieval.cluster.nodes import on_every_node
from retrieval.errors import UserError

# What has to be equal for equal results.
PACKAGES = ("ray", "numpy", "tensorflow", "keras")
PACKAGE = "retrieval"


def check_nodes_agree(address: str) -> None:
    """Refuse a cluster with a node that has another version of Python, a library or this package.

    Args:
        address: The cluster's address, for the message.

    Raises:
        UserError: Names the node and the version.
    """

    # Made here, so that it is sent as it is.
    def versions(package: str, packages: tuple[str, ...]) -> dict[str, str]:
        import importlib.util

        if importlib.util.find_spec(package) is None:
            return {package: "missing"}
        from retrieval.cluster import agreement

        return agreement.versions_here(packages)

    here = versions_here(PACKAGES)
    for node, there in on_every_node(versions, PACKAGE, PACKAGES).items():
        _compare(f"Ray cluster {address}: node {node.address}", here, there)


def _compare(node: str, here: dict[str, str], there: dict[str, str]) -> None:
    if there.get(PACKAGE) == "missing":
        raise UserError(f"{node} has no package {PACKAGE}: install it in the Python of its Ray")
    for name, version in here.items():
        if there[name] != version:
            raise UserError(
                f"{node} has {name} {there[name]}, this machine {version}: install the same "
                "on every machine (the same commit, with constraints.txt)"
            )


def versions_here(packages: tuple[str, ...]) -> dict[str, str]:
    """Return the versions of Python, some packages and the code of this package."""
    found = {"Python": platform.python_version()}
    for name in packages:
        try:
            found[name] = importlib.metadata.version(name)
        except importlib.metadata.PackageNotFoundError:
            found[name] = "missing"
    return found | {PACKAGE: code_digest()}


@functools.cache
def code_digest() -> str:
    """Return a digest of the source files of this package."""
    folder = Path(__file__).parents[1]
    digest = hashlib.sha256()
    for path in sorted(folder.rglob("*.py")):
        digest.update(str(path.relative_to(folder).as_posix()).encode())
        digest.update(path.read_bytes())
    return digest.hexdigest()[:12]
