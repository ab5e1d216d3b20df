"""ERA files: real ones against pyx12, and each trap that public files have shown."""

from __future__ import annotations

import time
import warnings
from collections.abc import Iterator
from decimal import Decimal
from io import StringIO
from pathlib import Path
from typing import Any
from zoneinfo import ZoneInfo

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

import connectors
from connectors import Batch, ConnectorError, Key, Row, era835, x12
from tests.connectors.era_text import check, envelope, era

FIXTURES = Path(__file__).parent.parent / "fixtures" / "connectors"
SHARED = Path(__file__).parent.parent.parent.parent / "shared" / "data" / "x12"
NEW_YORK = ZoneInfo("America/New_York")
needs_shared = pytest.mark.skipif(not SHARED.is_dir(), reason="the shared X12 samples (../shared/data/x12) are not here")

REAL = sorted(p for p in SHARED.rglob("*") if p.is_file() and p.suffix != ".md")
REAL_835 = [p for p in REAL if "ST*835*" in p.read_text("latin-1")]
BEYOND_PYX12 = (
    "starts-at-st",
    "cut-off-in-a-segment",
    "thousands-with-commas",
    "lines-instead-of-marks",
    "wrapped-at-80-columns",
    "two-interchanges",
)
"""Our fixtures that pyx12 refuses, or of whose trap it has no notion."""
OURS = [p for p in sorted(FIXTURES.glob("*.835")) if p.stem not in BEYOND_PYX12]


def fetch(path: Path, **options: Any) -> tuple[Batch, Batch]:
    """The batches of checks and of claims of one file."""
    feed = connectors.connect("era835", {"path": str(path)} | options, home=path.parent, zone=NEW_YORK, site="harbor")
    checks, claims = feed.fetch(None)
    return checks, claims


def from_text(folder: Path, text: str, **options: Any) -> tuple[Batch, Batch]:
    (folder / "one.835").write_text(text, "utf-8", newline="")
    return fetch(folder / "one.835", **options)


def by_claim(batch: Batch) -> dict[str, Row]:
    return {row.keys[0].value: row for row in batch.rows}


def one_check(text: str) -> era835.Check:
    (found,) = era835.read(text).checks
    return found


# --- against pyx12 -------------------------------------------------------------------------------------------------------


def _cents(text: str | None) -> int:
    return int(Decimal((text or "0").replace(",", "")) * 100)


def _as_pyx12_reads(text: str) -> list[dict[str, Any]]:
    """The same figures, from pyx12's segments."""
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")  # pyx12's own
        import pyx12.x12file

        return list(_figures(list(pyx12.x12file.X12Reader(StringIO(text)))))


def _figures(segments: list[Any]) -> Iterator[dict[str, Any]]:
    found: dict[str, Any] = {}
    for seg in segments:
        get = seg.get_value
        match seg.get_seg_id():
            case "ST":
                found = {"is": get("ST01"), "paid": None, "claims": [], "plb": 0}
            case "BPR":
                found["paid"] = _cents(get("BPR02"))
            case "CLP":
                amounts = tuple(_cents(get(f"CLP0{n}")) for n in (3, 4, 5))
                found["claims"].append({"no": get("CLP01"), "amounts": amounts, "adjusted": 0, "services": []})
            case "SVC":
                found["claims"][-1]["services"].append((_cents(get("SVC02")), _cents(get("SVC03"))))
            case "CAS":
                found["claims"][-1]["adjusted"] += sum(_cents(get(f"CAS{n:02}")) for n in range(3, 20, 3))
            case "PLB":
                found["plb"] += sum(_cents(get(f"PLB{n:02}")) for n in range(4, 15, 2))
            case "SE" if found["is"] == "835" and found["paid"] is not None:
                yield found


def _as_we_read(text: str) -> list[dict[str, Any]]:
    return [
        {
            "is": "835",
            "paid": c.paid_cents,
            "claims": [
                {
                    "no": claim.claim_no,
                    "amounts": (claim.charge_cents, claim.paid_cents, claim.patient_share_cents or 0),
                    "adjusted": claim.adjusted_cents,
                    "services": [(s.charge_cents, s.paid_cents) for s in claim.services],
                }
                for claim in c.claims
            ],
            "plb": c.plb_cents,
        }
        for c in era835.read(text).checks
    ]


@pytest.mark.parametrize("path", [*REAL_835, *OURS], ids=lambda p: p.name)
def test_every_figure_is_the_one_pyx12_reads(path: Path) -> None:
    """Lost: a reader that nobody compared: a dropped adjustment or a shifted amount would go unseen for months."""
    text = era835.text_of(path.read_bytes())
    assert _as_we_read(text) == _as_pyx12_reads(text)


@needs_shared
def test_pyx12_reads_enough_of_the_real_files_to_be_a_judge() -> None:
    """Lost: the comparison above could shrink to nothing without anybody noticing."""
    compared = [found for path in REAL_835 if (found := _as_pyx12_reads(era835.text_of(path.read_bytes())))]
    assert len(compared) == 9
    assert sum(len(c["claims"]) for found in compared for c in found) == 16


@needs_shared
def test_of_the_real_files_only_one_payment_does_not_balance() -> None:
    """Lost: the balance check would cry wolf, or never."""
    balanced = {p.name: [c.balanced for c in era835.read(era835.text_of(p.read_bytes())).checks] for p in REAL}
    assert [name for name, found in balanced.items() if False in found] == ["835id.source.txt"]
    assert sum(found.count(True) for found in balanced.values()) == 8


@needs_shared
@pytest.mark.parametrize("path", REAL, ids=lambda p: p.name)
def test_no_real_file_ends_in_a_traceback(path: Path) -> None:
    """Lost: one malformed file of one payer would stop the feed."""
    lines = list(connectors.describe("era835", {"path": str(path)}, home=path.parent, zone=NEW_YORK, site="harbor"))
    first = lines[0]
    assert first["type"] == "file"
    is_835 = "ST*835*" in path.read_text("latin-1")
    assert is_835 or str(first["unreadable"]).startswith("This is not an 835: it holds a")


@needs_shared
def test_a_set_of_another_kind_is_named(tmp_path: Path) -> None:
    """Lost: an acknowledgement dropped into the ERA folder would be a riddle instead of a sentence."""
    text = (SHARED / "imsweb-x12-parser" / "277_5010" / "x12_277CA_rejected.txt").read_text()
    assert era835.read(text).unreadable == "This is not an 835: it holds a 277 (005010X214)."


# --- the traps -----------------------------------------------------------------------------------------------------------


def test_a_denial_is_seen_whatever_status_the_payer_writes() -> None:
    """Lost: a denial sent as "processed" would never reach the appeals clock, or a deductible would be chased as one."""
    _, claims = fetch(FIXTURES / "denials-and-a-deductible.835")
    facts = {key: row.facts for key, row in by_claim(claims).items()}
    assert {key: f["status"] for key, f in facts.items()} == {
        "H-1001": "paid",
        "H-1002": "denied",
        "H-1003": "paid",
        "H-1004": "denied",
    }
    assert facts["H-1002"]["reasons"] == ("CO-16", "N130")
    assert facts["H-1002"]["denied_at"] == claims.as_of
    assert "denied_at" not in facts["H-1003"]
    assert facts["H-1003"]["patient_share_cents"] == 18_000
    assert by_claim(claims)["H-1002"].keys == (Key("claim_no", "H-1002"), Key("payer_icn", "ICN10002"))


@pytest.mark.parametrize(
    ("loop", "denied"),
    [
        ("CLP*H-1*1*100*0*0*12*I1~CAS*CO*16*100", True),
        ("CLP*H-1*1*100*0*100*12*I1~CAS*PR*1*100", False),
        ("CLP*H-1*1*100*0*80*12*I1~CAS*CO*45*20~CAS*PR*1*60**2*20", False),
        ("CLP*H-1*1*100*0*50*12*I1~CAS*CO*16*50~CAS*PR*1*50", True),
        ("CLP*H-1*1*100*0*0*12*I1~CAS*PR*1*0**96*100", True),
        ("CLP*H-1*1*100*0*0*12*I1~CAS*CO*45*100", True),
        ("CLP*H-1*4*100*10*0*12*I1~CAS*CO*45*90", False),
        ("CLP*H-1*1*0*0*0*12*I1", False),
        ("CLP*H-1*22*-100*0*0*12*I1~CAS*CO*16*-100", False),
        ("CLP*H-1*25*100*0*0*12*I1~CAS*OA*101*100", False),
        ("CLP*H-1*1*100*0*0*12*I1", True),
    ],
)
def test_denied_is_billed_unpaid_and_no_deductible_reversal_or_estimate(loop: str, denied: bool) -> None:
    """Lost: the one word on which the appeals clock starts would mean something else."""
    (claim,) = one_check(era(loop, paid="0")).claims
    assert claim.denied is denied


def test_all_six_triples_of_both_levels_are_read_over_their_gaps() -> None:
    """Lost: the second reason of a denial, as in readers that stop at the first triple."""
    (claim,) = era835.read((FIXTURES / "adjustments-with-gaps.835").read_text()).checks[0].claims
    assert [(a.reason, a.cents) for a in claim.adjustments] == [("CO-45", 1000), ("CO-97", 2000), ("CO-A1", 500)]
    assert [(a.reason, a.cents) for a in claim.services[0].adjustments] == [
        ("PR-1", 1500),
        ("PR-2", 1000),
        ("PR-3", 500),
        ("PR-96", 1000),
        ("PR-B15", 1000),
        ("PR-119", 500),
    ]


def test_two_checks_wrong_counts_and_another_inner_separator_are_read_and_reported() -> None:
    """Lost: 5 of 13 public files have a wrong SE01; refusing them would lose their money."""
    checks, claims = fetch(FIXTURES / "two-checks-wrong-counts.835")
    assert [(row.keys[0].value, row.facts["balanced"]) for row in checks.rows] == [
        ("EFT5550002/1912345678", "yes"),
        ("CHK77001/1923456789", "yes"),
    ]
    assert [p.what for p in checks.problems] == ["SE01 says 99, there are 15 segments", "GE01 says 5, there are 2 sets"]
    assert checks.totals["plb_cents"] == 500
    assert len(claims.rows) == 2
    first = era835.read((FIXTURES / "two-checks-wrong-counts.835").read_text()).checks[0].claims[0].services[0]
    assert (first.code, first.submitted, first.downcoded) == ("D2740", "D2750", True)


def test_a_reversal_and_its_correction_are_one_row_with_what_holds() -> None:
    """Lost: a corrected claim would be shown with its old payment, or a payment taken back as paid."""
    checks, claims = fetch(FIXTURES / "reversal-and-correction.835")
    rows = by_claim(claims)
    assert (rows["H-1201"].facts["paid_cents"], rows["H-1201"].facts["charge_cents"]) == (13_000, 15_000)
    assert dict(rows["H-1202"].facts) == {"status": "received"}
    assert checks.rows[0].facts["balanced"] == "yes"


@pytest.mark.parametrize(
    ("loops", "facts"),
    [
        (
            ["CLP*H-1*1*100*60*0*12*I1", "CLP*H-1*22*-100*-60*0*12*I1"],
            {"status": "received"},
        ),
        (
            ["CLP*H-1*1*100*80*0*12*I1", "CLP*H-1*22*-100*-60*0*12*I1"],
            {"status": "paid", "charge_cents": 10_000, "paid_cents": 8_000, "patient_share_cents": 0},
        ),
        (
            ["CLP*H-1*1*100*60*5*12*I1", "CLP*H-1*1*50*20*7*12*I2"],
            {"status": "paid", "charge_cents": 15_000, "paid_cents": 8_000, "patient_share_cents": 700},
        ),
        (
            ["CLP*H-1*1*100*60*0*12*I1", "CLP*H-1*1*100*60*0*12*I1"],
            {"status": "paid", "charge_cents": 10_000, "paid_cents": 6_000, "patient_share_cents": 0},
        ),
    ],
    ids=["paid then taken back", "correction before reversal", "split claim", "sent twice"],
)
def test_several_clps_of_one_claim_fold_to_what_holds(tmp_path: Path, loops: list[str], facts: dict[str, object]) -> None:
    """Lost: the order in which a payer writes its lines would decide what a claim was paid."""
    _, claims = from_text(tmp_path, era(*loops))
    (row,) = claims.rows
    assert dict(row.facts) == facts


def test_a_second_payer_in_the_same_file_does_not_double_the_charge(tmp_path: Path) -> None:
    """Lost: a claim paid by two plans would look twice as large as it is."""
    first = check("CLP*H-1*1*100*60*40*12*I1", trace="EFT1")
    second = check("CLP*H-1*2*100*30*10*12*J1", trace="EFT2", payer="1900000001", control="0002")
    _, claims = from_text(tmp_path, envelope([first, second]))
    (row,) = claims.rows
    assert [key.value for key in row.keys] == ["H-1", "I1", "J1"]
    assert (row.facts["charge_cents"], row.facts["paid_cents"], row.facts["patient_share_cents"]) == (10_000, 9_000, 1_000)


@pytest.mark.parametrize(
    "name", ["starts-at-st", "lines-instead-of-marks", "wrapped-at-80-columns"], ids=lambda name: str(name)
)
def test_unusual_wrappings_give_the_same_payment(name: str) -> None:
    """Lost: the files of one real payer, which start at ST, or of one real mailbox, which wraps lines."""
    checks, claims = fetch(FIXTURES / f"{name}.835")
    assert [row.facts["paid_cents"] for row in (*checks.rows, *claims.rows)] == [7_500, 7_500]
    assert checks.rows[0].facts["balanced"] == "yes"
    assert checks.problems == ()


@pytest.mark.parametrize("mark", ["~", "'", "\x1c", "\n", "~\r\n", "~\n\n", "~  "])
@pytest.mark.parametrize("element", ["*", "|", "\x1d", "^"])
@pytest.mark.parametrize("lead", ["", "\ufeff", "\r\n \t"])
@pytest.mark.parametrize("start", ["ISA", "GS", "ST"])
def test_every_separator_is_found(mark: str, element: str, lead: str, start: str) -> None:
    """Lost: the next clearinghouse, which uses other marks than the last one."""
    lines = era("CLP*H-1*1*100*75*0*12*I1~SVC*AD:D1110*100*75~CAS*CO*45*25").replace("~\n", "\n").split("\n")
    skip = {"ISA": 0, "GS": 1, "ST": 2}[start]
    end = len(lines) - 1 - skip  # drop as many trailers as headers
    text = lead + mark.join(line.replace("*", element) for line in lines[skip:end]) + mark
    if element == "^":
        text = text.replace("^^^", "^U^", 1)
    assert _as_we_read(text) == _as_we_read(era("CLP*H-1*1*100*75*0*12*I1~SVC*AD:D1110*100*75~CAS*CO*45*25"))
    assert era835.read(text).problems == ()
    assert one_check(text).claims[0].services[0].code == "D1110"


def test_several_interchanges_with_their_own_separators_are_read() -> None:
    """Lost: a daily file that the clearinghouse glued together would give its first payment only."""
    checks, claims = fetch(FIXTURES / "two-interchanges.835")
    assert [row.facts["paid_cents"] for row in checks.rows] == [7_500, 6_000]
    assert (checks.problems, claims.problems) == ((), ())
    assert checks.as_of.isoformat() == "2026-03-04T14:30:00+00:00"


def test_amounts_with_thousands_are_right_and_doubtful_ones_reported() -> None:
    """Lost: 1,250.00 as 1.00, or 12,5 as a guess."""
    checks, claims = fetch(FIXTURES / "thousands-with-commas.835")
    assert checks.rows[0].facts["paid_cents"] == 125_000
    assert "balanced" not in checks.rows[0].facts
    assert [row.facts["charge_cents"] for row in claims.rows] == [190_000]
    assert [p.what for p in checks.problems] == [f"CLP0{n} is not surely one amount: not read" for n in (3, 4)]
    assert [p.what for p in claims.problems] == ["a claim whose amounts cannot be read: not used"]


def test_a_file_cut_off_gives_what_is_whole_and_says_so() -> None:
    """Lost: the 3 left of 30 would be an amount, and the claim's missing reasons would change what it is."""
    checks, claims = fetch(FIXTURES / "cut-off-in-a-segment.835")
    assert list(by_claim(claims)) == ["H-1501"]
    assert "balanced" not in checks.rows[0].facts
    assert any("cut off" in p.what for p in checks.problems)


@settings(max_examples=60, deadline=None)
@given(st.integers(min_value=110, max_value=1200))
def test_wherever_a_file_is_cut_no_amount_is_invented(length: int) -> None:
    """Lost: a broken transfer would put amounts into the books that no payer wrote."""
    whole = era(
        "CLP*H-1*1*123.45*67.89*0*12*I1~CAS*CO*45*55.56", "CLP*H-2*1*543.21*98.76*0*12*I2~CAS*CO*45*444.45", paid="166.65"
    )
    cut = era835.read(whole[:length])
    amounts = {(c.claim_no, c.charge_cents, c.paid_cents) for found in cut.checks for c in found.claims}
    assert amounts <= {("H-1", 12_345, 6_789), ("H-2", 54_321, 9_876)}
    assert {found.paid_cents for found in cut.checks} <= {None, 16_665}


def test_a_pre_determination_is_no_claim_and_nothing_to_post() -> None:
    """Lost: every estimate before treatment would be a denial to appeal and an ERA to post."""
    checks, claims = fetch(FIXTURES / "pre-determination.835")
    assert (checks.rows, claims.rows) == ((), ())
    assert "pre-determination" in claims.problems[0].what


def test_the_same_set_twice_counts_once(tmp_path: Path) -> None:
    """Lost: a payment delivered twice in one file would be twice the money."""
    one = check("CLP*H-1*1*100*75*0*12*I1~CAS*CO*45*25")
    checks, claims = from_text(tmp_path, envelope([one, one]))
    assert (len(checks.rows), len(claims.rows)) == (1, 1)
    assert checks.problems[0].what == "the same set again: read once"


def test_negative_payments_and_provider_adjustments_balance(tmp_path: Path) -> None:
    """Lost: a month in which the payer takes money back would look like a broken file."""
    text = era("CLP*H-1*22*-100*-75*0*12*I1~CAS*CO*45*-25", paid="-85.5", plb="PLB*1234567893*20261231*WO:I0*12.75*L6*-2.25")
    checks, _ = from_text(tmp_path, text)
    assert (checks.rows[0].facts["paid_cents"], checks.rows[0].facts["balanced"]) == (-8_550, "yes")


@pytest.mark.parametrize(
    ("loop", "keys", "said"),
    [
        ("CLP*0*1*100*75*0*12*I1", [("payer_icn", "I1")], ""),
        ("CLP**1*100*75*0*12*I1", [("payer_icn", "I1")], ""),
        (f"CLP*{'9' * 65}*1*100*75*0*12*I1", [("payer_icn", "I1")], "CLP01 is too long for a key"),
        ("CLP*DOE JANE*1*100*75*0*12*I1", [("payer_icn", "I1")], "CLP01 is too long for a key or holds characters"),
        ("CLP*H-1*1*100*75*0*12*000", [("claim_no", "H-1")], ""),
        ("CLP*0*1*100*75", None, "a claim without a usable number"),
    ],
)
def test_numbers_that_are_no_keys_are_not_used_as_keys(
    tmp_path: Path, loop: str, keys: list[tuple[str, str]] | None, said: str
) -> None:
    """Lost: all claims of a payer that writes 0 would become one claim, or a name would become a key."""
    checks, claims = from_text(tmp_path, era(loop))
    assert [[(k.name, k.value) for k in row.keys] for row in claims.rows] == ([keys] if keys else [])
    assert said in " ".join(p.what for p in (*checks.problems, *claims.problems))


def test_a_payment_without_a_trace_number_is_known_by_its_control_numbers(tmp_path: Path) -> None:
    """Lost: notices without payment, whose trace number is all zeros, would all be one payment."""
    checks, _ = from_text(tmp_path, era("CLP*H-1*1*100*75*0*12*I1", trace="000000000"))
    assert checks.rows[0].keys == (Key("era_control", "1912345678/000000042/7/0001"),)


@pytest.mark.parametrize(
    ("options", "expected"),
    [
        ({}, "2026-03-03T14:30:00+00:00"),
        ({"as_of": "isa"}, "2026-03-03T14:30:00+00:00"),
        ({"as_of": "name:%Y-%m-%d"}, "2026-03-05T05:00:00+00:00"),
    ],
)
def test_the_instant_of_a_file_is_where_the_feed_says(tmp_path: Path, options: dict[str, str], expected: str) -> None:
    """Lost: the clock of a denial would start at the copy of a file instead of at its arrival."""
    path = tmp_path / "era 2026-03-05.835"
    path.write_text(era("CLP*H-1*4*100*0*0*12*I1~CAS*CO*16*100"))
    checks, claims = fetch(path, **options)
    assert checks.as_of == claims.as_of == checks.rows[0].facts["received_at"] == claims.rows[0].facts["denied_at"]
    assert checks.as_of.isoformat() == expected


def test_a_bad_option_is_one_sentence(tmp_path: Path) -> None:
    """Lost: a typo in feeds.toml would be a traceback in the sweep."""
    for options, said in (
        ({"path": "x", "as_of": "yesterday"}, "'as_of' must be"),
        ({"path": 7}, "'path' must be a text"),
        ({}, "'path' must be a text: it is missing"),
        ({"path": "x", "files": []}, "'files' must be a pattern"),
        ({"path": "a\0b"}, "is not a path"),
    ):
        with pytest.raises(ConnectorError, match=said):
            connectors.connect("era835", options, home=tmp_path, zone=NEW_YORK, site="harbor")


def test_an_isa_inside_a_name_is_no_interchange() -> None:
    """Lost: a person called Isa would start a new file in the middle of a claim."""
    text = era("CLP*H-1*1*100*75*0*12*I1~NM1*QC*1*ISA*ISA*ISA***MI*W1~SVC*AD:D1110*100*75~CAS*CO*45*25")
    assert one_check(text).claims[0].services[0].code == "D1110"


def test_eight_hundred_claims_are_read_in_a_fifth_of_a_second() -> None:
    """Lost: a group's monthly ERA would hold up the sweep (pyx12's own tree of this size takes over three seconds)."""
    loops = [
        f"CLP*H-{n}*1*100*75*0*12*I{n}~NM1*QC*1*X*Y~SVC*AD:D1110*100*75**1~DTM*472*20260302~CAS*CO*45*25" for n in range(820)
    ]
    text = era(*loops, paid="61500")
    best = min(_seconds(text) for _ in range(5))
    assert best < 0.2


def _seconds(text: str) -> float:
    start = time.perf_counter()
    assert len(one_check(text).claims) == 820
    return time.perf_counter() - start


@settings(max_examples=200, deadline=None)
@given(st.text(alphabet="ISAGSTECLPBRN*~:\n|0123456789. ", max_size=400))
def test_no_text_makes_the_reader_raise(text: str) -> None:
    """Lost: a traceback in the sweep, for whatever is put into the folder."""
    era835.read(text)
    x12.read(era("CLP*H-1*1*100*75*0*12*I1")[:200] + text)
    era835.read(era("CLP*H-1*1*100*75*0*12*I1").replace("SVC", text))
