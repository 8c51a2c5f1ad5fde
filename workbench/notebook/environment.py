"""The environment of a notebook: working folder, TensorFlow, and how figures are shown."""

import atexit
import os
import shutil
import warnings
from pathlib import Path

import pandas as pd
import plotly.io as pio

from retrieval.errors import UserError
from retrieval.quiet import import_tensorflow
from workbench.figures.style import CONFIG

BROWSERS = ("google-chrome", "google-chrome-stable", "chrome", "chromium", "chromium-browser")
SCALES = ("full", "small")
WIDTH, PICTURE_SCALE = 940, 1.5  # pixels of a figure's picture, and its zoom


def start() -> None:
    """Prepare a notebook: the first call of every one.

    Moves to the folder that holds ``data/`` and ``runs/``, loads TensorFlow without its start-up
    messages, and shows every figure twice: interactively, and as a picture for readers without
    Jupyter. The picture is drawn by Chrome or Chromium; without one, or with
    ``RETRIEVAL_PICTURES=no`` in the environment, figures are interactive only.
    """
    if Path.cwd().name == "notebooks":
        os.chdir("..")
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
