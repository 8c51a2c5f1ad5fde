"""Exempt objects that stay in memory from garbage collection."""

import gc


def freeze_garbage_collection() -> None:
    """Exempt all objects that exist now from garbage collection, until the next call.

    Streamlit collects garbage after every run of a page and sends nothing meanwhile. With all
    modules to look through, that takes a tenth of a second; with TensorFlow, four tenths.
    """
    gc.unfreeze()
    gc.collect()
    gc.freeze()
