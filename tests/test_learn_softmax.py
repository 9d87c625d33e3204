import numpy as np

from streamwatch.learn.evaluate import calibration_error
from streamwatch.learn.softmax import Examples, calibrated, class_weights, fit

DRAW = np.random.default_rng(11)


def clouds(rows: int) -> Examples:
    gold = DRAW.integers(0, 3, rows)
    centres = np.array([[3, 0, 0, 1], [0, 3, 0, 1], [0, 0, 3, 1]])
    vectors = (centres[gold] + DRAW.standard_normal((rows, 4))).astype(np.float32)
    return Examples(vectors, gold, class_weights(gold, 3, 0.0))


def test_clouds_are_told_apart() -> None:
    head = fit(clouds(600), 3, 1e-4)
    unseen = clouds(600)
    assert np.mean(head.probabilities(unseen.vectors).argmax(axis=1) == unseen.gold) > 0.9


def test_the_same_examples_give_the_same_head() -> None:
    examples = clouds(200)
    first, second = fit(examples, 3, 1e-4), fit(examples, 3, 1e-4)
    assert np.array_equal(first.weight, second.weight)


def test_a_constant_column_does_no_harm() -> None:
    examples = clouds(200)
    examples.vectors[:, 3] = 1.0
    assert np.isfinite(fit(examples, 3, 1e-4).weight).all()


def test_the_temperature_mends_overconfidence() -> None:
    examples = clouds(2_000)
    head = fit(examples, 3, 1e-4)
    bold = head._replace(weight=head.weight * 3, bias=head.bias * 3)
    mended = calibrated(bold, examples.vectors, examples.gold)
    before = calibration_error(examples.gold, bold.probabilities(examples.vectors))
    assert calibration_error(examples.gold, mended.probabilities(examples.vectors)) < before / 2
