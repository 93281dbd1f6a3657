"""BPE and Picky BPE as written down: every pair counted anew at every step."""

from collections import Counter
from itertools import pairwise


def naive_training(
    words, initial, vocab_size, min_frequency=1, threshold=2.0, specials=1, words_seen=None
):
    """Tokens in the order of their making, and events with ids in that order.

    Args:
        words: pretoken (bytes) -> count; each byte is the token with those bytes.
        initial: tokens that there are already.
        words_seen: a dict that gets each word's tokens at the end.
    """
    tokens = list(initial)
    ids = {token: number for number, token in enumerate(tokens)}
    atoms = len(tokens)
    children = {}
    present = set(range(atoms))
    texts = {word: [ids[bytes([byte])] for byte in word] for word in words}
    events = []

    def frequency(token):
        return sum(words[word] * text.count(token) for word, text in texts.items())

    def fall(token):
        if token < atoms or token in present:
            return [token]
        left, right = children[token]
        return fall(left) + fall(right)

    while len(present) < vocab_size:
        pairs = Counter()
        for word, text in texts.items():
            for pair in pairwise(text):
                pairs[pair] += words[word]
        allowed = [
            pair for pair in pairs if ids.get(tokens[pair[0]] + tokens[pair[1]], atoms) >= specials
        ]
        if not allowed:
            break
        pair = min(allowed, key=lambda pair: (-pairs[pair], pair))
        if pairs[pair] < max(min_frequency, 1):
            break
        string = tokens[pair[0]] + tokens[pair[1]]
        if string not in ids:
            ids[string] = len(tokens)
            children[len(tokens)] = pair
            tokens.append(string)
        new = ids[string]
        present.add(new)
        before = {half: frequency(half) for half in pair}
        made = 0
        for word, text in texts.items():
            n = 0
            while n + 1 < len(text):
                if (text[n], text[n + 1]) == pair:
                    text[n : n + 2] = [new]
                    made += words[word]
                n += 1
        events.append(("merge", *pair, new))
        rest = {half: before[half] - made * pair.count(half) for half in pair}
        for half in dict.fromkeys(pair):
            if half < atoms or not made / (rest[half] + made) > threshold:
                continue
            present.remove(half)
            pieces = fall(half)
            for text in texts.values():
                text[:] = [x for token in text for x in (pieces if token == half else [token])]
            for piece in pieces:
                if piece in rest:
                    rest[piece] += rest[half]
            events.append(("split", half, tuple(pieces)))
    if words_seen is not None:
        words_seen.update(texts)
    return tokens, events
