"""What test files of several folders share."""

import gc

import pytest

from tests.clusters import started
from tests.photos import write_colors

# Files whose tests need the Ray cluster. One process runs all of them, so that there is one.
ON_CLUSTER = (
    "tests/cluster/test_actors.py",
    "tests/cluster/test_groups.py",
    "tests/cluster/test_nodes.py",
    "tests/cluster/test_tasks.py",
    "tests/deployment/test_embed_on_cluster.py",
    "tests/experiment/test_sweep_on_cluster.py",
    "tests/runs/test_publication.py",
    "tests/runs/test_sharding.py",
)
# Files of a minute and more. They are begun first: at the end, one worker would be left with them.
LONG = (
    *ON_CLUSTER, "tests/docs", "tests/notebooks", "tests/workbench/browser", "tests/training",
)  # fmt: skip


def pytest_collection_modifyitems(items):
    """Order the files: the longest first. The order within a file stays.

    Tests that need a cluster or a browser count as slow without saying so.
    """
    on_cluster = [item for item in items if "machines" in item.fixturenames]
    unknown = {file_of(item.nodeid) for item in on_cluster} - set(ON_CLUSTER)
    if unknown:
        raise pytest.UsageError(f"add to ON_CLUSTER: {sorted(unknown)}")
    for item in (*on_cluster, *(each for each in items if each.get_closest_marker("browser"))):
        item.add_marker(pytest.mark.slow)
    items.sort(key=lambda item: not item.nodeid.startswith(LONG))


def file_of(nodeid):
    return nodeid.split("::")[0]


@pytest.hookimpl(optionalhook=True)
def pytest_xdist_make_scheduler(config, log):
    """Run the tests of a file, and all that need the cluster, in one process."""
    from xdist.scheduler import LoadFileScheduling

    class ByFile(LoadFileScheduling):
        def _split_scope(self, nodeid):
            file = file_of(nodeid)
            return "cluster" if file in ON_CLUSTER else file

    if config.getvalue("dist") == "loadfile":
        return ByFile(config, log)
    return None


@pytest.fixture(scope="module", autouse=True)
def _collected():
    """Look for garbage among a module's own objects only: graphs of all others are millions."""
    yield
    gc.collect()
    gc.freeze()


@pytest.fixture(scope="session")
def machines():
    """A Ray cluster of three nodes with two processors each, to which this process is connected.

    The head, which cannot be lost, has one processor.

    ``RAY_ADDRESS`` names it: ``--on ray`` means this cluster.
    """
    from retrieval.cluster import connected

    with started(head_cpus=1) as nodes, connected("ray"):
        yield nodes


@pytest.fixture(scope="session")
def shapes(tmp_path_factory):
    """Eight classes of six images of 20 px: noise around a color of the class."""
    return write_colors(tmp_path_factory.mktemp("shapes"), seed=0, scale=30)


@pytest.fixture(scope="session")
def tiny(shapes):
    """Settings of a run of 24 steps with a checkpoint every 8, which takes a second or two."""
    from retrieval import TrainSettings

    return TrainSettings(
        dataset="folder", data=str(shapes), backbone="conv4", weights="none", image_size=16,
        embedding_size=8, classes_per_batch=3, samples_per_class=2, steps=24, eval_every=8,
        learning_rate=1e-2,
    )  # fmt: skip


@pytest.fixture(scope="session")
def preset(tmp_path_factory):
    """Return a function: name of a family -> a small preset of keras-hub, as a backbone."""
    from tests.presets import write_preset

    made = {}

    def of(family):
        if family not in made:
            made[family] = write_preset(tmp_path_factory.mktemp(family), family)
        return made[family]

    return of


@pytest.fixture(scope="module")
def module_cache(tmp_path_factory):
    """Keep a module's features and thumbnails away from the user's cache."""
    with pytest.MonkeyPatch.context() as patch:
        patch.setenv("RETRIEVAL_CACHE", str(tmp_path_factory.mktemp("cache")))
        yield


@pytest.fixture(scope="module")
def two_blocks():
    """Leave two of the four blocks of conv4: where networks are trained, graphs take the time."""
    from retrieval.models import conv4

    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(conv4, "WIDTHS", (8, conv4.WIDTHS[-1]))
        yield
