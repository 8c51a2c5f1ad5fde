"""Every parameter of the app's URL: one line each, so that no two pages use one name twice."""

import ast

from workbench.session.url import Parameter


def _row(text: str) -> int:
    if not (text.isascii() and text.isdigit() and len(text) < 12):
        raise ValueError(text)
    return int(text)


def _switch(text: str) -> bool:
    if text not in ("True", "False"):
        raise ValueError(text)
    return text == "True"


def _names(text: str) -> list[str]:
    try:
        names = ast.literal_eval(text)
    except (SyntaxError, MemoryError, RecursionError) as error:
        raise ValueError(text) from error
    if not isinstance(names, list) or not all(isinstance(name, str) for name in names):
        raise ValueError(text)
    return names


# Sidebar
DATASET = Parameter("data", str, always=True)
PROTOCOL = Parameter("protocol", str, always=True)
METRIC = Parameter("metric", str)  # that losses are ranked and compared by
RUN_A = Parameter("a", str, always=True)
RUN_B = Parameter("b", str, always=True)
K = Parameter("k", int)
COLUMNS = Parameter("columns", _names)  # of the items, shown below each image

# Several pages
ITEM = Parameter("item", _row)  # row of the selected item
SEARCH = Parameter("search", str)  # text that the listed queries match
SHOW = Parameter("show", str)  # which queries are listed: all, failures or those right at rank 1
PAGE = Parameter("page", int)  # page of a long list
CLASS = Parameter("class", int)  # label of the open class

# Retrieval
SOURCE = Parameter("source", str)  # whether the query is an item, or an image or text of the user
TEXT = Parameter("text", str)  # text that is searched with

# Why did this match?
MATCH = Parameter("match", _row)  # row of the result that is explained
HEAT = Parameter("heat", _switch)
OPACITY = Parameter("opacity", int)

# Failures
TAB = Parameter("tab", str)
ORDER = Parameter("order", str)
RANK = Parameter("rank", int)  # lowest rank of the chosen bar of the histogram
PAIR = Parameter("pair", str)  # labels of the open pair of classes, e.g. 3-7
PAIRS = Parameter("pairs", str)  # which near-duplicates are listed

# Embedding map
LAYOUT = Parameter("layout", str)
COLOR = Parameter("color", str)
FIND = Parameter("find", str)
STEP = Parameter("step", str)

# Compare losses
COMPARED = Parameter("compared", str)
MAP_COLORS = Parameter("colors", str)

# Slices
BY = Parameter("by", str)  # column that the queries are sliced by
SLICED = Parameter("sliced", str)  # whether run A is compared with run B, or shown alone
BINS = Parameter("bins", int)  # number of slices of a column of numbers
SLICE = Parameter("slice", str)  # the open slice
SLICE_TAB = Parameter("outcome", str)  # which queries of it are shown

# Thresholds
THRESHOLD = Parameter("threshold", str)

# Bytes per vector
FORMS_OF = Parameter("losses", str)  # whose embeddings are shown: all losses, A and B, or A

# Tuning
TUNING = Parameter("tuning", str)  # name of the tuning that is shown

# Methods and data
METHODS = Parameter("methods", str)
SETTINGS = Parameter("settings", str)  # run whose settings are shown

# What a person calls a parameter, where that is not its name in the URL.
TITLES = {DATASET.key: "data set", RUN_A.key: "run A", RUN_B.key: "run B", K.key: "K"}
# What every page has: the links of the sidebar keep it.
OF_EVERY_PAGE = (DATASET, PROTOCOL, METRIC, RUN_A, RUN_B, K, COLUMNS, ITEM)
# These name rows, labels and tunings, which are others in another data set.
OF_ONE_DATASET = (ITEM, MATCH, CLASS, PAIR, TUNING)
