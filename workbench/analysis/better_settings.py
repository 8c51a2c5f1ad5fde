"""Find runs whose loss has a setting that is known to work better."""

from collections.abc import Iterable

from retrieval.losses import hint
from retrieval.runs.run import Run


def hints(runs: Iterable[Run]) -> list[str]:
    """Say which losses have a better setting than the one used, and by how much it was better.

    Args:
        runs: The runs that are shown. One that follows a recipe repeats an experiment as it was.

    Returns:
        One sentence per loss, see :func:`retrieval.losses.hint`; each once.
    """
    trained = [run.settings for run in runs if run.settings and run.settings.recipe is None]
    found = (hint(settings.loss, settings.loss_options) for settings in trained)
    return list(dict.fromkeys(line for line in found if line is not None))
