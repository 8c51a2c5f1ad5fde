"""Names of runs. The name of a run is the name of its folder."""

from retrieval.files import check_folder_name
from retrieval.settings.schema import UNTRAINED, TrainSettings

UNTRAINED_NAME = "untrained"  # name of a run of the untrained network


def default_name(settings: TrainSettings) -> str:
    """Return the default name of a run.

    Returns:
        The loss, or ``untrained`` without one, followed by ``-matryoshka`` if it is computed at
        several widths, and by ``-seed<n>`` unless the seed is 0.
    """
    base = UNTRAINED_NAME if settings.loss == UNTRAINED else settings.loss
    base += "-matryoshka" if settings.matryoshka else ""
    return base if settings.seed == 0 else f"{base}-seed{settings.seed}"


def check_run_name(name: str) -> str:
    """Check that a name can be used for a folder that is not hidden.

    Args:
        name: The name that was asked for.

    Returns:
        The name.

    Raises:
        UserError: The name is empty, too long, starts with a dot or contains a slash or control
            characters.
    """
    return check_folder_name("run name", name)
