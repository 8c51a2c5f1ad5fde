"""Thresholds: is this the same class? What a similarity lets through, and what it stops."""

import numpy as np
import pandas as pd
import streamlit as st

from retrieval.errors import UserError
from retrieval.evaluation.thresholds import EER, Thresholds
from retrieval.report import thresholds as words
from retrieval.runs.run import NO_EMBEDDINGS
from retrieval.storage.addresses import shown
from workbench.analysis.nearness import is_similarity, nearness_text
from workbench.analysis.thresholds import errors_at
from workbench.components.gallery import Mark, card
from workbench.data.thresholds import thresholds_of
from workbench.figures.style import CONFIG
from workbench.figures.thresholds import reliability, roc
from workbench.layout.exports import export_menu
from workbench.layout.theme import file_stem, page_head, plain
from workbench.pages.shared.cards import clickable_cards
from workbench.pages.shared.note_box import mark_switch, open_or_mark
from workbench.session.parameters import THRESHOLD
from workbench.session.selection import Selection, selection
from workbench.session.switches import MARKING

SHOWN = 5  # pairs of each kind


def thresholds_page() -> None:
    """Draw the page."""
    chosen = selection()
    head = page_head("Thresholds", chosen)
    if not chosen.a.has_embeddings:
        st.info(f"**{plain(chosen.a.name)}** has no pairs to compare: {NO_EMBEDDINGS}.")
        return
    rates = thresholds_of(chosen.a, chosen.protocol)
    if rates is None:
        st.info(
            "All pairs of a query and a gallery item of this run are too many to compare here. "
            f"`retrieval thresholds {shown(chosen.a.path)}` compares them and writes the figures "
            "to the run.",
            icon=":material/terminal:",
        )
        return
    if isinstance(rates, UserError):
        st.info(plain(str(rates)), icon=":material/block:")
        return
    eer = rates.points[rates.points["point"] == EER].iloc[0]
    st.markdown(_headline(chosen, rates, eer))
    st.caption(_capital(f"{words.pairs_line(rates)}."))
    place = _slider(chosen, rates, eer)
    row = rates.curve.iloc[place]
    _rates_there(rates, row)
    _errors(chosen, rates, place)
    _curves(rates, eer, row)
    _tables(rates)
    with head:
        export_menu(
            name=file_stem(chosen),
            about=[chosen.a],
            tables={
                "Rates of thresholds": lambda: rates.curve,
                "FNMR at FMR": lambda: rates.points.astype({"point": str}),
                "Thresholds on other classes": lambda: rates.transfer.astype({"point": str}),
                "Reliability": lambda: rates.reliability,
            },
            figures={
                "Accepted pairs by FMR": lambda: roc(rates.curve, eer),
                "Reliability of probabilities": lambda: reliability(rates.reliability),
            },
        )


def _headline(chosen: Selection, rates: Thresholds, eer: pd.Series) -> str:
    """Say how well one threshold tells pairs of one class from pairs of two."""
    text = (
        "A threshold accepts a pair of images as the same class if "
        f"{_reaches(chosen)} it. Where it errs as often one way as the other, it errs on "
        f"**{words.percent(eer['fnmr'], eer['low'], eer['high'])}** of the pairs (EER)"
    )
    levels = rates.points[rates.points["point"] != EER]
    strict = levels[np.isfinite(levels["low"])]
    if strict.empty:
        return f"{text}."
    row = strict.iloc[min(1, len(strict) - 1)]
    rate = words.percent(row["fnmr"], row["low"], row["high"])
    return (
        f"{text}. If it may accept {100 * float(row['point']):g}% of the pairs of two classes, it "
        f"stops **{rate}** of the pairs of one class."
    )


def _reaches(chosen: Selection) -> str:
    if is_similarity(chosen.a):
        return "their cosine similarity reaches"
    return "their distance does not exceed"


def _capital(text: str) -> str:
    return text[:1].upper() + text[1:]


def _slider(chosen: Selection, rates: Thresholds, eer: pd.Series) -> int:
    """Draw the slider of the threshold; return its place in the curve."""
    values = rates.curve["threshold"].to_numpy()
    labels = _labels(chosen, values)
    default = labels[int(np.abs(values - eer["threshold"]).argmin())]
    if len(labels) == 1:
        return 0
    shown = THRESHOLD.keep(default, labels, context=(chosen.a.name, chosen.protocol))
    st.select_slider("Threshold", labels, key=THRESHOLD.key)
    return labels.index(shown)


def _labels(chosen: Selection, values: np.ndarray) -> list[str]:
    """Write thresholds with as many digits as tell them apart."""
    for digits in range(3, 12):
        labels = [nearness_text(chosen.a, value, digits) for value in values]
        if len(set(labels)) == len(labels):
            return labels
    return [f"{label} ({at})" for at, label in enumerate(labels)]


def _rates_there(rates: Thresholds, row: pd.Series) -> None:
    """Draw what the threshold does."""
    parts = [
        (
            "Different classes, accepted (FMR)",
            row["fmr"],
            (row["fmr_low"], row["fmr_high"]),
            f"{int(row['false_matches']):,} of {rates.n_negative:,} pairs of two classes",
        ),
        (
            "Same class, stopped (FNMR)",
            row["fnmr"],
            (row["fnmr_low"], row["fnmr_high"]),
            f"{int(row['false_non_matches']):,} of {rates.n_positive:,} pairs of one class",
        ),
    ]
    with st.container(key="cards"):
        places = st.columns(3)
    for place, (title, value, (low, high), detail) in zip(places, parts, strict=False):
        place.metric(title, words.percent(value))
        known = f"95% interval {words.percent(low)} to {words.percent(high)}; "
        place.caption(f"{known if np.isfinite(low) else 'Too few for an interval; '}{detail}.")
    likely = float(rates.probability(np.array([row["threshold"]]))[0])
    places[2].metric("P(same class) at this similarity", words.percent(likely))
    places[2].caption(
        "Of pairs just as similar, calibrated on one half of the classes."
        if np.isfinite(likely)
        else "The pairs of one half of the classes are too few to calibrate."
    )


def _errors(chosen: Selection, rates: Thresholds, place: int) -> None:
    """Draw pairs that the threshold gets wrong."""
    left, right = st.columns([7, 1], vertical_alignment="center")
    click = "mark it" if MARKING.get() else "make it the query"
    left.markdown(f"##### Which pairs it gets wrong\nClick any image to {click}.")
    with right:
        mark_switch(chosen.a)
    found = errors_at(rates, place, SHOWN)
    accepted = "No pair of two classes is this similar."
    stopped = "No pair of one class is less similar."
    for key, title, near, worst, empty in (
        (
            "let_through",
            "Lets through: two classes",
            found.let_through,
            found.worst_let_through,
            accepted,
        ),
        ("stopped", "Stops: one class", found.stopped, found.worst_stopped, stopped),
    ):
        lines = [
            _line(chosen, f"{title}, nearest to the threshold", near, empty),
            _line(chosen, f"{title}, the worst", worst, empty),
        ]
        shown = [line for line in lines if line["cards"]] or lines[:1]
        clickable_cards({"rows": shown}, key=f"threshold_{key}", on_pick=open_or_mark)


def _line(chosen: Selection, title: str, pairs: pd.DataFrame, empty: str) -> dict:
    cards = []
    for pair in pairs.itertuples():
        nearness = nearness_text(chosen.a, pair.similarity)
        mark: Mark = "hit" if pair.same else "miss"
        cards.append(
            [
                card(chosen.a, int(pair.query), kind="query", score="query"),
                card(chosen.a, int(pair.item), mark=mark, score=nearness),
            ]
        )
    return {"title": title, "cards": cards, "size": 84, "empty": empty}


def _curves(rates: Thresholds, eer: pd.Series, row: pd.Series) -> None:
    left, right = st.container(key="beside").columns(2)
    with left:
        st.markdown("##### Every threshold")
        st.caption(
            "Pairs of one class that are accepted, by the share of pairs of two classes that are "
            "accepted too. The band is the 95% interval over classes of FNMR at that FMR."
        )
        st.plotly_chart(
            roc(rates.curve, eer, row),
            config=CONFIG,
            key="roc",
            alt="Accepted pairs of one class against the false match rate, with its interval",
        )
    with right:
        st.markdown("##### Does a probability hold on new classes?")
        if rates.reliability.empty:
            st.info("The pairs of each half of the classes are too few to calibrate and to test.")
            return
        st.caption(words.calibration_line(rates))
        st.plotly_chart(
            reliability(rates.reliability),
            config=CONFIG,
            key="reliability",
            alt="Observed share of pairs of one class against the calibrated probability",
        )


def _tables(rates: Thresholds) -> None:
    left, right = st.container(key="beside_tables").columns(2)
    with left:
        st.markdown("##### FNMR at FMR")
        st.dataframe(words.points_table(rates), hide_index=True, key="points")
    with right:
        st.markdown("##### Chosen on one half of the classes, tested on the other")
        tested = words.transfer_table(rates)
        if tested.empty:
            st.info("The pairs of each half of the classes are too few to choose and to test.")
        else:
            st.dataframe(tested, hide_index=True, key="transfer")
    st.markdown("##### Open set: is it here at all?")
    opened = words.open_set_table(rates)
    if opened.empty:
        if not rates.n_unmated:
            why = "Every query has a positive in the gallery"
        elif not rates.n_mated:
            why = "No query has a positive in the gallery"
        else:
            why = f"Only {rates.n_unmated:,} queries have no positive in the gallery"
        st.caption(f"{why}, so there is nothing to reject by this question.")
        return
    st.caption(
        f"A query is accepted if its best similarity reaches the threshold. FPIR is the share of "
        f"the {rates.n_unmated:,} queries without a positive that are accepted, FNIR that of the "
        f"{rates.n_mated:,} others that are rejected."
    )
    st.dataframe(opened, hide_index=True, key="open_set")
    if line := words.open_set_line(rates):
        st.caption(line)
