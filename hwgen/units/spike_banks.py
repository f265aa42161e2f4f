"""Which bank of rtl/spike_lanes.v sums up which output, so that lists are short."""

import numpy as np

WORK = 400_000_000  # comparisons that the search may take: some seconds


def balanced(weights: np.ndarray, banks: int) -> np.ndarray:
    """int64 [slots, banks]: the output of each bank in each slot, -1 for none, with few words.

    weights -- int [outputs, inputs]
    A list has as many words as the weights of the bank that has most of that input. Outputs change places, two by two,
    for as long as that makes all lists together shorter, or WORK is done: a local search.
    """
    count, slots = len(weights), -(-len(weights) // banks)
    places = np.append(np.arange(count), np.full(slots * banks - count, -1)).reshape(slots, banks)
    used = (weights != 0).astype(np.int16)
    used = used[:, used.any(axis=0)]  # lists that are empty are alike
    if banks == 1 or slots == 1 or used.size == 0:
        return places
    bank_of = np.empty(count, np.int64)
    bank_of[places[places >= 0]] = np.nonzero(places >= 0)[1]
    tries = int(WORK // (4 * used.size))
    for tried in range(min(tries, 2 * count)):
        other = _partner(used, bank_of, banks, tried % count)
        if other is not None:
            bank_of[[tried % count, other]] = bank_of[[other, tried % count]]
    for bank in range(banks):
        own = np.flatnonzero(bank_of == bank)
        places[: len(own), bank] = own
    return places


def _partner(used: np.ndarray, bank_of: np.ndarray, banks: int, output: int) -> int | None:
    """The output of another bank with which `output` had best change places; None where it had better not."""
    counts = np.zeros((banks, used.shape[1]), np.int16)
    np.add.at(counts, bank_of, used)
    own = bank_of[output]
    before = int(counts.max(axis=0).sum())
    rest = counts[own] - used[output]
    # the three greatest of the other banks, of which those of one may have to be left out
    others = np.delete(counts, own, axis=0)
    numbers = np.delete(np.arange(banks), own)
    first = others.argmax(axis=0)
    top = others[first, np.arange(used.shape[1])]
    others[first, np.arange(used.shape[1])] = -1
    second = others.max(axis=0)
    candidates = np.flatnonzero(bank_of != own)
    elsewhere = np.where(numbers[first] == bank_of[candidates][:, None], second, top)
    changed = counts[bank_of[candidates]] - used[candidates] + used[output]
    longest = np.maximum(np.maximum(elsewhere, changed), rest + used[candidates]).sum(axis=1)
    best = int(longest.argmin())
    return int(candidates[best]) if longest[best] < before else None
