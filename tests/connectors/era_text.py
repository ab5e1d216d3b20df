"""Writes 835 text for tests: valid envelopes with right counts around whatever loops a test wants to see."""

from __future__ import annotations

from collections.abc import Sequence

CONTROL = "000000042"


def era(*loops: str, paid: str = "75.00", trace: str = "EFT5550001", payer: str = "1912345678", plb: str = "") -> str:
    """An 835 of one check with these CLP loops; every segment is written with `*`, `:` and `~`."""
    return envelope([check(*loops, paid=paid, trace=trace, payer=payer, plb=plb)])


def check(
    *loops: str, paid: str = "75.00", trace: str = "EFT5550001", payer: str = "1912345678", plb: str = "", control: str = "0001"
) -> list[str]:
    """The segments of one ST."""
    body = [segment for loop in loops for segment in loop.split("~") if segment]
    segments = [
        f"ST*835*{control}",
        f"BPR*I*{paid}*C*ACH*CCP*01*111000025*DA*12345*1512345678**01*111000025*DA*98765*20260303",
        f"TRN*1*{trace}*{payer}",
        "DTM*405*20260303",
        "N1*PR*EXAMPLE DENTAL PLAN",
        "N1*PE*HARBOR DENTAL*XX*1234567893",
        "LX*1",
        *body,
        *([plb] if plb else []),
    ]
    return [*segments, f"SE*{len(segments) + 1}*{control}"]


def envelope(sets: Sequence[Sequence[str]], *, on: str = "260303", at: str = "0930", component: str = ":") -> str:
    """ISA to IEA around sets of segments."""
    blank = " " * 10
    isa = f"ISA*00*{blank}*00*{blank}*ZZ*{'DENTPAYER':15}*ZZ*{'HARBORDENTAL':15}*{on}*{at}*^*00501*{CONTROL}*0*P*{component}"
    group = "GS*HP*DENTPAYER*HARBORDENTAL*20260303*0930*7*X*005010X221A1"
    segments = [isa, group, *(s for one in sets for s in one), f"GE*{len(sets)}*7", f"IEA*1*{CONTROL}"]
    return "~\n".join(segments) + "~\n"
