"""Trainings: what is being trained, how far it is, and what became of what stopped.

The page updates itself while a training goes on. It reads what trainings write about themselves and
takes no lock.
"""

import time
from collections.abc import Sequence

import pandas as pd
import streamlit as st

from retrieval.errors import counted
from retrieval.evaluation.metrics import HEADLINE, is_metric, metric
from retrieval.progress import duration
from retrieval.runs.live import (
    FAILED,
    INTERRUPTED,
    RUNNING,
    STALLED,
    STATES,
    TRAINING,
    WAITING,
    Live,
    Training,
)
from workbench import figures
from workbench.data.trainings import looks_every, training_history, trainings
from workbench.figures.style import CONFIG
from workbench.layout.theme import plain

COLORS = {
    RUNNING: "blue",
    STALLED: "orange",
    FAILED: "red",
    INTERRUPTED: "orange",
    WAITING: "gray",
}
ICONS = {
    RUNNING: "progress_activity",
    STALLED: "hourglass_disabled",
    FAILED: "error",
    INTERRUPTED: "stop_circle",
    WAITING: "schedule",
}
SHORT = (WAITING,)  # states whose runs are listed in a line each
CURVE = 210  # pixels
NOTHING = (
    "Nothing is being trained. What `retrieval train` or `retrieval sweep` makes "
    "is shown here while it goes on, and among the runs as soon as it is finished."
)


def trainings_page() -> None:
    """Draw the page."""
    st.title("Trainings", anchor=False)
    st.fragment(_draw, run_every=looks_every(trainings()))()


def _draw() -> None:
    found = trainings()
    if not found:
        st.info(NOTHING)
        return
    counts = {state: sum(each.state == state for each in found) for state in STATES}
    st.caption("  ·  ".join(f"{n} {state}" for state, n in counts.items() if n))
    for training in found:
        if training.state not in SHORT:
            _card(training)
    waiting = [each for each in found if each.state in SHORT]
    if waiting:
        _queue(waiting)


def _card(training: Training) -> None:
    key = f"training-{training.dataset}-{training.name}"
    with st.container(border=True, key=key):
        _head(training)
        if training.error:
            st.error(plain(training.error))
        live = training.live
        if live is not None:
            st.progress(live.share(), text=_progress_text(training, live))
            st.caption("  ·  ".join(map(plain, _facts(training, live))))
        _curves(training, key)
        if training.command is not None:
            _command(training)


def _head(training: Training) -> None:
    color, icon = COLORS[training.state], ICONS[training.state]
    badge = f":{color}-badge[:material/{icon}: {training.state}]"
    st.markdown(f"##### {plain(training.name)} &nbsp; {badge}")
    live = training.live
    parts = [training.dataset, *(_settings(live) if live is not None else [])]
    st.caption("  ·  ".join(map(plain, parts)))


def _progress_text(training: Training, live: Live) -> str:
    stage = live.stage_words()
    parts = [f"{stage[:1].upper()}{stage[1:]}"]
    if live.steps:
        parts.append(f"step {live.step:,} of {live.steps:,}")
    if training.state == RUNNING and live.seconds_left and live.stage == TRAINING:
        parts.append(f"about {duration(live.seconds_left)} of training left")
    return "  ·  ".join(map(plain, parts))


def _settings(live: Live) -> list[str]:
    """Return the settings that tell a run from others, in words."""
    given = live.settings
    frozen = "frozen " if given.get("freeze_backbone") else ""
    words = [
        str(given.get("loss", "")),
        f"{frozen}{given['backbone']}" if "backbone" in given else "",
        f"{given['embedding_size']} dimensions" if "embedding_size" in given else "",
    ]
    if given.get("classes_per_batch") and given.get("samples_per_class"):
        words.append(f"{given['classes_per_batch']} × {given['samples_per_class']} images a step")
    if given.get("learning_rate") is not None:
        words.append(f"learning rate {given['learning_rate']:g}")
    words.append(f"seed {given['seed']}" if "seed" in given else "")
    return [word for word in words if word]


def _facts(training: Training, live: Live) -> list[str]:
    """Return what a training says about itself, each in a few words."""
    now = time.time()
    facts = [live.device] if live.device else []
    if training.state == RUNNING:
        if live.images_per_second:
            facts.append(f"{live.images_per_second:,.0f} images/s")
        memory = f"{live.memory / 2**30:.1f} GiB of memory" if live.memory else ""
        if live.gpu_memory:
            memory += f", {live.gpu_memory / 2**30:.1f} GiB of the GPU's"
        facts += [memory] if memory else []
    if live.loss is not None:
        facts.append(f"loss {live.loss:.4g}")
    saved = live.checkpoint
    facts.append(
        f"last checkpoint: step {saved.step:,}, {duration(max(0.0, now - saved.time))} ago"
        if saved is not None
        else "no checkpoint yet"
    )
    facts.append(f"begun {duration(max(0.0, now - live.started))} ago")
    if training.state != RUNNING:
        facts.append(f"last moved {duration(max(0.0, now - live.updated))} ago")
    if training.is_alive:
        facts.append(f"process {live.process.pid} on {live.process.host}")
    return facts


def _curves(training: Training, key: str) -> None:
    history = training_history(training)
    if len(history) < 2:
        return
    steps = training.live.steps if training.live is not None else 0
    name = _metric_to_draw(training, history)
    columns = st.container(key=f"{key}-curves").columns(2) if name else [st.container()]
    with columns[0]:
        st.plotly_chart(
            figures.loss_so_far(history, steps, height=CURVE),
            config=CONFIG,
            key=f"{key}-loss",
            alt=f"Loss of {training.name} against the step, so far",
        )
    if name:
        with columns[1]:
            st.plotly_chart(
                figures.metric_so_far(history, name, steps, height=CURVE),
                config=CONFIG,
                key=f"{key}-metric",
                alt=f"{metric(name).long_title} of {training.name} against the step, so far",
            )


def _metric_to_draw(training: Training, history: pd.DataFrame) -> str | None:
    """Return the metric whose curve is drawn: the one that chooses the best checkpoint, or R@1."""
    monitored = training.live.settings.get("monitor") if training.live is not None else None
    for name in filter(None, (monitored, HEADLINE)):
        if name in history and is_metric(name) and history[name].notna().any():
            return str(name)
    return None


def _command(training: Training) -> None:
    words = {
        FAILED: "Try again, once the cause is gone:",
        INTERRUPTED: "Continue it with:",
        STALLED: "If its process is gone, continue it with:",
    }
    st.caption(words[training.state])
    st.code(training.command, language="bash")


def _queue(waiting: Sequence[Training]) -> None:
    with st.container(border=True, key="waiting"):
        head = f":gray-badge[:material/{ICONS[WAITING]}: {WAITING}]"
        st.markdown(f"##### {counted(len(waiting), 'run')} &nbsp; {head}")
        for each in waiting:
            st.markdown(f"- {plain(each.dataset)} / **{plain(each.name)}**")
        for command in dict.fromkeys(each.command for each in waiting if each.command):
            st.caption("The command that was to make them has ended. Go on with:")
            st.code(command, language="bash")
