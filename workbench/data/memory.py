"""Keep the garbage collector away from what stays in memory."""

import gc


def keep_for_good() -> None:
    """Leave all that is in memory now out of the collection of garbage until this is called again.

    Streamlit collects after every run of a page, and nothing is sent meanwhile: a tenth of a second
    if it looks through all modules each time, four tenths with TensorFlow among them.
    """
    gc.unfreeze()
    gc.collect()
    gc.freeze()
