"""Names of languages: from what files write (en, en-US, eng_Latn) to ISO 639-3 and script."""

from __future__ import annotations

import re
from functools import cache
from typing import NamedTuple

# ISO 639-1 (or -2/B) -> ISO 639-3. Where ISO names a group (ar, zh), the member that FLORES-200
# and most text mean.
_CODES = """
aa:aar ab:abk ae:ave af:afr ak:aka am:amh an:arg ar:arb as:asm av:ava ay:ayr az:azj ba:bak be:bel
bg:bul bh:bho bi:bis bm:bam bn:ben bo:bod br:bre bs:bos ca:cat ce:che ch:cha co:cos cr:cre cs:ces
cu:chu cv:chv cy:cym da:dan de:deu dv:div dz:dzo ee:ewe el:ell en:eng eo:epo es:spa et:est eu:eus
fa:pes ff:fuv fi:fin fj:fij fo:fao fr:fra fy:fry ga:gle gd:gla gl:glg gn:gug gu:guj gv:glv ha:hau
he:heb hi:hin ho:hmo hr:hrv ht:hat hu:hun hy:hye hz:her ia:ina id:ind ie:ile ig:ibo ii:iii ik:ipk
io:ido is:isl it:ita iu:iku iw:heb ja:jpn ji:ydd jv:jav jw:jav ka:kat kg:kon ki:kik kj:kua kk:kaz
kl:kal km:khm kn:kan ko:kor kr:knc ks:kas ku:kmr kv:kpv kw:cor ky:kir la:lat lb:ltz lg:lug li:lim
ln:lin lo:lao lt:lit lu:lub lv:lvs mg:plt mh:mah mi:mri mk:mkd ml:mal mn:khk mo:ron mr:mar ms:zsm
mt:mlt my:mya na:nau nb:nob nd:nde ne:npi ng:ndo nl:nld nn:nno no:nob nr:nbl nv:nav ny:nya oc:oci
oj:oji om:gaz or:ory os:oss pa:pan pi:pli pl:pol ps:pbt pt:por qu:quy rm:roh rn:run ro:ron ru:rus
rw:kin sa:san sc:srd sd:snd se:sme sg:sag sh:hbs si:sin sk:slk sl:slv sm:smo sn:sna so:som sq:als
sr:srp ss:ssw st:sot su:sun sv:swe sw:swh ta:tam te:tel tg:tgk th:tha ti:tir tk:tuk tl:tgl tn:tsn
to:ton tr:tur ts:tso tt:tat tw:twi ty:tah ug:uig uk:ukr ur:urd uz:uzn ve:ven vi:vie vo:vol wa:wln
wo:wol xh:xho yi:ydd yo:yor za:zha zh:zho zu:zul
ara:arb aze:azj chi:zho cmn:zho cze:ces dut:nld est:est ekk:est fas:pes fil:tgl fre:fra geo:kat
ger:deu gre:ell gsw:gsw arm:hye baq:eus bur:mya alb:als sqi:als ice:isl lav:lvs mac:mkd mao:mri
mon:khk msa:zsm may:zsm nep:npi nor:nob ori:ory orm:gaz per:pes pus:pbt que:quy rum:ron slo:slk
swa:swh swc:swh tib:bod uzb:uzn wel:cym yid:ydd mlg:plt kur:kmr grn:gug ful:fuv uzs:uzn cn:zho
jp:jpn
"""
_PART = re.compile(r"[A-Za-z0-9]+")


class Language(NamedTuple):
    """A language and, where it was said, its script (ISO 15924)."""

    code: str
    script: str | None

    def fits(self, other: Language) -> bool:
        """Whether the two can be one: the same language, and no two scripts said."""
        return self.code == other.code and (
            self.script is None or other.script is None or self.script == other.script
        )


@cache
def read_language(name: str) -> Language:
    """The language that a tag names: ISO 639-1 or -3, with script and region or without.

    "en", "EN-us", "eng", "eng_Latn" are one language; "zh-TW" is Chinese in Hant.

    Raises:
        ValueError: the text is no tag of a language.
    """
    parts = _PART.findall(name)
    if not parts or not (2 <= len(parts[0]) <= 8) or not parts[0].isalpha():
        raise ValueError(f'"{name}" names no language; write it as en, en-US, eng or eng_Latn')
    code = parts[0].lower()
    known = iso_639_3()
    code = known.get(code, code)
    script = next((p.title() for p in parts[1:] if len(p) == 4 and p.isalpha()), None)
    regions = {p.upper() for p in parts[1:] if len(p) == 2}
    if code == "zho" and script is None and regions:
        script = "Hant" if regions & {"TW", "HK", "MO"} else "Hans"
    return Language(code, script)


@cache
def iso_639_3() -> dict[str, str]:
    """Other codes of languages -> those of ISO 639-3 that this project uses."""
    pairs = (pair.partition(":") for pair in _CODES.split())
    return {short: long for short, _, long in pairs}


@cache
def other_codes(code: str) -> tuple[str, ...]:
    """The codes that stand for one of ISO 639-3 in names of files and addresses: eng -> en."""
    return tuple(short for short, long in iso_639_3().items() if long == code)
