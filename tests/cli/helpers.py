"""A quick training, and checks of commands that fail."""

QUICK = ("--backbone", "conv4", "--weights", "none", "--image-size", 16, "--steps", 2)


def train(retrieval, *words):
    return retrieval("train", *QUICK, *words)


def one_line(result) -> str:
    """Check that a command failed as it should; return its line without ``error: ``."""
    code, _, err = result
    assert code == 1
    err = err.rpartition("\r")[2].lstrip(" ")  # a stage of more than two seconds shows its name
    assert err.startswith("error: ")
    assert err.count("\n") == 1, err
    assert "Traceback" not in err
    return err.removeprefix("error: ").strip()


def nothing_was_left(tmp_path) -> bool:
    return not list(tmp_path.glob("runs/*/*")) and not list(tmp_path.glob("runs/*/.*"))
