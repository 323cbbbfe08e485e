"""Customer groups (req-C8): a title that both sides write alike is one group; what else there is, a person pairs."""

from collections.abc import Iterable, Mapping

from counterflow.state import reviews, steering
from processors.rules import groups
from processors.shop import State

TITLE = "group-title"


def note_titles(state: State, seen: Iterable[str]) -> set[str]:
    """Note groups that the point of sale has; gives those that are new."""
    new = set(seen) - {""}
    new -= titles(state) if new else frozenset()
    state.titles = titles(state) | new if new else state.titles
    for title in sorted(new):
        steering.put(state.connection, f"group:{state.shop.pos}/{title}", title)
        for store in state.shop.customers:
            state.settle(TITLE, f"{store}/{title}")
    return new


def titles(state: State) -> frozenset[str]:
    """Give the groups that the point of sale has."""
    if state.titles is None:
        state.titles = frozenset(steering.starting(state.connection, f"group:{state.shop.pos}/"))
    return state.titles


def forget_pairs(state: State) -> None:
    """Have looked up once more what a person paired: he has just said something."""
    state.paired.clear()


def _paired(state: State, store: str) -> Mapping[str, str]:
    """Give what a person said of a store's groups, by their titles there."""
    if store not in state.paired:
        said = reviews.decisions(state.connection, TITLE, f"{store}/")
        state.paired[store] = {name.partition("/")[2]: decision for name, decision in said.items()}
    return state.paired[store]


def at_pos(state: State, store: str, title: str) -> str | None:
    """Give the point of sale's title of a store's group; None, and a review, where nobody has paired it yet."""
    if not title:
        return ""
    match = _pair(state, store, title)
    if isinstance(match, groups.Unpaired):  # Another worker may have noted it since we looked.
        state.titles = None
        forget_pairs(state)
        match = _pair(state, store, title)
    if isinstance(match, groups.Same):
        return match.title
    if isinstance(match, groups.Unpaired):
        facts = {"suggestion": match.suggestion, "candidates": sorted(titles(state))}
        message = f"{store} has the group {title!r}, the point of sale has not: which one of its groups is it?"
        state.ask(TITLE, f"{store}/{title}", message, facts)
    return None


def _pair(state: State, store: str, title: str) -> groups.Same | groups.NoGroup | groups.Unpaired:
    return groups.pair(title, titles(state), decided=_paired(state, store).get(title))


def at_store(state: State, store: str, title: str) -> str:
    """Give a store's title of a group of the point of sale's: the one that a person paired, else the same."""
    found = sorted(name for name, decision in _paired(state, store).items() if decision == title)
    return found[0] if found else title
