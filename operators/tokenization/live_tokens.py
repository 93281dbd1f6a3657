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
from collections.abc import Iterable, Iterator, Sequence
from itertools import chain

import numpy as np
import numpy.typing as npt

from operators.tokenization.cover_tokenizer import CoverTokenizer
from operators.tokenization.pretoken_reach import PretokenReach
from operators.tokenization.pretokenization import PRETOKENIZERS
from operators.tokenization.scanning_program import scanning_program
from operators.tokenization.text_endings import TextEndings, partial_character, text_beginning

Ids = npt.NDArray[np.int64]
Flags = npt.NDArray[np.bool_]
Window = tuple[int, ...]

# How a window can be cut when a certain kind of character comes next: in several ways; in one;
# in one, and a new pretoken begins there.
_SEVERAL, _ONE, _ANEW = range(3)
# Stands behind all kinds, for tokens that begin with no character or one that has no kind.
_NO_KIND = 256

# Bytes of memory for what is known of windows; those longest not asked for are forgotten.
_MEMORY = 1 << 26

# Endings tried for one way of cutting, where the first tokens depend on what follows.
_TRIES = 16

# Shapes of windows whose ways to be cut are remembered, and the characters of the longest one.
_MOST_SHAPES = 1 << 14
_LONGEST_SHAPE = 48

# Bytes of texts that are cut or encoded in one call.
_BATCH = 1 << 22


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
        self._describe(tokenizer.tokens)
        self._rows: OrderedDict[Window, Flags] = OrderedDict()
        self._ways: OrderedDict[bytes, npt.NDArray[np.int8]] = OrderedDict()
        self._most_rows = max(_MEMORY // max(len(tokenizer.tokens), 1), 64)

    def after(self, window: Window) -> Flags:
        """Which tokens may follow, [V].

        Args:
            window: the ids since a settled boundary, or since the beginning of the text; live.
        """
        row = self._rows.get(window)
        if row is None:
            row = self._rows[window] = np.zeros(len(self.tokenizer.tokens), np.bool_)
            row[self._live_after(window)] = True
            row.flags.writeable = False
            if len(self._rows) > self._most_rows:
                self._rows.popitem(last=False)
        else:
            self._rows.move_to_end(window)
        return row

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
                if not self.after(window)[token]:
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

    def _live_after(self, window: Window) -> Ids:
        data = self._bytes_of(window)
        inside = partial_character(data)
        ids = np.flatnonzero(self._continuing if inside else self._beginning)
        if self._program is None or not window or inside:
            return self._search(window, data, ids, certain=np.zeros(_NO_KIND + 1, np.bool_))
        ways = self._ways_to_cut(data.decode())
        anew = ways[self._kinds[ids]] == _ANEW
        begin = np.zeros(_NO_KIND + 1, np.bool_)
        kinds = np.flatnonzero(ways == _ANEW)
        followers = [self._endings.of_kind(kind) for kind in kinds.tolist()]
        begin[kinds] = self._begins(data, followers, window[:-1], np.full(len(kinds), window[-1]))
        # Behind a boundary may come what may begin a text.
        fresh = anew & begin[self._kinds[ids]] & self.after(())[ids]
        certain = (ways == _ONE) & self.tokenizer.prefix_closed
        return np.concatenate([ids[fresh], self._search(window, data, ids[~anew], certain)])

    def _ways_to_cut(self, text: str) -> npt.NDArray[np.int8]:
        """For each kind of next character, in what ways `text` itself can be cut.

        A regex sees nothing but kinds, so texts of the same kinds have the same answer.
        """
        shape = bytes(map(self._endings.kind_of, text))
        ways = self._ways.get(shape)
        if ways is not None:
            self._ways.move_to_end(shape)
            return ways
        data = text.encode()
        tails, owners = self._followers
        texts = np.bincount(owners, minlength=_NO_KIND + 1)
        cut_here = np.zeros((_NO_KIND + 1, len(data) + 1), np.int64)
        cuts, numbers = self._boundaries(data, tails)
        inside = cuts <= len(data)
        np.add.at(cut_here, (owners[numbers[inside]], cuts[inside]), 1)
        always = cut_here == texts[:, None]
        in_one_way = (always | (cut_here == 0)).all(axis=1) & (texts > 0)
        ways = np.where(in_one_way, np.where(always[:, -1], _ANEW, _ONE), _SEVERAL).astype(np.int8)
        if len(shape) <= _LONGEST_SHAPE:
            self._ways[shape] = ways
            if len(self._ways) > _MOST_SHAPES:
                self._ways.popitem(last=False)
        return ways

    def _search(self, window: Window, data: bytes, ids: Ids, certain: Flags) -> Ids:
        """Those of `ids` for which a text is found.

        Args:
            data: bytes of the window.
            certain: [kinds] of a token's first character: whether the window is cut in one way
                only, under an encoder whose pretokens are prefix-closed.
        """
        inside = partial_character(data)
        if inside:
            endings = {
                number: self._endings_of(inside + self.tokenizer.tokens[number])
                for number in ids.tolist()
            }
            ids = np.array([number for number, some in endings.items() if some], np.int64)
            tails = [self.tokenizer.tokens[number] + endings[number][0] for number in ids.tolist()]
        else:
            tails = [self._texts[number] for number in ids.tolist()]
        right = self._begins(data, tails, window, ids)
        live = [ids[right]]
        failed, tails = ids[~right], [tails[at] for at in np.flatnonzero(~right).tolist()]
        # Of these no ending can help some: the window is cut in one way, and the token is not cut
        # at all. Whatever follows, the pretoken that the token lies in has the same bytes up to
        # the token's end as it has here, where they were encoded otherwise; and prefix-closed
        # pretokens begin alike.
        doubtful = ~(certain[self._kinds[failed]] & self._whole[failed])
        if not doubtful.all():
            cuts, numbers = self._boundaries(data, tails)
            ends = len(data) + np.fromiter(map(len, tails), np.int64, len(tails))
            doubtful[numbers[(cuts > len(data)) & (cuts < ends[numbers])]] = True
        texts: list[bytes] = []
        owners: list[int] = []
        for number in failed[doubtful].tolist():
            token = self.tokenizer.tokens[number]
            some = endings[number] if inside else self._endings_of(token)
            others = self._other_endings(window, data + token, number, some)
            texts += [token + ending for ending in others]
            owners += [number] * len(others)
        tried = np.array(owners, np.int64)
        live.append(tried[self._begins(data, texts, window, tried)])
        return np.unique(np.concatenate(live))

    def _endings_of(self, written: bytes) -> tuple[bytes, ...]:
        """What may follow these bytes, the first of it first; nothing if no UTF-8 begins so."""
        partial = partial_character(written)
        if partial is None:
            return ()
        if partial:
            return self._endings.completing(partial)
        return self._endings.after(written[-1])

    def _other_endings(
        self, window: Window, written: bytes, number: int, endings: Sequence[bytes]
    ) -> list[bytes]:
        """Those that may make the token live where the first one does not.

        Args:
            written: bytes of the window and of token `number`.
        """
        if self._program is None:
            return list(endings[1:])
        closed = self.tokenizer.prefix_closed
        sizes = [len(self.tokenizer.tokens[one]) for one in (*window, number)]
        allowed = {0, *np.cumsum(sizes).tolist()}
        cuts, owners = self._boundaries(written, endings)
        # Whether the pretoken ends here, too, matters only where it is not prefix-closed.
        inside = cuts < len(written) + (not closed)
        cuts_of: list[list[int]] = [[] for _ in endings]
        for at, cut in zip(owners[inside].tolist(), cuts[inside].tolist(), strict=True):
            cuts_of[at].append(cut)
        by_cuts: dict[tuple[int, ...], list[int]] = {}
        for at, some in enumerate(cuts_of):
            if allowed.issuperset(some):
                by_cuts.setdefault(tuple(some), []).append(at)
        chosen: list[int] = []
        for group in by_cuts.values():
            if closed:
                # Up to a token boundary all of them are encoded alike: one try will do.
                apart = [at for at in group if self._endings.is_apart(written[-1], endings[at])]
                chosen += apart[:1] or group
            else:
                chosen += group if len(group) <= _TRIES else group[:: -(-len(group) // _TRIES)]
        return [endings[at] for at in chosen if at > 0]

    def _begins(self, data: bytes, tails: Sequence[bytes], window: Window, tokens: Ids) -> Flags:
        """Whether `data` with each tail is encoded with the window first and then its token."""
        right = np.zeros(len(tails), np.bool_)
        for first, texts, text_ends in _laid(data, tails):
            ids, ends = self.tokenizer.encode_utf8(texts, text_ends)
            starts = np.concatenate([[0], ends[:-1]])
            rows = np.flatnonzero(ends - starts > len(window))
            for place, wanted in ((len(window), tokens[first + rows]), *enumerate(window)):
                fits = ids[starts[rows] + place] == wanted
                rows = rows[fits]
            right[first + rows] = True
        return right

    def _boundaries(self, data: bytes, tails: Sequence[bytes]) -> tuple[Ids, Ids]:
        """Where the pretokens of `data` with each tail end, in bytes; of which tail each is."""
        assert self._program is not None
        cuts, numbers = [np.empty(0, np.int64)], [np.empty(0, np.int64)]
        for first, texts, text_ends in _laid(data, tails):
            ends, groups = self._program.split(texts, text_ends)
            owners = np.repeat(np.arange(len(text_ends)), np.diff(groups))
            starts = np.concatenate([[0], text_ends[:-1]])
            cuts.append(ends - starts[owners])
            numbers.append(first + owners)
        return np.concatenate(cuts), np.concatenate(numbers)

    def _describe(self, tokens: Sequence[bytes]) -> None:
        """What each token is by itself, and what can be said of all windows alike."""
        self._beginning = np.zeros(len(tokens), np.bool_)
        self._continuing = np.zeros(len(tokens), np.bool_)
        self._whole = np.zeros(len(tokens), np.bool_)
        self._kinds = np.full(len(tokens), _NO_KIND, np.int64)
        self._texts = [b""] * len(tokens)
        for number, token in enumerate(tokens):
            if not token or number in self.tokenizer.special_ids:
                continue
            self._continuing[number] = token[0] & 0xC0 == 0x80
            endings = self._endings_of(token)
            if not endings:
                continue
            self._beginning[number] = True
            self._texts[number] = token + endings[0]
            self._whole[number] = partial_character(token) == b""
            first = token[: len(token) - len(partial_character(token) or b"")].decode()[:1]
            if first and self._endings.kind_of(first) in self._endings.kinds:
                self._kinds[number] = self._endings.kind_of(first)
        characters = {kind: self._endings.of_kind(kind) for kind in self._endings.kinds}
        following = {
            kind: [one + ending for ending in self._endings.after(one[-1])]
            for kind, one in characters.items()
        }
        owners = [kind for kind, some in following.items() for _ in some]
        self._followers = list(chain.from_iterable(following.values())), np.array(owners, np.int64)

    def _bytes_of(self, window: Window) -> bytes:
        return b"".join(self.tokenizer.tokens[number] for number in window)


def _laid(data: bytes, tails: Sequence[bytes]) -> Iterator[tuple[int, npt.NDArray[np.uint8], Ids]]:
    """Texts, which are `data` with a tail each, end to end: (number of the first, bytes, ends)."""
    step = max(_BATCH // (len(data) + 8), 1)
    for first in range(0, len(tails), step):
        some = tails[first : first + step]
        sizes = len(data) + np.fromiter(map(len, some), np.int64, len(some))
        yield first, np.frombuffer(data + data.join(some), np.uint8), np.cumsum(sizes)
