import numpy as np

from streamwatch.model.heads import ENTITY, HEADS, TASKS, Head
from streamwatch.records import INTENTS, SENTIMENTS, TOPICS


def test_there_is_a_head_for_each_task_and_one_for_entities() -> None:
    assert TASKS == {"sentiment": SENTIMENTS, "topic": TOPICS, "intent": INTENTS}
    assert TASKS | {ENTITY: SENTIMENTS} == HEADS


def test_probabilities_are_the_softmax_of_the_logits() -> None:
    head = Head(np.array([[1.0, 0.0], [0.0, 2.0]], np.float32), np.array([0.0, 0.5], np.float32))
    (found,) = head.probabilities(np.array([[3.0, 1.0]], np.float32))
    assert np.allclose(found, [1 / (1 + np.exp(-0.5)), 1 / (1 + np.exp(0.5))])
    assert found.dtype == np.float32


def test_probabilities_sum_to_one_and_stay_finite_for_huge_logits() -> None:
    head = Head(np.eye(3, dtype=np.float32) * 1e4, np.zeros(3, np.float32))
    assert np.array_equal(head.probabilities(np.eye(3, dtype=np.float32)), np.eye(3))


def test_a_row_alone_has_the_probabilities_that_it_has_among_others() -> None:
    draw = np.random.default_rng(4)
    head = Head(draw.normal(0, 0.3, (20, 384)).astype(np.float32), draw.normal(0, 0.3, 20).astype(np.float32))
    vectors = draw.standard_normal((130, 384)).astype(np.float32)
    alone = np.concatenate([head.probabilities(vectors[row : row + 1]) for row in range(len(vectors))])
    assert np.abs(head.probabilities(vectors) - alone).max() <= 1e-7


def test_no_rows_give_no_probabilities() -> None:
    head = Head(np.eye(3, dtype=np.float32), np.zeros(3, np.float32))
    assert head.probabilities(np.empty((0, 3), np.float32)).shape == (0, 3)
