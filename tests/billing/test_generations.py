"""Generation ids: what is written outside says the same as what is kept inside."""

import re
from uuid import UUID

import pytest
from hypothesis import given
from hypothesis import strategies as st

from billing.generations import LOW, MIDDLE, VARIANT, VERSION, new_id, private_id, public_id


@st.composite
def uuid7s(draw: st.DrawFn) -> UUID:
    milliseconds = draw(st.integers(0, 2**48 - 1))
    middle, low = draw(st.integers(0, MIDDLE)), draw(st.integers(0, LOW))
    return UUID(int=milliseconds << 80 | VERSION | middle << 64 | VARIANT | low)


@given(uuid7s())
def test_the_public_id_holds_all_of_the_private_one(generation: UUID) -> None:
    public = public_id(generation)
    assert re.fullmatch(r"gen-\d+-[0-9A-Za-z]{15}", public)
    assert private_id(public) == generation


@given(st.text())
def test_any_text_is_an_id_or_none(text: str) -> None:
    assert private_id(text) is None
    assert private_id(f"gen-{text}") is None


@given(st.integers(0, 10**20), st.from_regex(r"[0-9A-Za-z]{15}", fullmatch=True))
def test_what_we_did_not_write_is_no_id(seconds: int, tail: str) -> None:
    public = f"gen-{seconds}-{tail}"
    found = private_id(public)
    assert found is None or public_id(found) == public


@pytest.mark.parametrize(
    "change", [str.upper, lambda text: text + "0", lambda text: text[:-1], lambda text: f" {text}"]
)
def test_a_mistyped_id_is_none(change: "type[str]") -> None:
    assert private_id(change(public_id(new_id()))) is None


def test_ids_are_in_order_of_time() -> None:
    ids = [new_id() for _ in range(100)]
    assert ids == sorted(ids)
    assert len(set(ids)) == 100
