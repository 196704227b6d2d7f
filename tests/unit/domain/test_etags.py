"""A digest of names and ETags tells every change, whatever the order of the listing."""

from __future__ import annotations

from hypothesis import given
from hypothesis import strategies as st

from slurm_amlfs.domain.etags import EtagDigest

NAMES = st.text(st.characters(exclude_categories=["Cs"]), min_size=1, max_size=12)
ETAGS = st.text("0123456789ABCDEFx", min_size=1, max_size=12)
LISTINGS = st.dictionaries(NAMES, ETAGS, min_size=1, max_size=12)


def digest(blobs: list[tuple[str, str]]) -> str:
    """Digest a listing."""
    made = EtagDigest()
    for name, etag in blobs:
        made.add(name, etag)
    return made.text()


@given(LISTINGS, st.randoms(use_true_random=False))
def test_the_order_does_not_matter(blobs: dict[str, str], draw: object) -> None:
    """A service may list in any order."""
    shuffled = list(blobs.items())
    draw.shuffle(shuffled)  # type: ignore[attr-defined] - a random.Random

    assert digest(shuffled) == digest(list(blobs.items()))
    assert len(digest(shuffled)) == 32


@given(LISTINGS, LISTINGS)
def test_any_other_listing_has_another_digest(one: dict[str, str], other: dict[str, str]) -> None:
    """A blob that was written, added or deleted shows."""
    assert (digest(list(one.items())) == digest(list(other.items()))) == (one == other)


@given(LISTINGS, st.data())
def test_one_changed_etag_shows(blobs: dict[str, str], data: st.DataObject) -> None:
    """Among however many that stayed."""
    name = data.draw(st.sampled_from(sorted(blobs)))
    etag = data.draw(ETAGS.filter(lambda it: it != blobs[name]))

    assert digest(list({**blobs, name: etag}.items())) != digest(list(blobs.items()))


@given(NAMES, ETAGS)
def test_a_blob_without_an_etag_makes_it_unknown(name: str, etag: str) -> None:
    """It may change unseen, and what is not known equals nothing."""
    assert digest([(name, etag), ("other", "")]) == ""
