import itertools

import pytest
import torch
import torch.nn.functional as F

from sv.losses.te2e import TE2E, TE2EConfig


def by_hand(test, enrolment, target, cost):
    model = torch.stack([vector / vector.norm() for vector in enrolment]).mean(dim=0)
    probability = torch.sigmoid(10 * F.cosine_similarity(test, model, dim=0) - 5)
    right = probability if target else 1 - probability
    return 1 - right if cost == "sigmoid" else -right.log()


@pytest.mark.parametrize("cost", ["sigmoid", "logistic"])
def test_tuples_by_hand(cost):
    torch.manual_seed(0)
    test, enrolment = torch.randn(3, 5, dtype=torch.float64), torch.randn(3, 4, 5, dtype=torch.float64)
    labels = [True, False, True]
    expected = sum(by_hand(test[i], enrolment[i], labels[i], cost) for i in range(3))
    torch.testing.assert_close(
        TE2E(TE2EConfig(cost=cost)).double().tuples(test, enrolment, torch.tensor(labels)), expected
    )


@pytest.mark.parametrize("shift", [1, 2])
def test_a_batch_is_a_target_and_a_nontarget_tuple_an_utterance(shift):
    torch.manual_seed(1)
    x = torch.randn(3, 3, 4, dtype=torch.float64)
    expected = 0
    for j, i in itertools.product(range(3), range(3)):
        stranger = x[(j + shift) % 3]
        others = [m for m in range(3) if m != i]
        expected = expected + by_hand(x[j, i], [x[j, m] for m in others], True, "sigmoid")
        expected = expected + by_hand(x[j, i], [stranger[m] for m in others], False, "sigmoid")
    torch.testing.assert_close(TE2E(TE2EConfig()).double()(x, shift), expected)


def test_what_makes_no_tuple_is_refused():
    with pytest.raises(ValueError, match="TE2E needs at least 2 utterances per speaker"):
        TE2E(TE2EConfig())(torch.randn(3, 1, 4))
    with pytest.raises(ValueError, match="shift 3 pairs each of the 3 speakers with itself"):
        TE2E(TE2EConfig())(torch.randn(3, 2, 4), shift=3)
