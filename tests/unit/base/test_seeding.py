import subprocess
import sys

import numpy as np

from sv.base.seeding import derive_seed, generator


def test_a_key_gives_the_same_seed_in_another_process():
    command = "from sv.base.seeding import derive_seed; print(derive_seed(7, 'crop', 3, 'utt-1'))"
    other = subprocess.run([sys.executable, "-c", command], capture_output=True, text=True, check=True).stdout
    assert int(other) == derive_seed(7, "crop", 3, "utt-1")


def test_every_part_its_order_and_its_type_matter():
    keys = [(1, "a"), ("a", 1), ("1", "a"), (1, "a", ""), ("1a",), (1, "b"), ("ab", "c"), ("a", "bc")]
    assert len({derive_seed(*key) for key in keys}) == len(keys)


def test_generators_do_not_depend_on_what_was_drawn_before():
    first = generator(0, "x").random(4)
    generator(0, "y").random(100)
    np.testing.assert_array_equal(first, generator(0, "x").random(4))
