"""A quote stands in a passage or it does not, and what is shown of it is whole."""

from __future__ import annotations

import re

import pytest
from hypothesis import given
from hypothesis import strategies as st

from knowledge import grounding, sops

SOURCE = sops.loose(
    "# Spore test\n\nDo not keep using the sterilizer. Repeat the test\nwithin **24 hours**, e.g. the same day.\n\n"
    "1. Tag the unit red.\n2. Call the lab at 555-0100.\n",
    "x.md",
).source


def shown(quote: str, text: str) -> str | None:
    """What a reader would see of the quote, with its white space as one blank."""
    found = grounding.stands(quote, text)
    return " ".join(text[slice(*found.shown)].split()) if found else None


@pytest.mark.parametrize(
    "quote, sees",
    [
        ("Do not keep using the sterilizer.", "Do not keep using the sterilizer."),
        ("Repeat the test within 24 hours", "Repeat the test within **24 hours**, e.g. the same day."),
        ("Tag  the\nunit *red*", "Tag the unit red."),
        ("555‑0100", "Call the lab at 555-0100."),
        ("Tag the unit red.\n2. Call the lab", "Tag the unit red. 2. Call the lab at 555-0100."),
    ],
)
def test_a_quote_stands_however_it_is_wrapped_and_is_shown_whole(quote: str, sees: str) -> None:
    """Lost: a right answer is withheld because a line was wrapped elsewhere, or half a sentence of it is shown."""
    assert shown(quote, SOURCE) == sees


@pytest.mark.parametrize(
    "quote",
    ["", "...", "1", "Keep using the sterilizer.", "ag the unit", "Tag the uni", "within 4 hours", "555-010", "55-0100", "555",
     "Call the lab at 555-0101.", "Tag the unit red. You may use it again tomorrow.", "NOT IN THE SOPS"],
)  # fmt: skip
def test_another_number_an_addition_or_a_piece_of_a_word_does_not_stand(quote: str) -> None:
    """Lost: one digit less, and it is believed because the rest is right."""
    assert grounding.stands(quote, SOURCE) is None


@pytest.mark.parametrize(
    "text, quote, sees",
    [
        ("Do not keep using the sterilizer.", "keep using the sterilizer", "Do not keep using the sterilizer."),
        ("Never:\n\n- wipe with bleach\n- soak overnight\n", "soak overnight", "Never: - wipe with bleach - soak overnight"),
        ("If it is positive:\n\nCall the lab.", "Call the lab.", "If it is positive: Call the lab."),
        ("- If positive\n  - call the lab\n- Else file it\n", "call the lab", "If positive - call the lab"),
        ("Post it. Otherwise call the payer.", "call the payer", "Post it. Otherwise call the payer."),
        ("Post it. However, wait for an EOB.", "Post it.", "Post it. However, wait for an EOB."),
        ("Tag it red. Unless it is new.", "Tag it red", "Tag it red. Unless it is new."),
        (
            "Do all of these:\n\n- tag it\n- bag it\n\nThen go.",
            "Do all of these",
            "Do all of these: - tag it - bag it",
        ),
        ("| drug | adult |\n| --- | --- |\n| A | 2 mg |", "A | 2 mg", "| drug | adult | | --- | --- | | A | 2 mg |"),
        ("## What not to do\n\n- wipe with bleach\n", "wipe with bleach", "What not to do - wipe with bleach"),
        ("## What to do\n\n- wipe with bleach\n", "wipe with bleach", "wipe with bleach"),
        ("Soak for min. 10 minutes. Rinse.", "10 minutes", "Soak for min. 10 minutes."),
        ("Ask Dr. Okafor first. Then go.", "Okafor first", "Ask Dr. Okafor first."),
        ("- one\n- two\n", "two", "two"),
        ("1. one\n   more of it\n2. two\n", "two", "two"),
    ],
)
def test_what_a_sentence_hangs_on_is_shown_with_it(text: str, quote: str, sees: str) -> None:
    """Lost: "wipe with bleach", from a list headed "Never:", with a source below it that makes it look right."""
    assert shown(quote, text) == sees


def test_the_first_place_that_holds_whole_words_counts() -> None:
    """Lost: "tag it" found in "retag it", refused there, and not looked for any further."""
    assert shown("tag it", "Retag it later. Tag it: tag it now.") == "Tag it: tag it now."


MARKDOWN = st.text(alphabet="ab N.!? \n-1|#>*_:é“ﬁ", max_size=120)


@given(MARKDOWN)
def test_sentences_are_spans_of_the_text_in_order(text: str) -> None:
    """Lost: a span that cuts a word of the source in two."""
    last = 0
    for start, end in grounding.sentences(text):
        assert last <= start < end <= len(text)
        last = end


@given(MARKDOWN, st.data())
def test_whatever_is_cut_from_a_text_stands_in_it_and_is_shown_with_all_of_itself(text: str, data: st.DataObject) -> None:
    """Lost: some place in some document where a true quote is refused, or where what is shown is not what was quoted."""
    spans = list(grounding.sentences(text))
    if not spans:
        return
    start, end = data.draw(st.sampled_from(spans))
    quote = text[start:end]
    found = grounding.stands(quote, text)
    if not any(c.isalnum() for c in grounding.plain(quote)):
        assert found is None
        return
    if found is None:  # only where it is a piece of a longer word, like "a.b" of "a.b.c"
        assert re.search(r"\w", text[end : end + 2] + text[max(0, start - 2) : start])
        return
    assert grounding.plain(quote) in grounding.plain(text[slice(*found.shown)])
    assert found.shown[0] <= found.said[0] < found.said[1] <= found.shown[1]
