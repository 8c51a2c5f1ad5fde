"""The environment of a notebook: working folder, TensorFlow, and how figures are shown."""

import atexit
import os
import shutil
import warnings
from dataclasses import dataclass
from pathlib import Path

import pandas as pd
import plotly.io as pio

from retrieval.errors import UserError
from retrieval.quiet import import_tensorflow
from workbench.figures.style import CONFIG

BROWSERS = ("google-chrome", "google-chrome-stable", "chrome", "chromium", "chromium-browser")
SCALES = ("full", "small")
SMALL_PREFIX = "small-"  # of the names of runs at the small scale
WIDTH, PICTURE_SCALE = 940, 1.5  # pixels of a figure's picture, and its zoom


@dataclass(frozen=True)
class Place:
    """Where a notebook lies and where it works.

    Attributes:
        own: The folder of the notebook, in which Jupyter starts it.
        project: The folder that holds ``data/`` and ``runs/``.
    """

    own: Path
    project: Path


_place: Place | None = None  # set by `start`


def find_folder(folder: str | Path | None) -> Path | None:
    """Return a folder that a notebook names, such as its ``DATA``.

    A relative one is relative to the project's folder, as in the commands of ``retrieval``; if it
    is not there, to the notebook's own folder. ``~`` is the user's home.

    Args:
        folder: The folder, or None.

    Returns:
        The folder, written so that equal folders give equal runs: relative to the project's folder
        if that is how it was found, absolute otherwise. None for None.

    Raises:
        UserError: The folder is in neither place; names both.
    """
    if folder is None:
        return None
    wanted = Path(folder).expanduser()
    places = [Path.cwd(), *([_place.own] if _place is not None else [])]
    tried = list(dict.fromkeys(place / wanted for place in places))
    for number, path in enumerate(tried):
        if path.is_dir():
            return wanted if number == 0 else path
    raise UserError(f"no folder {folder}: looked for {' and '.join(map(str, tried))}")


def start() -> None:
    """Prepare a notebook: the first call of every one.

    Moves to the project's folder, which holds ``data/`` and ``runs/``: the folder above
    ``notebooks/``, or that of the notebook if it lies elsewhere. All relative paths of a notebook
    are relative to it, see :func:`find_folder`. Loads TensorFlow without its start-up
    messages, and shows every figure twice: interactively, and as a picture for readers without
    Jupyter. The picture is drawn by Chrome or Chromium; without one, or with
    ``RETRIEVAL_PICTURES=no`` in the environment, figures are interactive only.
    """
    global _place
    if _place is None or Path.cwd() != _place.project:  # not the second start of a notebook
        own = Path.cwd()
        _place = Place(own, own.parent if own.name == "notebooks" else own)
        os.chdir(_place.project)
    import_tensorflow()
    pd.set_option("display.max_colwidth", 80)
    pio.renderers.default = "plotly_mimetype+notebook_connected"
    for name in pio.renderers.default.split("+"):
        pio.renderers[name].config = CONFIG  # without the button that uploads a figure
    browser = os.environ.get("BROWSER_PATH") or next(filter(None, map(shutil.which, BROWSERS)), "")
    if os.environ.get("RETRIEVAL_PICTURES") == "no":
        return
    if not browser:
        print("No Chrome or Chromium found: figures are interactive, without a static picture.")
        return
    _draw_pictures_with(browser)


def _draw_pictures_with(browser: str) -> None:
    """Keep one browser open for all pictures: starting one for each picture takes seconds."""
    import kaleido  # an optional dependency, of notebooks only

    os.environ["BROWSER_PATH"] = browser
    warnings.filterwarnings("ignore", message="The kopts argument is ignored")
    kaleido.start_sync_server(n=1, silence_warnings=True)
    atexit.register(kaleido.stop_sync_server, silence_warnings=True)
    picture = pio.renderers["png"]
    picture.width, picture.scale = WIDTH, PICTURE_SCALE
    pio.renderers.default = "plotly_mimetype+png"


def scale(wanted: str) -> str:
    """Return the scale of a notebook's experiments.

    Args:
        wanted: ``full`` or ``small``, as the notebook says. ``RETRIEVAL_SCALE`` in the environment
            overrides it.

    Returns:
        ``full`` or ``small``.

    Raises:
        UserError: The scale is neither.
    """
    chosen = os.environ.get("RETRIEVAL_SCALE", wanted)
    if chosen not in SCALES:
        raise UserError(f"SCALE = {chosen!r}: choose one of {', '.join(SCALES)}")
    return chosen


def run_name(name: str, wanted_scale: str = "full") -> str:
    """Return the name of a run, marked at the small scale: no scale is in the way of the other.

    Args:
        name: Name of the run at full scale.
        wanted_scale: ``full`` or ``small``, see :func:`scale`. Defaults to ``full``.
    """
    return name if scale(wanted_scale) == "full" else f"{SMALL_PREFIX}{name}"
