"""The pages of the app, in the order of the navigation. A new page needs one line in ``PAGES``."""

from collections.abc import Callable
from dataclasses import dataclass

from workbench.pages.bytes.page import bytes_page
from workbench.pages.compare.page import compare_page
from workbench.pages.embedding_map.page import map_page
from workbench.pages.failures.page import failures_page
from workbench.pages.methods.page import methods_page
from workbench.pages.overview.page import overview_page
from workbench.pages.retrieval.page import retrieval_page
from workbench.pages.slices.page import slices_page
from workbench.pages.thresholds.page import thresholds_page
from workbench.pages.trainings.page import trainings_page
from workbench.pages.tuning.page import tuning_page
from workbench.pages.why.page import why_page


@dataclass(frozen=True, kw_only=True)
class Page:
    """A page of the app.

    Attributes:
        title: Title in the navigation.
        icon: Name of a Material symbol, see https://fonts.google.com/icons.
        draw: Draws the page; called without arguments in every run of the script.
    """

    title: str
    icon: str
    draw: Callable[[], None]


# URL path -> page that looks at finished runs. The first page is the one that the app opens with.
PAGES = {
    "overview": Page(title="Overview", icon="leaderboard", draw=overview_page),
    "retrieval": Page(title="Retrieval", icon="image_search", draw=retrieval_page),
    "failures": Page(title="Failures", icon="rule", draw=failures_page),
    "map": Page(title="Embedding map", icon="scatter_plot", draw=map_page),
    "compare": Page(title="Compare losses", icon="compare_arrows", draw=compare_page),
    "slices": Page(title="Slices", icon="stacked_bar_chart", draw=slices_page),
    "why": Page(title="Why did this match?", icon="troubleshoot", draw=why_page),
    "thresholds": Page(title="Thresholds", icon="tune", draw=thresholds_page),
    "bytes": Page(title="Bytes per vector", icon="data_usage", draw=bytes_page),
    "tuning": Page(title="Tuning", icon="instant_mix", draw=tuning_page),
    "methods": Page(title="Methods and data", icon="menu_book", draw=methods_page),
}
# The page of runs that are not finished, which needs no finished one.
TRAININGS_PATH = "trainings"
TRAININGS = Page(title="Trainings", icon="model_training", draw=trainings_page)
