"""The pages, in the order of the navigation: address -> (title, icon, function that draws it)."""

from workbench.pages.compare.page import compare_page
from workbench.pages.embedding_map.page import map_page
from workbench.pages.failures.page import failures_page
from workbench.pages.methods.page import methods_page
from workbench.pages.overview.page import overview_page
from workbench.pages.retrieval.page import retrieval_page
from workbench.pages.retrieval.why import why_page

PAGES = {
    "overview": ("Overview", ":material/leaderboard:", overview_page),
    "retrieval": ("Retrieval", ":material/image_search:", retrieval_page),
    "failures": ("Failures", ":material/rule:", failures_page),
    "map": ("Embedding map", ":material/scatter_plot:", map_page),
    "compare": ("Compare losses", ":material/compare_arrows:", compare_page),
    "why": ("Why did this match?", ":material/troubleshoot:", why_page),
    "methods": ("Methods and data", ":material/menu_book:", methods_page),
}
