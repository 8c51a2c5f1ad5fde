"""Does a ranking loss still help? Writes the table of the runs of ``sweeps/still_helps.yaml``.

    retrieval fetch grocery
    retrieval sweep benchmarks/sweeps/still_helps.yaml --runs runs/still_helps
    python benchmarks/still_helps.py runs/still_helps      # writes results/still_helps.md

Every loss is compared with the untrained features of the same backbone, on the same queries. Runs
that are not finished yet are named in the table.
"""

import argparse
from collections import Counter
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path

from retrieval.errors import UserError, counted
from retrieval.evaluation.metrics import metric
from retrieval.evaluation.significance import Comparison
from retrieval.experiment.sweep import Grid, read_grid
from retrieval.report.comparing import compare_losses
from retrieval.report.sections import titles_of_protocols
from retrieval.report.verdicts import joined
from retrieval.runs import Run, open_run
from retrieval.runs.store import is_run_folder
from retrieval.settings.schema import UNTRAINED, TrainSettings

HERE = Path(__file__).parent
SWEEP, OUT = HERE / "sweeps" / "still_helps.yaml", HERE / "results" / "still_helps.md"
METRICS = ("recall@1", "map@r")
FEATURES, HEAD, WHOLE = "untrained features", "linear head", "whole network"
HELPS, HARMS, CANNOT_TELL, NO_CLAIM = "helps", "harms", "cannot tell", "no verdict"
# One network with the same weights; the first scales pixels otherwise than in their training.
MISSCALED, SCALED = "efficientnet_lite0", "efficientnet_lite0_tf"
SIGNS = {HELPS: "▲", HARMS: "▼", CANNOT_TELL: "≈", NO_CLAIM: ""}


@dataclass(frozen=True, order=True)
class Kind:
    """What one row of the table was trained as.

    Attributes:
        backbone: The backbone.
        part: What was trained: nothing, a linear head, or every weight.
        loss: The loss; empty if nothing was trained.
    """

    backbone: str
    part: str
    loss: str = ""

    @classmethod
    def of(cls, settings: TrainSettings) -> "Kind":
        if settings.loss == UNTRAINED:
            return cls(settings.backbone, FEATURES)
        return cls(settings.backbone, HEAD if settings.freeze_backbone else WHOLE, settings.loss)


@dataclass(frozen=True)
class Effect:
    """What a loss gains over the untrained features, under one protocol and by one metric.

    Attributes:
        kind: What was trained.
        protocol: Name of the protocol.
        metric: Name of the metric.
        value: The metric with its 95% interval, as text.
        gain: The difference to the untrained features, as stored.
        low: Lower end of its interval, simultaneous over the losses of the family.
        high: Upper end.
    """

    kind: Kind
    protocol: str
    metric: str
    value: str
    gain: float
    low: float
    high: float

    @property
    def verdict(self) -> str:
        """What the interval says."""
        if self.low != self.low:  # NaN: too few classes for a claim
            return NO_CLAIM
        return HELPS if self.low > 0 else HARMS if self.high < 0 else CANNOT_TELL


def finished(grid: Grid, folder: Path) -> tuple[dict[Kind, list[Run]], Counter[Kind]]:
    """Return the finished runs of the sweep by kind, and how many of each kind are missing."""
    runs: dict[Kind, list[Run]] = {}
    missing: Counter[Kind] = Counter()
    for name, settings in grid.runs.items():
        path = folder / settings.dataset / name
        if not is_run_folder(path):
            missing[Kind.of(settings)] += 1
            continue
        run = open_run(path)
        if run.settings is None or Kind.of(run.settings) != Kind.of(settings):
            raise UserError(f"{path}: not the run that {grid.path} makes; move it")
        runs.setdefault(Kind.of(settings), []).append(run)
    return runs, missing


def effects(runs: Mapping[Kind, Sequence[Run]], protocol: str, name: str) -> list[Effect]:
    """Return the gains of all losses; those of one backbone and part are one family (Dunnett)."""
    found = []
    families = dict.fromkeys((kind.backbone, kind.part) for kind in runs if kind.loss)
    for backbone, part in families:
        baseline = Kind(backbone, FEATURES)
        if baseline not in runs:
            continue
        groups = {FEATURES: runs[baseline]} | {
            kind.loss: each
            for kind, each in runs.items()
            if (kind.backbone, kind.part) == (backbone, part)
        }
        compared = compare_losses(groups, protocol, name)
        values = values_of(compared)
        for row in compared.against(FEATURES).to_dict("records"):
            kind = Kind(backbone, part, row["name"])
            ends = (row["difference"], row["low"], row["high"])
            found.append(Effect(kind, protocol, name, values[row["name"]], *ends))
    return found


def values_of(compared: Comparison) -> dict[str, str]:
    """Return the metric of every row with its interval, as text."""
    words = metric(compared.metric)
    return {
        row["name"]: words.format(row["mean"], row["low"], row["high"])
        for row in compared.summary.to_dict("records")
    }


def tally(found: Iterable[Effect]) -> str:
    """Say how many losses help, harm, or neither, of some.

    >>> tally([])
    'no run yet'
    """
    counts = Counter(each.verdict for each in found)
    if not counts:
        return "no run yet"
    total = counts.total()
    words = [f"{counts[HELPS]} of {total} help", f"{counts[HARMS]} harm"]
    if counts[CANNOT_TELL]:
        words.append(f"{counts[CANNOT_TELL]} cannot be told")
    if counts[NO_CLAIM]:
        words.append(f"{counts[NO_CLAIM]} have no verdict")
    return ", ".join(words)


def findings(found: Sequence[Effect], titles: Mapping[str, str]) -> list[str]:
    """Say what the tables come to, for each protocol and part."""
    lines = []
    for protocol, title in titles.items():
        for part in (HEAD, WHOLE):
            here = [
                e
                for e in found
                if (e.protocol, e.kind.part) == (protocol, part) and e.kind.backbone != MISSCALED
            ]
            if here:
                lines.append(f"**{part.capitalize()}, {title}.** {told(here)}. {extremes(here)}")
    return lines


def told(found: Sequence[Effect]) -> str:
    """Say by each metric how many losses help."""
    return "; ".join(
        f"{metric(name).title}: {tally(e for e in found if e.metric == name)}" for name in METRICS
    )


def of_pixels(
    runs: Mapping[Kind, Sequence[Run]], found: Sequence[Effect], titles: Mapping[str, str]
) -> list[str]:
    """Say what the scaling of pixels alone gains, and how losses look beside the worse one."""
    features = {name: runs.get(Kind(name, FEATURES)) for name in (SCALED, MISSCALED)}
    groups = {name: each for name, each in features.items() if each}
    if len(groups) < 2:
        return []
    lines = []
    for protocol, title in titles.items():
        gains = []
        for name in METRICS:
            pair = compare_losses(groups, protocol, name).pair(SCALED, MISSCALED)
            words = metric(name)
            gain = words.format_difference(pair["difference"], pair["low"], pair["high"])
            gains.append(f"{gain} {words.title}")
        heads = [
            e for e in found
            if (e.protocol, e.kind.backbone, e.kind.part) == (protocol, MISSCALED, HEAD)
        ]  # fmt: skip
        lines.append(
            f"**Pixels, {title}.** Scaling them as the weights were trained with ({SCALED} instead "
            f"of {MISSCALED}), without any loss, gains {' and '.join(gains)}. Linear heads on "
            f"{MISSCALED}: {told(heads)}."
        )
    return lines


def extremes(here: Sequence[Effect]) -> str:
    """Name the largest gain by the first metric, and the losses that help or harm everywhere."""
    name = METRICS[0]
    first = [each for each in here if each.metric == name]
    best = max(first, key=lambda each: each.gain)
    one = f"{best.kind.loss} on {best.kind.backbone}"
    sentences = [
        f"Most {metric(name).title} is gained by {one}: {difference(best)} points."
        if best.gain > 0
        else f"No loss gains {metric(name).title}: the best, {one}, comes to {difference(best)}."
    ]
    backbones = len({each.kind.backbone for each in first})
    where = "on all backbones" if backbones > 1 else "on the one backbone that is finished"
    for verdict in (HELPS, HARMS):
        always = [
            loss
            for loss in sorted({each.kind.loss for each in first})
            if {each.verdict for each in first if each.kind.loss == loss} == {verdict}
        ]
        if always:
            verb = verdict if len(always) == 1 else verdict.removesuffix("s")
            sentences.append(f"By {metric(name).title}, {joined(always)} {verb} {where}.")
    return " ".join(sentences)


def in_words(missing: Mapping[Kind, int]) -> str:
    """Name the runs that are missing: how many of each kind, by what was trained."""
    groups: dict[tuple[str, str], list[str]] = {}
    for kind, n in missing.items():
        loss = kind.loss or "none"
        groups.setdefault((kind.part, kind.backbone), []).append(
            loss if n == 1 else f"{loss} ({n})"
        )
    return "; ".join(
        f"{part} of {backbone}: {', '.join(losses)}" for (part, backbone), losses in groups.items()
    )


def difference(effect: Effect) -> str:
    """Return a gain with its interval, as text."""
    return metric(effect.metric).format_difference(effect.gain, effect.low, effect.high)


def row(*cells: object) -> str:
    return "| " + " | ".join(map(str, cells)) + " |"


def table(runs: Mapping[Kind, Sequence[Run]], found: Sequence[Effect], protocol: str) -> list[str]:
    """Return the table of one protocol: the features of a backbone, then what was trained on it."""
    head = ["backbone", "trained", "loss", "seeds"]
    for name in METRICS:
        head += [f"{metric(name).title} [95%]", "gain [95%, simultaneous]", "verdict"]
    lines = [row(*head), row(*["---"] * len(head))]
    by_kind = {(e.kind, e.metric): e for e in found if e.protocol == protocol}
    parts = (FEATURES, HEAD, WHOLE)

    def place(kind: Kind) -> tuple[str, int, float]:
        effect = by_kind.get((kind, METRICS[0]))
        return kind.backbone, parts.index(kind.part), -effect.gain if effect else 0.0

    for kind in sorted(runs, key=place):
        cells = [kind.backbone, kind.part, kind.loss, len(runs[kind])]
        for name in METRICS:
            effect = by_kind.get((kind, name))
            if effect is None:
                estimate = runs[kind][0].result(protocol).metric(name)
                value = metric(name).format(estimate.value, estimate.low, estimate.high)
                cells += [value, "", ""]
            else:
                verdict = f"{SIGNS[effect.verdict]} {effect.verdict}".strip()
                cells += [effect.value, difference(effect), verdict]
        lines.append(row(*cells))
    return lines


def markdown(grid: Grid, folder: Path) -> str:
    """Return the page of results."""
    runs, missing = finished(grid, folder)
    if not any(kind.part == FEATURES for kind in runs):
        raise UserError(f"{folder}: no finished run of untrained features, which all compare with")
    every = [run for each in runs.values() for run in each]
    titles = titles_of_protocols(every)
    found = [e for protocol in titles for name in METRICS for e in effects(runs, protocol, name)]
    lines = [HEADING, "", "## Findings", ""]
    lines += [f"- {line}" for line in findings(found, titles) + of_pixels(runs, found, titles)]
    if missing:
        left = f"{missing.total()} of {counted(len(grid.runs), 'run')}"
        lines += ["", f"**Not finished**, and not in the tables: {left}; {in_words(missing)}."]
    lines += ["", READING]
    for protocol, title in titles.items():
        result = every[0].result(protocol)
        facts = f"{result.n_scored:,} queries of {result.protocol.n_classes} classes"
        lines += ["", f"## {title.capitalize()}", "", f"{facts}; {result.protocol.rule}.", ""]
        lines += table(runs, found, protocol)
    return "\n".join(lines) + "\n"


HEADING = """# Does a ranking loss still help?

`retrieval sweep benchmarks/sweeps/still_helps.yaml --runs runs/still_helps` makes all runs from one
file, `python benchmarks/still_helps.py runs/still_helps` this page from the runs. Grocery, even
classes train and odd classes test, 128 px everywhere, CPU. The backbones are those whose ImageNet
weights come as Python packages, so that nothing is downloaded: among the packages listed today only
those of EfficientNet-Lite0 to -Lite2 hold such weights. They were trained on pixels scaled to
(x - 127) / 128. `efficientnet_lite0_tf`, `efficientnet_lite1` and `efficientnet_lite2` scale so;
`efficientnet_lite0` takes torchvision's statistics instead, and is counted apart. Three ways:

- **untrained features**: the 1,280 pooled features of the ImageNet network;
- **linear head**: a 128-d linear layer on the frozen features, 500 steps, Adam 3e-4, three seeds;
- **whole network**: the same head, and every weight of the backbone at 0.3 of the learning rate; 60
  steps, Adam 3e-4, cosine schedule with warm-up, random resized crops and colors, one seed. There
  are only sixty steps because a step takes one to two seconds on two idle cores.

The losses are the six of the published baseline, with its definitions and batches; steps and rates
are those of `grocery.md`, the same for every loss and backbone. `loss_settings.md` has better
settings for some, such as other pairs for the contrastive loss."""
READING = """A *gain* is a loss minus the untrained features of the same backbone, on the same
queries. Its interval is simultaneous over the losses that were trained in this way on this backbone
(Dunnett's family, resampling classes and seeds; `docs/verdicts.md`): *helps* is an interval above
0, *harms* one below 0, *cannot tell* one that holds 0. Families are not adjusted for each other. Of
a whole network there is one seed, so its verdict holds for that training run. What is trained has
128 dimensions and the features have 1,280, so a gain includes what fewer dimensions cost."""


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("runs", type=Path, help="folder that the sweep wrote to")
    parser.add_argument("--sweep", type=Path, default=SWEEP)
    parser.add_argument("--out", type=Path, default=OUT)
    options = parser.parse_args()
    try:
        options.out.write_text(markdown(read_grid(options.sweep), options.runs), encoding="utf-8")
    except UserError as error:
        raise SystemExit(f"error: {error}") from None
    print(options.out)


if __name__ == "__main__":
    main()
