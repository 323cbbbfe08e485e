"""recordlinkage and Splink on the same records, set up as docs/facts/performance.md 4.4 and 4.6 say, blocking wide."""

import time
from typing import Any

from counterflow.cli.bench_matches import Pair, Records, Score, score
from processors.rules.blocking import Plain

COLUMNS = ("given_name", "surname", "street_number", "address_1", "suburb", "postcode")
THRESHOLDS = (0.001, 0.01, 0.1, 0.5, 0.9, 0.95, 0.99, 0.999)


def _frames(records: Records) -> list[Any]:
    """Give the records as data frames, an empty value as a missing one."""
    import pandas

    frames = []
    for persons in (records.left, records.right):
        if persons is not None:
            rows = []
            for person in persons:
                plain = Plain.of(person)
                line = person.line_1.removeprefix(plain.number).strip().lower()
                names = (person.first_name.lower(), person.last_name.lower())
                rows.append((*names, plain.number, line, person.city.lower(), plain.postcode))
            frame = pandas.DataFrame(rows, columns=COLUMNS).replace("", None)
            frame.insert(0, "unique_id", range(len(frame)))
            frames.append(frame)
    return frames


def ecm(records: Records) -> Score:
    """Score recordlinkage: union of three blocks, thresholded features, unsupervised ECM."""
    import recordlinkage

    begun = time.perf_counter()
    frames = [frame.drop(columns="unique_id") for frame in _frames(records)]
    index = recordlinkage.Index()
    for column in ("given_name", "surname", "postcode"):
        index.block(column)
    pairs = index.index(*frames)
    compare = recordlinkage.Compare()
    for column in ("given_name", "surname"):
        compare.string(column, column, method="jarowinkler", threshold=0.85)
    compare.exact("street_number", "street_number")
    for column in ("address_1", "suburb"):
        compare.string(column, column, threshold=0.85)
    compare.exact("postcode", "postcode")
    found = compare.compute(pairs, *frames)
    matches = recordlinkage.ECMClassifier().fit_predict((found > 0).astype(int))
    seconds = time.perf_counter() - begun
    return score(records, "recordlinkage ECM", _ordered(records, matches), _ordered(records, pairs), seconds)


def _ordered(records: Records, pairs: Any) -> set[Pair]:
    if records.right is not None:
        return {(int(one), int(other)) for one, other in pairs}
    return {(min(int(one), int(other)), max(int(one), int(other))) for one, other in pairs}


def splink(records: Records) -> Score:
    """Score Splink at the threshold that is best on these very records: the best case for it."""
    import logging

    from splink import DuckDBAPI, Linker, SettingsCreator, block_on
    from splink import comparison_library as cl

    begun = time.perf_counter()
    comparisons = [
        cl.NameComparison("given_name").configure(term_frequency_adjustments=True),
        cl.NameComparison("surname").configure(term_frequency_adjustments=True),
        cl.ExactMatch("street_number"),
        cl.JaroWinklerAtThresholds("address_1", [0.9, 0.7]).configure(term_frequency_adjustments=True),
        cl.JaroWinklerAtThresholds("suburb", [0.9]),
        cl.DamerauLevenshteinAtThresholds("postcode", [1, 2]),
    ]
    settings = SettingsCreator(
        link_type="dedupe_only" if records.right is None else "link_only",
        comparisons=comparisons,
        blocking_rules_to_generate_predictions=[block_on(one) for one in ("given_name", "surname", "postcode")],
    )
    database = DuckDBAPI()
    tables = [database.register(frame) for frame in _frames(records)]
    linker = Linker(tables if len(tables) > 1 else tables[0], settings, log_level=logging.ERROR)
    training = linker.training
    rules = [block_on("given_name", "surname", "postcode"), block_on("surname", "address_1", "street_number")]
    training.estimate_probability_two_random_records_match(rules, recall=0.7)
    training.estimate_u_using_random_sampling(max_pairs=1e6)
    for column in ("postcode", "given_name"):
        training.estimate_parameters_using_expectation_maximisation(
            block_on(column), estimate_without_term_frequencies=True
        )
    rows = linker.inference.predict(threshold_match_probability=0.0).as_record_list()
    seconds = time.perf_counter() - begun
    shares: dict[Pair, float] = {}
    for row in rows:
        (pair,) = _ordered(records, [(row["unique_id_l"], row["unique_id_r"])])
        shares[pair] = float(row["match_probability"])
    best = [
        score(
            records, f"Splink >= {least}", {pair for pair, one in shares.items() if one >= least}, set(shares), seconds
        )
        for least in THRESHOLDS
    ]
    return max(best, key=lambda one: one.f1)
