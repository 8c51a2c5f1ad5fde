"""Protocols are described in words."""

from dataclasses import fields, replace

from retrieval.evaluation.protocol import Protocol
from retrieval.runs.run import Run
from workbench.analysis.protocol import NAMES, facts_in_words


def test_the_protocol_is_described_in_words(runs_root):
    run = Run(runs_root / "photos" / "lifted_loss-s0")
    facts = facts_in_words(run.result())
    assert facts["Queries"] == "72"
    assert facts["Queries and gallery"] == "queries against a gallery of other items"
    assert facts["Score of such a query"] == "none: excluded from every mean"
    assert facts["Embeddings normalized to unit length"] == "yes"
    assert set(NAMES) == {f.name for f in fields(Protocol)} - {"name"} | {"dataset", "split"}


def test_what_an_older_version_did_not_record_is_not_zero(runs_root):
    result = Run(runs_root / "photos" / "lifted_loss-s0").result()
    old = replace(result, protocol=replace(result.protocol, n_gallery_classes=0))
    assert "not recorded" in facts_in_words(old)[NAMES["n_gallery_classes"]]
