"""The pages, in the order of the navigation: address -> (title, icon, function that draws it)."""

from workbench.pages.compare import compare_page
from workbench.pages.embedding_map import map_page
from workbench.pages.failures import failures_page
from workbench.pages.methods import methods_page
from workbench.pages.overview import overview_page
from workbench.pages.retrieval import retrieval_page
from workbench.pages.why import why_page

PAGES = {
    "overview": ("Overview", ":material/leaderboard:", overview_page),
    "retrieval": ("Retrieval", ":material/image_search:", retrieval_page),
    "failures": ("Failures", ":material/rule:", failures_page),
    "map": ("Embedding map", ":material/scatter_plot:", map_page),
    "compare": ("Compare losses", ":material/compare_arrows:", compare_page),
    "why": ("Why did this match?", ":material/troubleshoot:", why_page),
    "methods": ("Methods and data", ":material/menu_book:", methods_page),
}
