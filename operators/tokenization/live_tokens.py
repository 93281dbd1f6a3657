"""Which token can follow which: the tokens of encoded texts, and no other sequences.

A sequence of ids is *live* when the encoding of some text begins with it. A language model also
gives probability to sequences that are not, such as "hel" + "lo" where "hello" is one token; no
text is ever encoded so.

Phan et al. (2024) call a sequence valid when its own bytes, encoded as a whole text, give it back.
For prefixes that is too strict as soon as a pre-tokenizer looks ahead. GPT-2's regex cuts
"a\\n\\nb" into "a", "\\n", "\\n", "b", but the text "a\\n\\n" into "a", "\\n\\n": the prefix
[a][\\n][\\n] of a correct encoding is not itself a correct encoding of its bytes. So here a text
is looked for that begins with the bytes *and whose encoding begins with the ids*: what is found
is proven by that text. It is sought among the bytes themselves and the bytes with up to two more
characters, one of each kind that the regex tells apart (`TextEndings`); that is enough for every
named pre-tokenizer. What is not found counts as dead. For a regex that looks farther ahead than
two characters this can be wrong: `unproven` finds such places in texts, and scoring a text raises
an error at one.

Texts are UTF-8. A sequence that ends inside of a character is live when some way to finish the
character makes it so, and nothing that cannot become UTF-8 is ever live. How a pre-tokenizer would
treat half a character is therefore never asked.

What a long text is cut into before its last settled boundary has no influence on what comes after
it (`PretokenReach`), so the search always works on the last few tokens, the *window*. Where the
regex is unknown, or has look-behind or anchors, the window is the whole text: slow, and right.
"""

from __future__ import annotations

from collections import OrderedDict
from collections.abc import Iterable, Sequence
from itertools import pairwise

import numpy as np
import numpy.typing as npt

from operators.tokenization.cover_tokenizer import CoverTokenizer
from operators.tokenization.pretoken_reach import PretokenReach
from operators.tokenization.pretokenization import PRETOKENIZERS
from operators.tokenization.scanning_program import scanning_program
from operators.tokenization.text_endings import TextEndings, partial_character, text_beginning

Ids = npt.NDArray[np.int64]
Window = tuple[int, ...]

_UNKNOWN, _DEAD, _LIVE = -1, 0, 1
_WHOLE, _PARTIAL, _NO_TEXT = range(3)
_NO_KIND = -1

# Bytes of memory for what is known of windows; those longest not asked for are forgotten.
_MEMORY = 1 << 26

# Endings tried for one way of cutting, where the first tokens depend on what follows.
_TRIES = 16

# Shapes of windows, with a next character each, whose ways to be cut are remembered.
_MOST_SHAPES = 1 << 16

# Texts that are cut or encoded in one call.
_BATCH = 1 << 14


class LiveTokens:
    """Answers for one tokenizer, remembered by window.

    Args:
        tokenizer: see `cover_tokenizer`.
    """

    def __init__(self, tokenizer: CoverTokenizer) -> None:
        self.tokenizer = tokenizer
        program = None if tokenizer.pattern is None else scanning_program(tokenizer.pattern)
        self._program = program
        self._reach = None if program is None else PretokenReach(program)
        # With an unknown regex there is no quick way to sort endings out: fewer are tried, with
        # the kinds of characters that common regexes tell apart.
        common = program or scanning_program(PRETOKENIZERS["gpt4"])
        assert common is not None
        self._endings = TextEndings(common, tokenizer.tokens, depth=1 if program is None else 2)
        self._states, self._kinds = self._describe(tokenizer.tokens)
        self._rows: OrderedDict[Window, npt.NDArray[np.int8]] = OrderedDict()
        self._ways: dict[tuple[tuple[int, ...], int], int | None] = {}
        self._most_rows = max(_MEMORY // max(len(tokenizer.tokens), 1), 64)

    def after(self, window: Window, wanted: Ids | None = None) -> npt.NDArray[np.bool_]:
        """Which tokens may follow, [V].

        Args:
            window: the ids since a settled boundary, or since the beginning of the text; live.
            wanted: decide about these ids only; others are given as dead unless they are known.
        """
        row = self._rows.get(window)
        if row is None:
            row = np.where(self._states == _NO_TEXT, _DEAD, _UNKNOWN).astype(np.int8)
            continuing = self._partial_of(window)
            if continuing:
                row = self._continuing_row()
            self._rows[window] = row
            if len(self._rows) > self._most_rows:
                self._rows.popitem(last=False)
        else:
            self._rows.move_to_end(window)
        open_ids = np.flatnonzero(row == _UNKNOWN) if wanted is None else wanted
        open_ids = open_ids[row[open_ids] == _UNKNOWN]
        if len(open_ids):
            row[open_ids] = _DEAD
            row[self._live_among(window, open_ids)] = _LIVE
        live: npt.NDArray[np.bool_] = row == _LIVE
        return live

    def ends(self, window: Window) -> bool:
        """Whether a text can end here: the ids are the encoding of their bytes."""
        data = self._bytes_of(window)
        if partial_character(data) != b"":
            return False
        return list(self.tokenizer.encode_batch([data.decode()])[0]) == list(window)

    def settled(self, tail: bytes) -> int:
        """The last boundary of pretokens, in bytes, that no continuation of the tail can move.

        Args:
            tail: of a text, from its beginning or from a settled boundary on.
        """
        if self._reach is None:
            return 0
        text, _ = text_beginning(tail)
        boundaries = self._reach.settled(text)
        return len(text[: boundaries[-1]].encode()) if boundaries else 0

    def unproven(self, texts: Iterable[str]) -> list[tuple[int, int]]:
        """Places in encoded texts that the search takes for dead although a text stands there.

        Returns:
            (index of the text, number of the token); empty if all is well, as it is for the named
            pre-tokenizers. Try a regex of your own on some texts before you rely on it.
        """
        places = []
        for index, text in enumerate(texts):
            ids = tuple(self.tokenizer.encode(text))
            data = text.encode()
            first = start = end = 0
            for number, token in enumerate(ids):
                window = ids[first:number]
                if not self.after(window, np.array([token]))[token]:
                    places.append((index, number))
                end += len(self.tokenizer.tokens[token])
                step = self.settled(data[start:end])
                if step:
                    first, start = self.tokens_in(ids, first, step), start + step
        return places

    def tokens_in(self, ids: Sequence[int], first: int, size: int) -> int:
        """The number after `first` of the token that begins `size` bytes on; -1 if none does."""
        at = first
        while size > 0 and at < len(ids):
            size -= len(self.tokenizer.tokens[ids[at]])
            at += 1
        return at if size == 0 else -1

    def _live_among(self, window: Window, ids: Ids) -> Ids:
        """Those of `ids` that may follow. None is known to be no text."""
        data = self._bytes_of(window)
        if self._program is None or partial_character(data) or not window:
            return self._search(window, data, ids, frozenset())
        text = data.decode()
        certain = set()
        found: list[Ids] = []
        searched = [ids[self._kinds[ids] == _NO_KIND]]
        kinds = [kind for kind in np.unique(self._kinds[ids]).tolist() if kind != _NO_KIND]
        ways = self._ways_before(text, kinds)
        for kind in kinds:
            group = ids[self._kinds[ids] == kind]
            if ways[kind] is None:
                # A new pretoken begins here: what may come is what may begin a text.
                if self._starts_with(text + self._endings.of_kind(kind), window):
                    found.append(group[self.after((), group)[group]])
            else:
                searched.append(group)
                if self.tokenizer.prefix_closed and ways[kind] == 1:
                    certain.add(kind)
        found.append(self._search(window, data, np.concatenate(searched), frozenset(certain)))
        return np.concatenate(found)

    def _ways_before(self, text: str, kinds: Sequence[int]) -> dict[int, int | None]:
        """For each kind of next character, in how many ways `text` itself can be cut.

        None if its end is a boundary for certain, with all before it. A regex sees nothing but
        kinds, so texts of the same kinds have the same answer.
        """
        assert self._reach is not None
        shape = tuple(map(self._endings.kind_of, text))
        size = len(text.encode())
        texts, owners = [], []
        for kind in kinds:
            if (shape, kind) in self._ways:
                continue
            followed = text + self._endings.of_kind(kind)
            if len(text) in self._reach.settled(followed):
                self._ways[shape, kind] = None
                continue
            endings = self._endings.after(followed.encode()[-1])
            texts += [followed + ending for ending in endings]
            owners += [kind] * len(endings)
        different: dict[int, set[tuple[int, ...]]] = {}
        for kind, cuts in zip(owners, self._boundaries(texts), strict=True):
            different.setdefault(kind, set()).add(tuple(cut for cut in cuts if cut <= size))
        for kind, found in different.items():
            self._ways[shape, kind] = len(found)
        ways = {kind: self._ways[shape, kind] for kind in kinds}
        while len(self._ways) > _MOST_SHAPES:
            self._ways.pop(next(iter(self._ways)))
        return ways

    def _search(self, window: Window, data: bytes, ids: Ids, certain: frozenset[int]) -> Ids:
        """Those of `ids` for which a text is found.

        Args:
            data: bytes of the window.
            certain: kinds of a token's first character for which the window is cut in one way
                only, under an encoder whose pretokens are prefix-closed.
        """
        live: list[int] = []
        failed: list[tuple[int, bytes, bytes]] = []
        texts, tokens, wholes = [], [], []
        for number in ids.tolist():
            candidate = data + self.tokenizer.tokens[number]
            partial = partial_character(candidate)
            if partial is None:
                continue
            whole = candidate[: len(candidate) - len(partial)].decode()
            if partial:
                endings = self._endings.completing(partial)
                if not endings:
                    continue
                whole += endings[0]
            texts.append(whole)
            tokens.append(number)
            wholes.append((number, candidate, partial))
        for entry, right in zip(wholes, self._begin_with(texts, window, tokens), strict=True):
            if right:
                live.append(entry[0])
            else:
                failed.append(entry)
        failed = self._undecided(failed, len(data), certain)
        texts, tokens = [], []
        for number, candidate, partial in failed:
            for text in self._other_texts(window, number, candidate, partial):
                texts.append(text)
                tokens.append(number)
        right = self._begin_with(texts, window, tokens)
        live += {number for number, well in zip(tokens, right, strict=True) if well}
        return np.array(sorted(live), np.int64)

    def _undecided(
        self, failed: list[tuple[int, bytes, bytes]], size: int, certain: frozenset[int]
    ) -> list[tuple[int, bytes, bytes]]:
        """Without those that no ending can help.

        The window is cut in one way, and the token itself is not cut. Whatever follows, the
        pretoken that the token lies in has the same bytes up to the token's end as it has here,
        where they were encoded otherwise; and prefix-closed pretokens begin alike.
        """
        if not certain:
            return failed
        doubtful = [
            partial == b"" and self._kinds[number] in certain for number, _, partial in failed
        ]
        cuts = self._boundaries(
            [entry[1].decode() for entry, is_so in zip(failed, doubtful, strict=True) if is_so]
        )
        kept = []
        at = 0
        for entry, is_so in zip(failed, doubtful, strict=True):
            if is_so:
                inside = any(size < cut < len(entry[1]) for cut in cuts[at])
                at += 1
                if not inside:
                    continue
            kept.append(entry)
        return kept

    def _other_texts(
        self, window: Window, number: int, candidate: bytes, partial: bytes
    ) -> list[str]:
        """Texts that may be encoded with the window and this token first; the first one is not."""
        if partial:
            endings = self._endings.completing(partial)
        else:
            endings = self._endings.after(candidate[-1])
        whole = candidate[: len(candidate) - len(partial)].decode()
        if self._program is None:
            return [whole + ending for ending in endings[1:]]
        allowed = {0}
        for one in (*window, number):
            allowed.add(max(allowed) + len(self.tokenizer.tokens[one]))
        closed = self.tokenizer.prefix_closed
        size = len(candidate)
        by_cut: dict[tuple[int, ...], list[int]] = {}
        cuts = self._boundaries([whole + ending for ending in endings])
        for at, ends in enumerate(cuts):
            # Whether the pretoken ends here, too, matters only where it is not prefix-closed.
            inside = tuple(cut for cut in ends if cut < size or (cut == size and not closed))
            if allowed.issuperset(inside):
                by_cut.setdefault(inside, []).append(at)
        texts = []
        for group in by_cut.values():
            chosen = group if len(group) <= _TRIES else group[:: -(-len(group) // _TRIES)]
            if closed:
                apart = [
                    at for at in group if self._is_apart(candidate[-1], endings[at], len(partial))
                ]
                # Up to a token boundary all of them are encoded alike: one try will do.
                chosen = apart[:1] or group
            texts += [whole + endings[at] for at in chosen if at > 0]
        return texts

    def _is_apart(self, last_byte: int, ending: str, skipped: int) -> bool:
        following = ending.encode()[skipped:]
        return not following or not self._endings.joined[last_byte, following[0]]

    def _begin_with(
        self, texts: Sequence[str], window: Window, tokens: Sequence[int]
    ) -> list[bool]:
        """Whether each text is encoded with the window and its token first."""
        right = []
        size, head = len(window), list(window)
        for at in range(0, len(texts), _BATCH):
            encoded = self.tokenizer.encode_batch(texts[at : at + _BATCH])
            right += [
                len(ids) > size and ids[size] == token and list(ids[:size]) == head
                for ids, token in zip(encoded, tokens[at : at + _BATCH], strict=True)
            ]
        return right

    def _starts_with(self, text: str, window: Window) -> bool:
        ids = self.tokenizer.encode_batch([text])[0]
        return list(ids[: len(window)]) == list(window)

    def _boundaries(self, texts: Sequence[str]) -> list[list[int]]:
        """Where the pretokens of each text end, in bytes."""
        assert self._program is not None
        found: list[list[int]] = []
        for at in range(0, len(texts), _BATCH):
            encoded = [text.encode() for text in texts[at : at + _BATCH]]
            data = np.frombuffer(b"".join(encoded), np.uint8)
            sizes = np.fromiter(map(len, encoded), np.int64, len(encoded))
            text_ends = np.cumsum(sizes)
            ends, groups = self._program.split(data, text_ends)
            local = ends - np.repeat(text_ends - sizes, np.diff(groups))
            flat, bounds = local.tolist(), groups.tolist()
            found += [flat[a:b] for a, b in pairwise(bounds)]
        return found

    def _describe(
        self, tokens: Sequence[bytes]
    ) -> tuple[npt.NDArray[np.int8], npt.NDArray[np.int64]]:
        """Of each token: whether a text can begin with it; the kind of its first character."""
        states = np.full(len(tokens), _NO_TEXT, np.int8)
        kinds = np.full(len(tokens), _NO_KIND, np.int64)
        for number, token in enumerate(tokens):
            if not token or number in self.tokenizer.special_ids:
                continue
            partial = partial_character(token)
            if partial is None:
                continue
            states[number] = _PARTIAL if partial else _WHOLE
            if len(partial) < len(token):
                first = token[: len(token) - len(partial)].decode()[0]
                kinds[number] = self._endings.kind_of(first)
        return states, kinds

    def _continuing_row(self) -> npt.NDArray[np.int8]:
        """Inside of a character only tokens that go on with it are in question."""
        row = np.full(len(self.tokenizer.tokens), _DEAD, np.int8)
        for number, token in enumerate(self.tokenizer.tokens):
            if token and token[0] & 0xC0 == 0x80 and number not in self.tokenizer.special_ids:
                row[number] = _UNKNOWN
        return row

    def _partial_of(self, window: Window) -> bytes:
        return partial_character(self._bytes_of(window)) or b""

    def _bytes_of(self, window: Window) -> bytes:
        return b"".join(self.tokenizer.tokens[number] for number in window)
