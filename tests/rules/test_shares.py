"""Dividing money (order-E.5, E.15; laws P1 and P4): nothing is lost, nothing is more than it may be."""

import random
from fractions import Fraction

import pytest
from hypothesis import given
from hypothesis import strategies as st

from processors.rules.shares import part, spread

nets = st.lists(st.integers(0, 10**6), min_size=1, max_size=8)


@given(nets, st.floats(0, 1))
def test_a_discount_is_spread_exactly_and_no_line_falls_below_zero(weights: list[int], share: float) -> None:  # P1
    amount = int(sum(weights) * share)
    shares = spread(amount, weights)
    assert sum(shares) == amount
    assert all(0 <= one <= net for one, net in zip(shares, weights, strict=True))


@given(nets.filter(any), st.floats(0, 1))
def test_each_share_is_within_a_cent_of_the_exact_one(weights: list[int], share: float) -> None:  # P1, no cap bites.
    amount = int(sum(weights) * share)
    exact = [Fraction(amount * weight, sum(weights)) for weight in weights]
    assert all(abs(one - should) < 1 for one, should in zip(spread(amount, weights), exact, strict=True))


@given(st.lists(st.tuples(st.integers(0, 10**5), st.integers(0, 10**5)), min_size=1, max_size=8), st.floats(0, 1))
def test_caps_hold_and_the_rest_goes_to_the_others(lines: list[tuple[int, int]], share: float) -> None:
    weights, caps = [weight for weight, _ in lines], [cap for _, cap in lines]
    amount = int(sum(cap for weight, cap in lines if weight) * share)
    shares = spread(amount, weights, caps)
    assert sum(shares) == amount
    assert all(0 <= one <= cap for one, cap in zip(shares, caps, strict=True))
    assert all(one == 0 for one, weight in zip(shares, weights, strict=True) if not weight)


def test_ties_go_in_the_order_of_the_lines() -> None:
    assert spread(1, [100, 100, 100]) == [1, 0, 0]
    assert spread(100, [100, 100, 100]) == [34, 33, 33]


def test_nothing_is_spread_over_nothing() -> None:
    assert spread(0, [0, 0]) == [0, 0]


@pytest.mark.parametrize(("amount", "weights"), [(301, [100, 200]), (1, [0]), (-1, [5]), (1, [])])
def test_what_does_not_fit_is_refused(amount: int, weights: list[int]) -> None:
    with pytest.raises(ValueError, match=r"more than|at least"):
        spread(amount, weights)


@given(st.integers(0, 10**7), st.integers(1, 60), st.integers(0, 2**32))
def test_refunds_in_any_parts_add_up_to_the_line(whole: int, pieces: int, seed: int) -> None:  # P4
    dice, given_back, sums = random.Random(seed), 0, 0
    while given_back < pieces:
        now = dice.randint(1, pieces - given_back)
        worth = part(whole, pieces, given_back, now)
        assert worth >= 0
        sums, given_back = sums + worth, given_back + now
    assert sums == whole


@pytest.mark.parametrize(("before", "now"), [(2, 2), (-1, 1), (0, -1)])
def test_more_than_was_sold_cannot_come_back(before: int, now: int) -> None:
    with pytest.raises(ValueError, match="of 3 pieces"):
        part(100, 3, before, now)
