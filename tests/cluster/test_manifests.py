"""What docs/cluster.md hands out: manifests with fields that KubeRay knows, and a batch script."""

import importlib.metadata
import subprocess
from pathlib import Path

import pytest
import yaml

FOLDER = Path(__file__).parents[2] / "docs" / "cluster"
# Fields of the published API (kuberay, docs/reference/api.md, ray.io/v1), as far as they are used.
JOB = {
    "entrypoint", "shutdownAfterJobFinishes", "ttlSecondsAfterFinished", "backoffLimit",
    "rayClusterSpec",
}  # fmt: skip
CLUSTER = {
    "rayVersion", "headGroupSpec", "workerGroupSpecs", "enableInTreeAutoscaling",
    "autoscalerOptions",
}  # fmt: skip
HEAD = {"rayStartParams", "template"}
WORKERS = HEAD | {"groupName", "replicas", "minReplicas", "maxReplicas"}


@pytest.mark.parametrize(("name", "kind"), [("rayjob", "RayJob"), ("raycluster", "RayCluster")])
def test_a_manifest_has_only_fields_that_kuberay_knows(name, kind):
    found = yaml.safe_load((FOLDER / f"{name}.yaml").read_text())
    assert (found["apiVersion"], found["kind"]) == ("ray.io/v1", kind)
    spec = found["spec"]
    if kind == "RayJob":
        assert set(spec) <= JOB
        spec = spec["rayClusterSpec"]
    assert set(spec) <= CLUSTER
    assert spec["rayVersion"] == importlib.metadata.version("ray")
    assert set(spec["headGroupSpec"]) == HEAD
    for group in spec["workerGroupSpecs"]:
        assert set(group) == WORKERS
        assert group["minReplicas"] <= group["replicas"] <= group["maxReplicas"]
    for group in (spec["headGroupSpec"], *spec["workerGroupSpecs"]):
        # Values of these are texts: `num-cpus: 0` would be refused.
        assert all(isinstance(value, str) for value in group["rayStartParams"].values())
        pod = group["template"]["spec"]
        names = {volume["name"] for volume in pod.get("volumes", ())}
        for container in pod["containers"]:
            assert {mount["name"] for mount in container.get("volumeMounts", ())} <= names
            assert container["resources"]["requests"] == container["resources"]["limits"]


def test_the_batch_script_is_bash():
    subprocess.run(["bash", "-n", FOLDER / "sweep.sbatch"], check=True)
