"""What it would cost to do without each token, compiled (Schmidt et al. 2024, top-down training).

Pretokens lie end to end, and the vocabulary is a trie, as in `encoding_kernels`.
"""
# mypy: disallow-untyped-defs=False, disallow-untyped-calls=False, disallow-untyped-decorators=False

from __future__ import annotations

import numpy as np

from operators.compiled import njit

# A copy of it is compiled in; see there.
from operators.tokenization.encoding_kernels import child

_UNREACHED = 1 << 60


@njit(cache=True, nogil=True)
def omission_costs(  # noqa: PLR0915 - forward, backward and prices share what they allocate
    edges, size, longest, data, ends, weights, costs, uses
):
    """Segment all pretokens with the fewest tokens, and price every token that is used.

    The price of one occurrence of a token is the number of tokens that its pretoken needs more
    when exactly this occurrence is forbidden: the best path then either has a boundary strictly
    inside of it or a longer token that spans it.

    Args:
        longest: bytes of the longest token.
        weights: [pretokens] how often each occurs.
        costs, uses: [ids] added to: prices of, and numbers of, all occurrences.

    Returns:
        Tokens of the whole corpus.
    """
    room = 1
    begin = 0
    for k in range(len(ends)):
        room = max(room, ends[k] - begin)
        begin = ends[k]
    before = np.empty(room + 1, np.int64)  # fewest tokens of what comes before a place
    behind = np.empty(room + 1, np.int64)  # and of what comes behind it
    starts = np.empty(room + 1, np.int64)
    tokens = np.empty(room + 1, np.int64)
    total = 0
    begin = 0
    for k in range(len(ends)):
        count = ends[k] - begin
        for n in range(1, count + 1):
            before[n] = _UNREACHED
        before[0] = 0
        for n in range(count):
            node = 0
            for stop in range(n + 1, count + 1):
                node = child(edges, node, data[begin + stop - 1])
                if node < 0:
                    break
                if node <= size and before[n] + 1 < before[stop]:
                    before[stop] = before[n] + 1
                    starts[stop] = n
                    tokens[stop] = node - 1
        behind[count] = 0
        for n in range(count - 1, -1, -1):
            behind[n] = _UNREACHED
            node = 0
            for stop in range(n + 1, count + 1):
                node = child(edges, node, data[begin + stop - 1])
                if node < 0:
                    break
                if node <= size and behind[stop] + 1 < behind[n]:
                    behind[n] = behind[stop] + 1
        fewest = before[count]
        total += fewest * weights[k]
        right = count
        while right > 0:
            left = starts[right]
            uses[tokens[right]] += weights[k]
            if right - left > 1:
                otherwise = _UNREACHED
                for n in range(left + 1, right):
                    otherwise = min(otherwise, before[n] + behind[n])
                n = left
                while otherwise > fewest and n >= 0 and n > right - longest - 1:
                    node = 0
                    for stop in range(n + 1, count + 1):
                        node = child(edges, node, data[begin + stop - 1])
                        if node < 0:
                            break
                        if node <= size and stop >= right and (n < left or stop > right):
                            otherwise = min(otherwise, before[n] + 1 + behind[stop])
                    n -= 1
                costs[tokens[right]] += (otherwise - fewest) * weights[k]
            right = left
        begin = ends[k]
    return total
