"""The pages of the app, in the order of the navigation. A new page needs one line in ``PAGES``."""

from collections.abc import Callable
from dataclasses import dataclass

from workbench.pages.compare.page import compare_page
from workbench.pages.embedding_map.page import map_page
from workbench.pages.failures.page import failures_page
from workbench.pages.methods.page import methods_page
from workbench.pages.overview.page import overview_page
from workbench.pages.retrieval.page import retrieval_page
from workbench.pages.why.page import why_page


@dataclass(frozen=True)
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


# URL path -> page. The first page is the one that the app opens with.
PAGES = {
    "overview": Page("Overview", "leaderboard", overview_page),
    "retrieval": Page("Retrieval", "image_search", retrieval_page),
    "failures": Page("Failures", "rule", failures_page),
    "map": Page("Embedding map", "scatter_plot", map_page),
    "compare": Page("Compare losses", "compare_arrows", compare_page),
    "why": Page("Why did this match?", "troubleshoot", why_page),
    "methods": Page("Methods and data", "menu_book", methods_page),
}
