"""A trial as a task of a cluster: it finds the same data there, or says that it does not."""

import socket
from typing import Any

from retrieval.errors import UserError
from retrieval.quiet import import_tensorflow
from retrieval.runs.records import DatasetConfig
from retrieval.runs.resume import dataset_changes
from retrieval.runs.tuning import TrialResult
from retrieval.settings.schema import TrainSettings
from retrieval.tuning.trial import catalog_of_trials, run_trial


def trial_task(*, dataset: DatasetConfig, **arguments: Any) -> TrialResult:
    """Run a trial on a node.

    Args:
        dataset: What the command found of its data set.
        **arguments: Those of :func:`retrieval.tuning.trial.run_trial`.

    Raises:
        UserError: This node has other data.
    """
    import_tensorflow()
    catalog = catalog_of_trials(TrainSettings.from_mapping(arguments["base"]))
    if facts := dataset_changes(dataset, catalog):
        raise UserError(
            f"node {socket.gethostname()} has other data in {catalog.root} than the machine of the "
            f"command ({', '.join(facts)} differ): give all nodes the same files"
        )
    return run_trial(**arguments)
