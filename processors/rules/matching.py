"""How likely is it that two records are one person, in percent, and what speaks for it (req-C10)?

A sum: each part of a person (name, street, place, e-mail, phone, company) speaks for or against, by how alike it is on
both sides, how rare it is in this shop, and what the others say (one e-mail and two first names are a family). The sum
is the logit of the percentage. The weights are fitted trees: on the way down a tree each step adds what its part has
told. They stand in match_model.json with what they were fitted on (docs/reference/matching.md).
"""

import math
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path

import msgspec
from rapidfuzz.distance import OSA, JaroWinkler

from processors.rules.blocking import Person, Plain

MISSING = -1.0
ALIKE = 0.9  # From here on a value's rarity counts: what agrees by chance is common.
INITIAL = 0.88  # How alike a first name and its first letter are.
SWAPPED = 0.2  # How much better the names must agree crosswise.
# The features of each part, in the order in which `features` gives them.
PARTS: Mapping[str, tuple[str, ...]] = {
    "name": ("first", "last", "swapped", "first rarity", "last rarity", "whole"),
    "street": ("number", "street", "street rarity"),
    "place": ("city", "postcode", "city rarity", "postcode rarity"),
    "e-mail": ("local part", "domain", "e-mail rarity"),
    "phone": ("phone", "phone rarity"),
    "company": ("company",),
}
FEATURES = tuple(name for names in PARTS.values() for name in names)
_PART_OF = tuple(at for at, names in enumerate(PARTS.values()) for _ in names)
SHIFTS_MAX = 200
EVERYBODY = "*"
EVERYBODY_MIN = 1000  # Among fewer, what is rare in the shop says little.


class Tree(msgspec.Struct, frozen=True, array_like=True):
    """One decision tree: at a node go left where the feature is at most the threshold; each node has its mean."""

    feature: list[int]  # -1 at a leaf.
    threshold: list[float]
    left: list[int]
    right: list[int]
    value: list[float]


class Model(msgspec.Struct, frozen=True):
    """The fitted weights."""

    base: float  # Before any tree is asked.
    trees: list[Tree]
    fitted_on: str
    prior: float  # How many of the pairs it was fitted on were true.
    threshold: float  # From here on two records are called one; chosen on what it was fitted on.


class Scale(msgspec.Struct, frozen=True):
    """How a shop's own decisions bend every logit: slope times it, plus offset."""

    slope: float = 1.0
    offset: float = 0.0
    decisions: int = 0  # How many it was fitted on.


AS_FITTED = Scale()
HOLD = 30.0  # How strongly a shop's decisions are held to what was fitted.
NEWTON_MAX = 50


@dataclass(frozen=True, slots=True)
class Evidence:
    """What one part says: above 0 for one person, below 0 against."""

    field: str
    how: str
    weight: float


@dataclass(frozen=True, slots=True)
class Likeness:
    """How likely two records are one person, 0 to 1, and why."""

    share: float
    evidence: tuple[Evidence, ...]


def load_models() -> dict[str, Model]:
    """Read the fitted models: "retail" is the shop's, "febrl" the one of the public data sets."""
    file = Path(__file__).with_name("match_model.json")
    return msgspec.json.decode(file.read_bytes(), type=dict[str, Model])


def load_model(name: str = "retail") -> Model:
    """Read one fitted model."""
    return load_models()[name]


def compare(one: Person, other: Person, model: Model, common: Mapping[str, int], scale: Scale = AS_FITTED) -> Likeness:
    """Compare two records.

    Args:
        one: A record.
        other: Another; the order says nothing.
        model: The weights.
        common: How often each value is among the shop's customers, as `count` gives it; {} where it is not known.
        scale: What the shop's own decisions say.
    """
    values = features(Plain.of(one), Plain.of(other), common)
    weights = {part: scale.slope * weight for part, weight in weigh(values, model).items()}
    base = scale.slope * model.base + scale.offset
    found = [Evidence("base", "before anything is looked at", base)]
    found += [Evidence(part, _in_words(part, values), weight) for part, weight in weights.items()]
    return Likeness(share(base + sum(weights.values())), tuple(found))


def refit(decided: Sequence[tuple[float, bool]]) -> Scale:
    """Fit slope and offset to decisions: (logit as fitted, whether it was one person).

    It is held to what was fitted (HOLD): a few decisions move little.
    """

    def fits(slope: float, offset: float) -> float:
        said = sum(math.log(share((slope * logit + offset) * (1 if is_same else -1))) for logit, is_same in decided)
        return said - HOLD / 2 * ((slope - 1.0) ** 2 + offset**2)

    slope, offset = 1.0, 0.0
    for _ in range(NEWTON_MAX):
        gradient = [-HOLD * (slope - 1.0), -HOLD * offset]
        curve = [HOLD, 0.0, HOLD]
        for logit, is_same in decided:
            expected = share(slope * logit + offset)
            missing, spread = is_same - expected, expected * (1 - expected)
            gradient[0] += missing * logit
            gradient[1] += missing
            curve[0] += spread * logit * logit
            curve[1] += spread * logit
            curve[2] += spread
        determinant = curve[0] * curve[2] - curve[1] ** 2
        steps = (curve[2] * gradient[0] - curve[1] * gradient[1], curve[0] * gradient[1] - curve[1] * gradient[0])
        length = 1.0
        while fits(slope + length * steps[0] / determinant, offset + length * steps[1] / determinant) < fits(
            slope, offset
        ):
            length /= 2
            if length < 1e-6:
                break
        slope, offset = slope + length * steps[0] / determinant, offset + length * steps[1] / determinant
        if max(abs(step) for step in steps) < 1e-9 * determinant or length < 1e-6:
            break
    return Scale(slope=round(max(0.1, slope), 4), offset=round(offset, 4), decisions=len(decided))


def shift(logits: Sequence[float], prior: float) -> float:
    """Give what to add to every logit of a list in which another share of the pairs is true than in the fitting.

    How many are true is not known; it is what agrees with the shares that follow from it (Saerens and others, 2002).
    """
    found = 0.0
    for _ in range(SHIFTS_MAX):
        mean = sum(share(logit + found) for logit in logits) / max(1, len(logits))
        mean = min(1 - 1e-6, max(1e-6, mean))
        following = math.log(mean / (1 - mean)) - math.log(prior / (1 - prior))
        if abs(following - found) < 1e-4:
            break
        found = following
    return found


def share(logit: float) -> float:
    """Give the share that a logit stands for."""
    return 1 / (1 + math.exp(-max(-40.0, min(40.0, logit))))


def weigh(values: Sequence[float], model: Model) -> dict[str, float]:
    """Give what each part says about a pair's features: what the trees' means rose or fell by where it was asked."""
    told = [0.0] * len(PARTS)
    for tree in model.trees:
        feature, value = tree.feature, tree.value
        node = 0
        while (asked := feature[node]) >= 0:
            following = tree.left[node] if values[asked] <= tree.threshold[node] else tree.right[node]
            told[_PART_OF[asked]] += value[following] - value[node]
            node = following
    return dict(zip(PARTS, told, strict=True))


def count(people: Iterable[Person]) -> dict[str, int]:
    """Count how often each value is among some people."""
    found: dict[str, int] = {EVERYBODY: 0}
    for person in people:
        found[EVERYBODY] += 1
        for key in values_of(Plain.of(person)):
            found[key] = found.get(key, 0) + 1
    return found


def values_of(plain: Plain) -> list[str]:
    """Give the values of a person whose rarity counts, as `common` names them."""
    values = {
        "first": plain.nickname,
        "last": plain.last,
        "street": plain.street,
        "city": plain.city,
        "postcode": plain.postcode,
        "e-mail": f"{plain.local}@{plain.domain}" if plain.local else "",
        "phone": plain.phone,
    }
    return [f"{name}:{value}" for name, value in values.items() if value]


def features(one: Plain, other: Plain, common: Mapping[str, int]) -> list[float]:
    """Give a pair's features, in the order of FEATURES: likeness 0 to 1, -1 where a side says nothing, and rarity."""

    def rare(name: str, here: str, there: str, likeness: float) -> float:
        if likeness <= ALIKE:
            return 0.0
        holders = max(common.get(f"{name}:{here}", 1), common.get(f"{name}:{there}", 1))
        return math.log(max(1.0, common.get(EVERYBODY, 10_000) / holders))

    first, last = _first(one, other), _alike(one.last, other.last)
    crosswise = (_alike(one.first, other.last), _alike(one.last, other.first))
    swapped = sum(max(0.0, part) for part in crosswise) > max(0.0, first) + max(0.0, last) + SWAPPED
    if swapped:
        first, last = sorted(crosswise)
    whole_one, whole_other = sorted((one.first + one.last, other.first + other.last))
    street, city = _alike(one.street, other.street), _alike(one.city, other.city)
    postcode, phone = _digits(one.postcode, other.postcode), _digits(one.phone, other.phone)
    local = _alike(one.local, other.local)
    domain = _alike(one.domain, other.domain)
    return [
        *(first, last, float(swapped)),
        rare("first", one.nickname, other.nickname, first),
        rare("last", one.last, other.last, last),
        _alike(whole_one, whole_other),
        *(_number(one.number, other.number), street, rare("street", one.street, other.street, street)),
        *(city, postcode, rare("city", one.city, other.city, city)),
        rare("postcode", one.postcode, other.postcode, postcode),
        *(local, domain),
        rare("e-mail", f"{one.local}@{one.domain}", f"{other.local}@{other.domain}", min(local, domain)),
        *(phone, rare("phone", one.phone, other.phone, phone)),
        _alike(one.company, other.company),
    ]


def _first(one: Plain, other: Plain) -> float:
    likeness = _alike(one.first, other.first)
    if one.first and one.nickname == other.nickname:
        return max(likeness, 0.95)
    is_initial = 1 in {len(one.first), len(other.first)} and one.first[:1] == other.first[:1]
    return max(likeness, INITIAL) if is_initial else likeness


def _alike(one: str, other: str) -> float:
    """Give how alike two texts are: by what is swapped and mistyped, or by how they begin."""
    if not one or not other:
        return MISSING
    if one == other:
        return 1.0
    return max(JaroWinkler.similarity(one, other), OSA.normalized_similarity(one, other))


def _digits(one: str, other: str) -> float:
    if not one or not other:
        return MISSING
    if one == other:
        return 1.0
    return ALIKE if sorted(one) == sorted(other) else min(ALIKE, OSA.normalized_similarity(one, other))


def _number(one: str, other: str) -> float:
    if not one or not other:
        return MISSING
    return 1.0 if one == other else ALIKE * OSA.normalized_similarity(one, other)


def _in_words(part: str, values: Sequence[float]) -> str:
    """Say how alike one part is."""
    start = FEATURES.index(PARTS[part][0])
    shown = [
        value
        for name, value in zip(PARTS[part], values[start : start + len(PARTS[part])], strict=True)
        if "rarity" not in name and name not in {"swapped", "whole"}
    ]
    if all(value == MISSING for value in shown):
        return "missing on a side"
    if part == "name" and values[start + 2]:
        return "first and last name swapped"
    there = [value for value in shown if value != MISSING]
    if min(there) == 1.0:
        return "same"
    if max(there) == 1.0:
        names = [name for name, value in zip(PARTS[part], shown, strict=False) if value == 1.0]
        return f"same {names[0]}" if names else "same in part"
    return "similar" if max(there) > ALIKE else "differs"
