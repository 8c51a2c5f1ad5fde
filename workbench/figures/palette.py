"""Colors that the color-blind can tell apart (after Okabe and Ito), one meaning each."""

from collections.abc import Sequence

from workbench.analysis.naming import UNTRAINED

HIT = "#1487B8"
MISS = "#D9601A"
NEUTRAL = "#8A94A0"
HIGHLIGHT = "#E69F00"
RUN_A = "#0072B2"
RUN_B = "#E69F00"
HIT_SIGN = "✓"
MISS_SIGN = "✗"
CATEGORIES = (
    "#0072B2", "#D55E00", "#009E73", "#CC79A7", "#E69F00", "#56B4E9", "#8C6BB1",
    "#A6761D", "#44AA99", "#882255", "#999933", "#DDCC77", "#117733", "#AA4499",
    "#6699CC", "#661100", "#88CCEE", "#CC6677", "#332288", "#B2DF8A",
)  # fmt: skip
OTHER = "rgba(138, 148, 160, 0.5)"
FAINT = "rgba(138, 148, 160, 0.3)"  # beside a gray that means something
SEQUENTIAL = (
    "#E8E3C9", "#CBD5B1", "#9CC9B0", "#68B5B5", "#3D9AB5", "#2A7BA9", "#2B5A93", "#2F3B72",
)  # fmt: skip
UNTRAINED_COLOR = "#66727F"  # not the lighter gray of what is left out
LOSS_COLORS = {
    "hard_triplet": "#009E73",
    "semi_hard_triplet": "#0072B2",
    "lifted_loss": "#CC79A7",
    "npairs_loss": "#E69F00",
    "angular_loss": "#D55E00",
    "contrastive_loss": "#8C6BB1",
    "multi_similarity": "#56B4E9",
}


def colors_of(names: Sequence[str]) -> dict[str, str]:
    """Give every name a color: a loss keeps its own everywhere, others take what is left.

    Args:
        names: Names to color, e.g. losses or runs; a name may start with a loss's name.

    Returns:
        Hex color per name.
    """
    chosen: dict[str, str] = {}
    for name in names:
        if name.startswith(UNTRAINED):
            chosen[name] = UNTRAINED_COLOR
        loss = next((known for known in LOSS_COLORS if name.startswith(known)), None)
        color = LOSS_COLORS.get(loss or "")
        if color and color not in chosen.values():
            chosen[name] = color
    free = [c for c in CATEGORIES if c not in chosen.values()]
    free = free or list(CATEGORIES)
    rest = [name for name in names if name not in chosen]
    chosen |= {name: free[i % len(free)] for i, name in enumerate(rest)}
    return {name: chosen[name] for name in names}
