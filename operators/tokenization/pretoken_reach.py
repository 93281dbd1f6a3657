"""Which pretokens of a text are the same whatever text may follow.

A pretoken is settled when the regex, looking for it, never asked for a character behind the end.
A matcher that did not look there cannot do otherwise when something stands there: this is a proof
for every regex that `scanning_program` understands. Having no look-behind and no anchors, such a
regex also cuts the rest of a text, from a settled boundary on, as if it stood alone.
"""

from __future__ import annotations

from operators.tokenization.scanning_kernels import (
    ATOMIC,
    ATOMIC_END,
    JUMP,
    LOOK,
    LOOK_END,
    LOOP,
    MATCH,
    POSSESSIVE,
    SPAN,
    SPLIT,
)
from operators.tokenization.scanning_program import ScanningProgram

_OTHER, _RETREAT, _EXIT, _WANTED, _UNWANTED, _FENCE = range(6)

# (what, where in the program, where in the text, more).
_Frame = tuple[int, int, int, int]


class PretokenReach:
    """Settled boundaries under one compiled regex."""

    def __init__(self, program: ScanningProgram) -> None:
        self._rows = [tuple(row) for row in program.rows.tolist()]
        self._members = [tuple(row) for row in program.members.tolist()]
        self._kinds = program.kinds

    def settled(self, text: str) -> list[int]:
        """The boundaries, in characters, that stay with all before them, whatever follows.

        The end of the text is among them only if it is known to be a boundary.
        """
        kinds = [int(self._kinds[ord(character)]) for character in text]
        boundaries: list[int] = []
        begin = at = 0
        while at < len(kinds):
            end, looked_beyond = self._match(kinds, at)
            if looked_beyond:
                break
            if end < 0:
                at += 1  # no pretoken begins here: this character lies between two
                continue
            if at > begin:
                boundaries.append(at)
            boundaries.append(end)
            begin = at = end
        return boundaries

    def _match(self, kinds: list[int], begin: int) -> tuple[int, bool]:
        """(end of the match at `begin` or -1, whether the end of the text was looked at).

        The machine of `scanning_kernels`, on characters.
        """
        rows, members, length = self._rows, self._members, len(kinds)
        looked_beyond = False
        pc, at, mark = 0, begin, -1
        stack: list[_Frame] = []
        while True:
            operation, x, least, most = rows[pc]
            failed = False
            if operation in (SPAN, POSSESSIVE):
                held, start = members[x], at
                while at < length and at - start < most and held[kinds[at]]:
                    at += 1
                if at == length and at - start < most:
                    looked_beyond = True
                if at - start < least:
                    failed = True
                else:
                    if operation == SPAN and at - start > least:
                        stack.append((_RETREAT, pc + 1, at, start + least))
                    pc += 1
            elif operation == MATCH:
                return at, looked_beyond
            elif operation == SPLIT:
                stack.append((_OTHER, x, at, 0))
                pc += 1
            elif operation == JUMP:
                pc = x
            elif operation in (LOOK, ATOMIC, LOOP):
                if operation == LOOK:
                    frame = _UNWANTED if least else _WANTED  # the second number of a LOOK
                else:
                    frame = _FENCE if operation == ATOMIC else _EXIT
                stack.append((frame, x, at, mark))
                mark = len(stack) - 1
                pc += 1
            else:  # an END: forget what was put by since its beginning
                frame, beyond, seen, below = stack[mark]
                del stack[mark:]
                mark = below
                if operation == LOOK_END:
                    failed = frame == _UNWANTED
                    if not failed:
                        pc, at = beyond, seen
                elif operation == ATOMIC_END:
                    pc += 1
                else:
                    pc = x
            if failed:
                retry = _step_back(stack, mark)
                if retry is None:
                    return -1, looked_beyond
                pc, at, mark = retry


def _step_back(stack: list[_Frame], mark: int) -> tuple[int, int, int] | None:
    """(where to go on in the program, where in the text, mark); None if nothing is left."""
    while stack:
        frame, beyond, seen, extra = stack.pop()
        if frame == _RETREAT:
            if seen - 1 > extra:
                stack.append((_RETREAT, beyond, seen - 1, extra))
            return beyond, seen - 1, mark
        if frame == _OTHER:
            return beyond, seen, mark
        mark = extra
        if frame in (_EXIT, _UNWANTED):
            return beyond, seen, mark
    return None
