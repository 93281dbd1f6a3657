"""How file names and URLs write languages."""

from __future__ import annotations

_CODES = """
afr:af amh:am arb:ar/ara azj:az/aze bel:be ben:bn bod:bo/tib bos:bs bul:bg cat:ca ces:cs/cze
cym:cy/wel dan:da deu:de/ger dzo:dz ekk:et/est ell:el/gre eng:en epo:eo est:et eus:eu/baq fas:fa/per
fin:fi fra:fr/fre gle:ga glg:gl guj:gu hau:ha heb:he/iw hin:hi hrv:hr hun:hu hye:hy/arm ind:id
isl:is/ice ita:it jpn:ja/jp kan:kn kat:ka/geo kaz:kk khm:km khk:mn/mon kir:ky kor:ko lao:lo
lav:lv lvs:lv/lav lit:lt ltz:lb mal:ml mar:mr mkd:mk/mac mlt:mt mya:my/bur nld:nl/dut nno:nn
nob:nb/no/nor npi:ne/nep pan:pa pbt:ps/pus pes:fa/fas/per pol:pl por:pt quy:qu/que ron:ro/rum
rus:ru sin:si slk:sk/slo slv:sl som:so spa:es sqi:sq/alb srp:sr swe:sv swh:sw/swa tam:ta tel:te
tgl:tl tha:th tir:ti tur:tr uig:ug ukr:uk urd:ur uzn:uz/uzb vie:vi xho:xh yor:yo zho:zh/chi/cn
zsm:ms/msa/may zul:zu
"""

# ISO 639-3 -> ISO 639-1, and the other codes of ISO 639-2 or of common use.
TWO_LETTERS: dict[str, tuple[str, ...]] = {
    name: tuple(codes.split("/"))
    for name, _, codes in (entry.partition(":") for entry in _CODES.split())
}
