"""Everything that knows Ray: where work goes that outgrows one machine.

The rest of the package hands this room plain functions: module-level ones, which every node can
import, with arguments that can be pickled. A function that is given a path or a URL finds the same
files on every node.
"""

from retrieval.cluster.actors import run_on_actors
from retrieval.cluster.connection import LOCAL, check_on, connected
from retrieval.cluster.groups import run_group
from retrieval.cluster.nodes import Node, nodes
from retrieval.cluster.resources import Resources
from retrieval.cluster.shared import check_shared
from retrieval.cluster.tasks import Outcome, run_tasks

__all__ = [
    "LOCAL",
    "Node",
    "Outcome",
    "Resources",
    "check_on",
    "check_shared",
    "connected",
    "nodes",
    "run_group",
    "run_on_actors",
    "run_tasks",
]
