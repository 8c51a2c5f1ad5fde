"""Manifests: what a run consists of."""

import json
from datetime import timedelta

import pytest

from retrieval.errors import UserError
from retrieval.storage import manifests
from retrieval.storage.manifests import (
    NOTHING,
    Entry,
    create_manifest,
    manifest_name,
    newest,
    remove_superseded,
)
from retrieval.storage.objects import Objects

A, B = Entry.of_content("aa", 1), Entry.of_content("bb", 2)


@pytest.fixture
def objects(memory_root):
    return Objects(memory_root)


def test_the_newest_manifest_counts(objects):
    assert newest(objects) == NOTHING
    first = create_manifest(objects, NOTHING, {"config.yaml": A}, None)
    second = create_manifest(objects, first, {"config.yaml": B}, {"history.csv": A})
    assert newest(objects) == second
    assert (second.number, second.run, second.training) == (
        2,
        {"config.yaml": B},
        {"history.csv": A},
    )
    assert second.objects() == {"objects/aa", "objects/bb"}


def test_of_two_writers_who_began_with_one_manifest_the_second_loses(objects):
    first = create_manifest(objects, NOTHING, {"config.yaml": A}, None)
    won = create_manifest(objects, first, {"config.yaml": B}, None)
    with pytest.raises(FileExistsError):
        create_manifest(objects, first, None, None)
    assert newest(objects) == won


def test_what_is_superseded_is_removed_after_the_grace(objects, monkeypatch):
    for name in ("aa", "bb", "orphan"):
        objects.write(f"objects/{name}", b"")
    first = create_manifest(objects, NOTHING, {"config.yaml": A}, None)
    second = create_manifest(objects, first, {"config.yaml": B}, None)
    assert remove_superseded(objects, second) == 0
    assert set(objects.list("objects")) == {"aa", "bb", "orphan"}
    monkeypatch.setattr(manifests, "GRACE", timedelta(seconds=-1))
    assert remove_superseded(objects, second) == 3
    assert set(objects.list()) == {manifest_name(2), "objects"}
    assert set(objects.list("objects")) == {"bb"}


@pytest.mark.parametrize(
    ("content", "line"),
    [
        ("{", "damaged: remove it, or publish the run again"),
        ("[]", "damaged: remove it"),
        ('{"schema": 1, "number": "x"}', "damaged: remove it"),
        ('{"schema": 99}', "written by a newer version: update the workbench"),
    ],
)
def test_a_manifest_that_cannot_be_read_is_named(objects, content, line):
    objects.write(manifest_name(3), content.encode())
    with pytest.raises(UserError, match=line) as failed:
        newest(objects)
    assert str(failed.value).startswith(f"{objects.url}/manifest-00000003.json: ")


@pytest.mark.parametrize("path", ["../other", "/etc/passwd", "a/../../b", "a\\b"])
def test_a_manifest_that_leaves_the_run_is_refused(objects, path):
    create_manifest(objects, NOTHING, {path: A}, None)
    with pytest.raises(UserError, match="is outside of the run"):
        newest(objects)


def test_a_manifest_lists_object_size_and_digest_of_every_file(objects):
    create_manifest(objects, NOTHING, {"config.yaml": A}, None)
    content = json.loads(objects.read(manifest_name(1)))
    assert content["run"] == {"config.yaml": {"object": "objects/aa", "bytes": 1, "sha256": "aa"}}
    assert content["schema"] == 1
