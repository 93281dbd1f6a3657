"""Cut UTF-8 texts into pretokens, compiled: a backtracking matcher for small regexes.

`scanning_program` turns a regex into rows of (operation, x, y, z) and its character sets into a
table of kinds. Alternatives are tried in order and repeats are greedy, as in Perl and `regex`. No
operation leads backwards but the end of a possessive loop, which keeps nothing to come back to,
so the stack is never deeper than the program is long.
"""
# mypy: disallow-untyped-defs=False, disallow-untyped-calls=False, disallow-untyped-decorators=False

from __future__ import annotations

import numpy as np

from operators.compiled import njit

# SPAN set, least, most: characters of a set, as many as possible. POSSESSIVE: and no fewer later.
# SPLIT other: go on; if that fails, at `other`. JUMP to. MATCH.
# LOOK on, negative: what follows until LOOK_END must (not) match here; then at `on`.
# ATOMIC ... ATOMIC_END: what matched between them is not tried in another way.
# LOOP exit ... LOOP_END start: as often as possible, each time atomic.
SPAN, POSSESSIVE, SPLIT, JUMP, MATCH, LOOK, LOOK_END, ATOMIC, ATOMIC_END, LOOP, LOOP_END = range(11)

# Frames of the stack: (what, where in the program, where in the text, more).
_OTHER, _RETREAT, _EXIT, _WANTED, _UNWANTED, _FENCE = range(6)


@njit(cache=True, nogil=True)
def _kind_at(kinds, data, at):
    """(kind of the character at a place, where the next one begins)."""
    lead = np.int64(data[at])
    if lead < 0x80:
        return np.int64(kinds[lead]), at + 1
    if lead < 0xE0:
        code = (lead & 0x1F) << 6 | np.int64(data[at + 1]) & 0x3F
        return np.int64(kinds[code]), at + 2
    if lead < 0xF0:
        code = (
            (lead & 0x0F) << 12
            | (np.int64(data[at + 1]) & 0x3F) << 6
            | np.int64(data[at + 2]) & 0x3F
        )
        return np.int64(kinds[code]), at + 3
    code = (
        (lead & 0x07) << 18
        | (np.int64(data[at + 1]) & 0x3F) << 12
        | (np.int64(data[at + 2]) & 0x3F) << 6
        | np.int64(data[at + 3]) & 0x3F
    )
    return np.int64(kinds[code]), at + 4


@njit(cache=True, nogil=True)
def _match(  # noqa: PLR0915 - one machine, one loop
    program, members, kinds, data, begin, end, stack
):
    """Where a match that begins at `begin` ends, or -1."""
    pc = 0
    at = begin
    height = 0
    mark = -1  # the highest frame that an END looks for; its fourth number is the one below
    while True:
        operation = program[pc, 0]
        failed = False
        if operation in (SPAN, POSSESSIVE):
            held = program[pc, 1]
            least, most = program[pc, 2], program[pc, 3]
            count = 0
            enough = at
            while at < end and count < most:
                kind, following = _kind_at(kinds, data, at)
                if not members[held, kind]:
                    break
                at = following
                count += 1
                if count == least:
                    enough = at
            if count < least:
                failed = True
            else:
                if operation == SPAN and count > least:
                    stack[height, 0] = _RETREAT
                    stack[height, 1] = pc + 1
                    stack[height, 2] = at
                    stack[height, 3] = enough
                    height += 1
                pc += 1
        elif operation == MATCH:
            return at
        elif operation == SPLIT:
            stack[height, 0] = _OTHER
            stack[height, 1] = program[pc, 1]
            stack[height, 2] = at
            height += 1
            pc += 1
        elif operation == JUMP:
            pc = program[pc, 1]
        elif operation == LOOK:
            stack[height, 0] = _UNWANTED if program[pc, 2] else _WANTED
            stack[height, 1] = program[pc, 1]
            stack[height, 2] = at
            stack[height, 3] = mark
            mark = height
            height += 1
            pc += 1
        elif operation in (ATOMIC, LOOP):
            stack[height, 0] = _FENCE if operation == ATOMIC else _EXIT
            stack[height, 1] = program[pc, 1]
            stack[height, 2] = at
            stack[height, 3] = mark
            mark = height
            height += 1
            pc += 1
        else:  # an END: forget the frames since its beginning
            height = mark
            mark = stack[height, 3]
            if operation == LOOK_END:
                if stack[height, 0] == _UNWANTED:
                    failed = True
                else:
                    at = stack[height, 2]
                    pc = stack[height, 1]
            elif operation == ATOMIC_END:
                pc += 1
            else:
                pc = program[pc, 1]
        while failed:
            if height == 0:
                return -1
            height -= 1
            what = stack[height, 0]
            if what == _RETREAT:
                at = stack[height, 2] - 1
                while data[at] & 0xC0 == 0x80:
                    at -= 1
                pc = stack[height, 1]
                if at > stack[height, 3]:
                    stack[height, 2] = at
                    height += 1
                failed = False
            elif what == _OTHER:
                pc = stack[height, 1]
                at = stack[height, 2]
                failed = False
            else:
                mark = stack[height, 3]
                if what in (_EXIT, _UNWANTED):
                    pc = stack[height, 1]
                    at = stack[height, 2]
                    failed = False


@njit(cache=True, nogil=True)
def scan(program, members, kinds, data, text_ends, ends, groups):
    """Cut texts into pretokens: the matches, and what lies between them.

    Args:
        text_ends: [texts] where each text ends in `data`.
        ends: room for as many numbers as there are bytes; where each pretoken ends.
        groups: [texts + 1] written here: pretokens groups[t] to groups[t + 1] are those of text t.

    Returns:
        The number of pretokens.
    """
    stack = np.empty((len(program) + 1, 4), np.int64)
    count = 0
    groups[0] = 0
    begin = 0
    for t in range(len(text_ends)):
        stop = text_ends[t]
        at = begin
        while at < stop:
            end = _match(program, members, kinds, data, at, stop, stack)
            if end < 0:
                _, at = _kind_at(kinds, data, at)
                continue
            if at > begin:
                ends[count] = at
                count += 1
            ends[count] = end
            count += 1
            begin = at = end
        if stop > begin:
            ends[count] = stop
            count += 1
        begin = stop
        groups[t + 1] = count
    return count
