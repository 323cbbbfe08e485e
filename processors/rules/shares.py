"""Dividing money without losing a cent: a discount over lines (order-E.5), a line over its refunds (order-E.15).

Everything here is whole minor units. What is divided adds up to what there was, always.
"""

from collections.abc import Sequence


def spread(amount: int, weights: Sequence[int], caps: Sequence[int] | None = None) -> list[int]:
    """Spread an amount over lines by their weights, none above its cap: largest remainder (order-E.5).

    The floors of each exact share come first; what is left goes out one by one by largest remainder, ties in the order
    of the lines. A line at its cap takes no more, and the rest is spread over the others again.

    Args:
        amount: In minor units, at least 0, at most the sum of the caps.
        weights: One for each line, at least 0.
        caps: The most that each line can take; None: its weight.

    Returns:
        One share for each line; they add up to the amount.

    Raises:
        ValueError: The amount is below 0, or more than the lines can take.
    """
    caps = weights if caps is None else caps
    if amount < 0 or min((*weights, *caps), default=0) < 0:
        raise ValueError("amounts, weights and caps must be at least 0")
    if amount > sum(cap for cap, weight in zip(caps, weights, strict=True) if weight):
        raise ValueError(f"{amount} is more than the lines can take")
    shares = [0] * len(weights)
    while left := amount - sum(shares):
        room = [at for at, weight in enumerate(weights) if weight and shares[at] < caps[at]]
        for at, share in zip(room, _rounded(left, [weights[at] for at in room]), strict=True):
            shares[at] = min(caps[at], shares[at] + share)
    return shares


def _rounded(amount: int, weights: Sequence[int]) -> list[int]:
    """Give shares by largest remainder, without caps."""
    whole = sum(weights)
    shares = [amount * weight // whole for weight in weights]
    by_remainder = sorted(range(len(weights)), key=lambda at: (-(amount * weights[at] % whole), at))
    for at in by_remainder[: amount - sum(shares)]:
        shares[at] += 1
    return shares


def part(whole: int, pieces: int, before: int, now: int) -> int:
    """Give what `now` more pieces of a line are worth, when `before` pieces were given back already (order-E.15).

    By cumulative rounding: whatever the parts in which a line comes back, they add up to the line.

    Args:
        whole: The line, in minor units; at least 0.
        pieces: How many it has.
        before: How many were given back already.
        now: How many come back now; before + now is at most `pieces`.
    """
    if min(whole, before, now) < 0 or pieces < 1 or before + now > pieces:
        raise ValueError(f"{before} + {now} of {pieces} pieces")
    return _so_far(whole, pieces, before + now) - _so_far(whole, pieces, before)


def _so_far(whole: int, pieces: int, count: int) -> int:
    return (2 * whole * count + pieces) // (2 * pieces)  # Half up.
