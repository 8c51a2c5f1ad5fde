"""The first cell of a notebook: figures that show anywhere, and the data set or its stand-in."""

import atexit
import os
import shutil
import warnings
from dataclasses import dataclass
from pathlib import Path

import pandas as pd
import plotly.io as pio
from IPython.display import Markdown, display

from retrieval.datasets import load_catalog
from retrieval.datasets.catalog import Catalog
from retrieval.datasets.placeholder import available_or_standin
from retrieval.errors import UserError
from workbench.figures.style import CONFIG

BROWSERS = ("google-chrome", "google-chrome-stable", "chrome", "chromium", "chromium-browser")
SCALES = ("full", "small")
WIDTH, PICTURE_SCALE = 940, 1.5


def start() -> None:
    """Work beside ``data/`` and ``runs/``, and show figures interactively with a picture beside.

    The picture is what a reader without Jupyter sees. It is drawn with Chrome or Chromium; without
    one, or with ``RETRIEVAL_PICTURES=no`` in the environment, figures are interactive only.
    """
    if Path.cwd().name == "notebooks":
        os.chdir("..")
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
    """Keep one browser open for all pictures; starting one each takes seconds."""
    import kaleido

    os.environ["BROWSER_PATH"] = browser
    warnings.filterwarnings("ignore", message="The kopts argument is ignored")
    kaleido.start_sync_server(n=1, silence_warnings=True)
    atexit.register(kaleido.stop_sync_server, silence_warnings=True)
    picture = pio.renderers["png"]
    picture.width, picture.scale = WIDTH, PICTURE_SCALE
    pio.renderers.default = "plotly_mimetype+png"


def scale(wanted: str) -> str:
    """Return the notebook's scale: ``RETRIEVAL_SCALE`` of the environment, else what it says.

    Args:
        wanted: ``full`` or ``small``.

    Returns:
        ``full`` or ``small``.

    Raises:
        UserError: Another word.
    """
    chosen = os.environ.get("RETRIEVAL_SCALE", wanted)
    if chosen not in SCALES:
        raise UserError(f"SCALE = {chosen!r}: give one of {', '.join(SCALES)}")
    return chosen


@dataclass(frozen=True)
class Opened:
    """A data set as a notebook found it.

    Attributes:
        catalog: Its table of items.
        folder: Where it lies.
        stand_in: It is a small stand-in of the published data set.
        small: Train at the small scale: it was asked for, or this is a stand-in.
    """

    catalog: Catalog
    folder: Path
    stand_in: bool
    small: bool

    def name(self, loss: str) -> str:
        """Return the run's name: marked, so that nobody takes it for the published experiment."""
        prefix = "standin-" if self.stand_in else "small-" if self.small else ""
        return prefix + loss


def open_dataset(name: str, folder: str | Path | None = None, wanted: str = "full") -> Opened:
    """Open a data set, or a small stand-in of it where it is not on this disk, and say which.

    Args:
        name: ``cub200``, ``cars196``, ``sop``, ``inshop`` or ``grocery``.
        folder: Its folder; None looks in ``data/<name>`` and falls back to a stand-in.
        wanted: ``full`` or ``small``.

    Returns:
        The data set; a stand-in is always small.

    Raises:
        UserError: ``folder`` was given and holds no such data set.
    """
    wanted = scale(wanted)
    root, stand_in = available_or_standin(name, folder)
    catalog = load_catalog(name, root)
    if stand_in:
        text = (root / "STANDIN.txt").read_text(encoding="utf-8").splitlines()[0]
        display(
            Markdown(
                f"> ⚠ **Stand-in.** {name} is not in `data/{name}`. {text} Every number and "
                "picture below is about the stand-in: it shows how the notebook works, not how "
                "well a loss does on the published data set."
            )
        )
    elif wanted == "small":
        display(
            Markdown("> **Small scale.** The real data set, but a short, scaled-down training.")
        )
    return Opened(catalog, root, stand_in, stand_in or wanted == "small")
