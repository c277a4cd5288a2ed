"""The hash behind the golden weights, so that a failure elsewhere is the code's and not the hash's."""

import pytest


def test_hash_by_its_published_values(hashed_uniform) -> None:
    assert hashed_uniform(0, 4) == pytest.approx([0.78433384, 0.9477377, 0.01022327, 0.03222236], abs=1e-8)
    assert hashed_uniform(5, 3) == pytest.approx([0.03001444, 0.78521485, 0.2385707], abs=1e-8)
