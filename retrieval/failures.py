"""Errors of the machine in one line: a full disk, a path that cannot be written, no memory left.

Whatever file operation or allocation fails, the user reads which path or size it was about and
what to do, as for bad input.
"""

import errno
import os
import re

from retrieval.errors import UserError

# What to do about an error of the operating system, by its number.
FIXES = {
    errno.ENOSPC: "the disk is full: make room, or choose a folder on another disk",
    errno.EDQUOT: "your disk quota is used up: make room, or choose a folder on another disk",
    errno.EFBIG: "a file may not become that large here: raise the limit, or choose another disk",
    errno.EROFS: "this disk is read-only: choose a folder on another one",
    errno.EACCES: "permission denied: choose a folder of your own, or have the permissions changed",
    errno.EPERM: "not permitted: choose a folder of your own, or have the permissions changed",
    errno.ENAMETOOLONG: "the path is too long for this disk: choose a shorter name or folder",
    errno.EILSEQ: "the name has bytes that this disk does not take: choose another name",
    errno.EINVAL: "this disk does not take such a name or operation: choose another one",
    errno.EMFILE: "too many files are open: raise the limit with `ulimit -n`",
    errno.ENFILE: "too many files are open on this machine: close programs, and try again",
    errno.ENOENT: "not there: check the path, and whether a link on it points to nothing",
    errno.EEXIST: "exists, and is not a folder: remove it or the dead link, or choose another",
    errno.ENOTDIR: "a file stands where a folder is needed: choose another folder",
    errno.EISDIR: "a folder stands where a file is needed: choose another path",
    errno.ENOTEMPTY: "a folder with files in it is in the way: move it, or choose another",
    errno.ELOOP: "links that lead in a circle: remove one of them, or choose another path",
    errno.EXDEV: "cannot be moved to another disk: choose a folder on the same one",
    errno.EBUSY: "in use by another program: close it, and try again",
    errno.ETXTBSY: "in use by another program: close it, and try again",
    errno.EIO: "the disk reports an error: check it, and the copies of your data",
    errno.ESTALE: "the network disk has lost the file: try again",
    errno.ENOMEM: "no memory is left: close programs, or lower the sizes",
    errno.ENODEV: "this disk or device cannot do that: choose a folder on another one",
    errno.ENXIO: "not a file that can be read: choose another path",
    errno.ENOTSUP: "this disk cannot do that: choose a folder on another one",
    errno.EADDRINUSE: "the port is in use: choose another --port",
    errno.EAGAIN: "the machine has no room for another process or lock: try again later",
}
LESS_MEMORY = (
    "not enough memory: lower --classes-per-batch, --samples-per-class, --image-size or "
    "--embedding-size, or add --chunk-size"
)
# What libraries raise for a failed file operation without the error number of the system.
_NUMBER = re.compile(r"errno[ =]+(\d+)")
_NAME = re.compile(r"name = '([^']*)'|local file '([^']*)'")
_ALLOCATION = ("bad_alloc", "Unable to allocate", "Cannot allocate memory", "out of memory")
_TENSORFLOW = {  # class of tf.errors -> what it is about
    "ResourceExhaustedError": LESS_MEMORY,
    "InternalError": "TensorFlow failed inside: try again, or with smaller sizes",
    "AbortedError": "TensorFlow was interrupted: try again",
    "UnavailableError": "a device was lost: try again",
    "InvalidArgumentError": "TensorFlow refuses these values or files",
    "DataLossError": "a file is damaged",
    "NotFoundError": "a file is not there",
    "PermissionDeniedError": "permission denied",
    "FailedPreconditionError": "a path is not what TensorFlow expects",
    "UnimplementedError": "this device cannot compute that",
    "UnknownError": "a file or device failed",
    "OutOfRangeError": "a file is cut short",
}


def as_user_error(error: BaseException) -> UserError | None:
    """Return the one line that a user should read about an error of the machine.

    Args:
        error: What was raised, by Python, TensorFlow, h5py, Arrow or another library.

    Returns:
        The error to show: itself if it is a :class:`UserError`; None if it is a mistake of the
        program, whose traceback is needed.
    """
    if isinstance(error, UserError):
        return error
    words = " ".join(str(error).split())
    if isinstance(error, OSError) and error.errno is not None:
        return _of_the_system(error, words)
    if isinstance(error, MemoryError) or any(each in words for each in _ALLOCATION):
        return UserError(f"{LESS_MEMORY} ({_shortened(words) or 'no size known'})")
    if type(error).__module__.startswith("tensorflow"):
        return _of_tensorflow(error, words)
    if isinstance(error, RecursionError):
        return UserError("a file is nested too deeply to be read: flatten it")
    if isinstance(error, OSError):
        return _of_the_system(error, words)
    if isinstance(error, RuntimeError) and "home directory" in words:
        return UserError("no home folder is known: set the variable HOME to a folder of yours")
    if isinstance(error, ValueError) and "embedded null" in words:
        return UserError("a path holds a null character: choose another")
    if isinstance(error, UnicodeEncodeError):
        return UserError(f"a name cannot be written as text ({_shortened(ascii(error.object))})")
    if found := _NUMBER.search(words):  # of h5py, which raises RuntimeError when it closes a file
        return _worded(int(found[1]), _path_in(words), words)
    cause = error.__cause__
    return None if cause is None else as_user_error(cause)


def _of_the_system(error: OSError, words: str) -> UserError:
    number, paths = error.errno, [error.filename, error.filename2]
    if number is None and (found := _NUMBER.search(words)):  # of h5py and Arrow
        number = int(found[1])
    named = " -> ".join(os.fsdecode(path) for path in paths if isinstance(path, str | bytes))
    return _worded(number, named or _path_in(words), words)


def _worded(number: int | None, path: str, words: str) -> UserError:
    """Return the line about an error number, a path that may be empty, and the library's words."""
    shown = path.encode("utf-8", "backslashreplace").decode()
    if number in FIXES:
        text = FIXES[number] if shown else f"{FIXES[number]} ({_shortened(words)})"
    else:
        text = f"the operating system refuses: {_shortened(words)}"
    return UserError(f"{shown}: {text}" if shown else text)


def _of_tensorflow(error: BaseException, words: str) -> UserError | None:
    fix = _TENSORFLOW.get(type(error).__name__)
    if fix is None:
        return None
    if "No space left" in words:
        return _worded(errno.ENOSPC, _path_in(words), words)
    return UserError(f"{fix} ({_shortened(_first_cause(words))})")


def _first_cause(words: str) -> str:
    """Return the part of TensorFlow's message that a user can use, without its graph's names."""
    head, _, rest = words.partition("detected at node")
    found = re.search(
        r"(?:OOM when|[Nn]o such file|[Uu]nsupported|[Ii]nvalid|[Mm]ust)[^\[]*", words
    )
    return found[0] if found else head or rest


def _path_in(words: str) -> str:
    found = _NAME.search(words)
    return next(filter(None, found.groups()), "") if found else ""


def _shortened(words: str) -> str:
    return words if len(words) <= 200 else f"{words[:200]}..."
