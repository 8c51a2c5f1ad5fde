"""What is compared with what: all seeds of the losses of runs A and B, or the two runs."""

from dataclasses import dataclass

from retrieval.runs.run import Run
from workbench.analysis.comparison import difference_of_items
from workbench.analysis.naming import group_titles
from workbench.analysis.tables import groups_of, loss_table, results_table
from workbench.data.comparable import protocol_difference
from workbench.session.selection import Selection


@dataclass(frozen=True)
class Sides:
    """The runs that are compared: all seeds of two losses, or two runs of one loss.

    Attributes:
        a: Runs of the loss of run A, one per seed; run A alone if B has the same loss.
        b: The same for run B.
        titles: Titles of both sides.
        same_loss: Whether both runs are of one loss, so that nothing is said about losses.
        groups: Name -> runs of all that is compared. Two losses are tested among all of them, as on
            the Overview, since how far losses scatter over seeds is estimated from all.
        names: Names of both sides among the groups.
    """

    a: list[Run]
    b: list[Run]
    titles: tuple[str, str]
    same_loss: bool
    groups: dict[str, list[Run]]
    names: tuple[str, str]

    @property
    def pair(self) -> tuple[list[Run], list[Run]]:
        """The runs of both sides."""
        return self.a, self.b

    @property
    def averaged(self) -> bool:
        """Whether a side has several seeds."""
        return max(map(len, self.pair)) > 1


def sides_of(chosen: Selection) -> Sides:
    """Return all seeds of the losses of runs A and B; a run that repeats a seed counts for none."""
    a, b = chosen.pair
    titles = group_titles(chosen.runs)
    if titles[a.name] == titles[b.name]:
        alone = {a.name: [a], b.name: [b]}
        return Sides([a], [b], (a.name, b.name), True, alone, (a.name, b.name))
    results = results_table(chosen.comparable, chosen.protocol, among=chosen.runs)
    groups = groups_of(loss_table(results, chosen.comparable, chosen.protocol), chosen.comparable)
    names = titles[a.name], titles[b.name]
    found = [groups[name] for name in names]
    shown = [runs[0].name if len(runs) == 1 else titles[runs[0].name] for runs in found]
    return Sides(found[0], found[1], (shown[0], shown[1]), False, groups, names)


def side_of_a(chosen: Selection) -> Sides:
    """Return all seeds of the loss of run A, with no other side."""
    titles = group_titles(chosen.runs)
    results = results_table(chosen.comparable, chosen.protocol, among=chosen.runs)
    groups = groups_of(loss_table(results, chosen.comparable, chosen.protocol), chosen.comparable)
    runs = groups.get(titles[chosen.a.name], [chosen.a])
    name = runs[0].name if len(runs) == 1 else titles[chosen.a.name]
    return Sides(runs, [], (name, ""), False, {name: runs}, (name, ""))


def why_apart(chosen: Selection) -> str:
    """Say why runs A and B cannot be compared query by query; empty if they can.

    Args:
        chosen: The choices made in the sidebar, with a run B other than A.
    """
    a, b = chosen.pair
    if chosen.protocol not in b.results:
        return f"{b.name} was not evaluated under {chosen.protocol_title}."
    if a.has_labels != b.has_labels:
        lacking, other = (b, a) if a.has_labels else (a, b)
        return (
            f"{lacking.name} has no labels, so it has no figures to compare with those of "
            f"{other.name}: import it with the labels of its items."
        )
    difference = difference_of_items(a, b)
    if difference:
        return f"These runs cannot be compared query by query: {difference}."
    apart = protocol_difference(b, a, chosen.protocol)
    if apart:
        return (
            f"These runs cannot be compared: {b.name} was scored under another protocol than "
            f"{a.name}: {apart}."
        )
    return ""
