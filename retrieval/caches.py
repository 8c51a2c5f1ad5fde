"""Folders in which the libraries that this package uses keep what they have compiled or listed.

By default they are below the user's home folder or beside the code. In a container there may be
neither: no home, and an installation that is read-only.
"""

import atexit
import os
import shutil
import sys
import tempfile
from pathlib import Path

from retrieval.files import cache_folder

NUMBA, MATPLOTLIB = "NUMBA_CACHE_DIR", "MPLCONFIGDIR"


def use_writable_caches() -> None:
    """Give Numba and Matplotlib a folder each, if they cannot write to the ones of the user.

    The folders are below ``$RETRIEVAL_CACHE``, or temporary ones of this process where that cannot
    be written to either. They are named in the environment, so child processes use them too. Call
    this before either library is imported.
    """
    for variable, usual in ((NUMBA, _user_cache()), (MATPLOTLIB, _user_config())):
        given = os.environ.get(variable)
        wanted = Path(given).expanduser() if given else usual and usual / variable.lower()
        if wanted is not None and is_writable(wanted):
            continue
        folder = cache_folder(variable.split("_")[0].lower()).absolute()
        found = folder if is_writable(folder) else _temporary_folder()
        if found is not None:
            os.environ[variable] = str(found)


def numba_can_cache() -> bool:
    """Tell whether Numba has a folder to keep the compiled functions of this package in."""
    given, usual = os.environ.get(NUMBA), _user_cache()
    folders = [*([Path(given)] if given else []), *([usual] if usual else [])]
    # Beside the code: Numba writes to the folder `__pycache__` of each package.
    return any(map(is_writable, (*folders, Path(__file__).parent / "__pycache__")))


def home_for_child() -> dict[str, str]:
    """Return the environment variable that gives a child process a home folder, if there is none.

    Streamlit does not start without one, although it only looks for its settings there.
    """
    if _home() is not None:
        return {}
    return {"HOME": str(cache_folder("home").absolute())}


def is_writable(folder: Path) -> bool:
    """Tell whether files can be written to a folder, or the folder can be made."""
    try:
        while not folder.exists() and folder != folder.parent:
            folder = folder.parent
        return folder.is_dir() and os.access(folder, os.W_OK | os.X_OK)
    except OSError:
        return False


def _user_cache() -> Path | None:
    """Return the folder of the user's caches; None without a home folder."""
    if sys.platform == "darwin":
        return _home("Library", "Caches")
    if os.name == "nt":
        return _home("AppData", "Local")
    given = os.environ.get("XDG_CACHE_HOME")
    return Path(given) if given else _home(".cache")


def _user_config() -> Path | None:
    if sys.platform == "darwin" or os.name == "nt":
        return _home(".matplotlib")
    given = os.environ.get("XDG_CONFIG_HOME")
    return Path(given) if given else _home(".config")


def _home(*parts: str) -> Path | None:
    try:
        return Path.home().joinpath(*parts)
    except RuntimeError:  # a user without a name, and no $HOME
        return None


def _temporary_folder() -> Path | None:
    """Make a folder that ends with this process; nobody else can have put code into it."""
    try:
        folder = tempfile.mkdtemp(prefix="retrieval-")
    except OSError:
        return None
    atexit.register(shutil.rmtree, folder, ignore_errors=True)
    return Path(folder)
