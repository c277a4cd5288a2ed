"""A process that has trained is as it was before."""

import numpy as np

from sv.train import distributed


def test_least_numbers_are_numbers_again_after_a_training() -> None:
    least = np.array([5e-324])
    distributed.start()
    try:
        assert (least * 1.0)[0] == 0
    finally:
        distributed.stop()
    assert (least * 1.0)[0] > 0
