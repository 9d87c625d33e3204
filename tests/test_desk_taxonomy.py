from __future__ import annotations

from collections.abc import Sequence

import numpy as np
import pytest
from numpy.typing import NDArray
from safetensors.numpy import load, save

from streamwatch.desk.taxonomy import Taxonomy, name_by_texts
from streamwatch.desk.taxonomy_file import dump_taxonomy, parse_taxonomy
from streamwatch.desk.threshold import FALSE_SHARE
from streamwatch.errors import TaxonomyError

HIDDEN = 32
Vectors = NDArray[np.float32]
KINDS = np.linalg.qr(np.random.default_rng(5).normal(size=(HIDDEN, HIDDEN)))[0] * 3.0


def posts(count: int, kind: int | None = None, seed: int = 0) -> Vectors:
    """Return vectors of posts as they come, or of those about something: far from the others in one direction."""
    rng = np.random.default_rng([seed, 0 if kind is None else kind + 1])
    rows = rng.normal(size=(count, HIDDEN)) + 2.0
    return (rows if kind is None else rows + KINDS[kind] * 3).astype(np.float32)


def keys(count: int, name: str) -> list[str]:
    return [f"{name}{number}" for number in range(count)]


@pytest.fixture
def taxonomy() -> Taxonomy:
    """Two labels of ten examples each."""
    found = Taxonomy(posts(800))
    for kind, label in enumerate(["strikes", "recalls"]):
        found.name(label, keys(10, label), posts(10, kind))
    return found


def test_a_label_is_there_once_it_is_named(taxonomy: Taxonomy) -> None:
    for kind in (0, 1):
        verdicts = taxonomy.verdicts(posts(100, kind, seed=1))
        assert (verdicts.best == kind).mean() > 0.9
        assert verdicts.taken[:, kind].mean() > 0.9


def test_most_posts_are_none_of_these(taxonomy: Taxonomy) -> None:
    verdicts = taxonomy.verdicts(posts(2_000, seed=2))
    assert verdicts.taken.mean(axis=0).max() < 3 * FALSE_SHARE
    assert (verdicts.best == -1).mean() > 1 - 5 * FALSE_SHARE


def test_posts_of_its_own_in_the_background_do_not_keep_a_label_from_being_found() -> None:
    background = np.vstack([posts(992), posts(8, 0, seed=3)])
    taxonomy = Taxonomy(background)
    taxonomy.name("strikes", keys(10, "strikes"), posts(10, 0))
    assert taxonomy.verdicts(posts(100, 0, seed=1)).taken.mean() > 0.8
    assert taxonomy.verdicts(posts(2_000, seed=2)).taken.mean() < 3 * FALSE_SHARE


def test_a_post_may_have_several_labels(taxonomy: Taxonomy) -> None:
    both = (posts(8, 0, seed=3) + KINDS[1].astype(np.float32) * 3).astype(np.float32)
    taxonomy.name("strikes", keys(8, "both"), both)
    taxonomy.name("recalls", keys(8, "both"), both)
    assert dict(taxonomy.examples)["both0"] == ("strikes", "recalls")
    assert taxonomy.verdicts(both).taken.all()
    assert len(taxonomy) == 28


def test_a_correction_counts_at_once_and_the_last_one_counts(taxonomy: Taxonomy) -> None:
    (wrong,) = posts(1, 0, seed=4)
    before = taxonomy.verdicts(wrong[None])
    assert before.best.tolist() == [0]
    taxonomy.correct("post", wrong, ["recalls"])
    assert taxonomy.verdicts(wrong[None]).scores[0, 1] > before.scores[0, 1] + 0.3
    taxonomy.correct("post", wrong, [])
    assert taxonomy.verdicts(wrong[None]).best.tolist() == [-1]
    assert dict(taxonomy.examples)["post"] == ()
    taxonomy.forget("post")
    assert np.allclose(taxonomy.verdicts(wrong[None]).scores, before.scores, atol=1e-9)


def test_an_edited_post_is_learnt_as_it_is_now(taxonomy: Taxonomy) -> None:
    first, second = posts(2, 0, seed=5)
    taxonomy.correct("post", first, [])
    taxonomy.correct("post", second, ["strikes"])
    fresh = Taxonomy(posts(800))
    for kind, label in enumerate(["strikes", "recalls"]):
        fresh.name(label, keys(10, label), posts(10, kind))
    fresh.correct("post", second, ["strikes"])
    asked = posts(5, seed=6)
    assert np.allclose(taxonomy.verdicts(asked).scores, fresh.verdicts(asked).scores, atol=1e-9)


def test_a_dropped_label_takes_its_examples_along(taxonomy: Taxonomy) -> None:
    taxonomy.drop("strikes")
    assert taxonomy.labels == ["recalls"]
    assert len(taxonomy) == 10
    assert taxonomy.verdicts(posts(50, 0, seed=1)).taken.mean() < 0.2
    assert (taxonomy.verdicts(posts(50, 1, seed=1)).best == 0).mean() > 0.9
    taxonomy.drop("strikes")


def test_a_label_says_how_well_it_is_known(taxonomy: Taxonomy) -> None:
    taxonomy.name("noise", keys(6, "noise"), posts(6, seed=8))
    fits = {fit.label: fit for fit in taxonomy.fits()}
    assert fits["strikes"].examples == 10
    assert fits["strikes"].found > 0.8
    assert fits["noise"].found < 0.4
    assert all(0 < fit.threshold < 1 for fit in fits.values())


def test_without_labels_everything_is_none_of_these() -> None:
    verdicts = Taxonomy(posts(200)).verdicts(posts(3))
    assert verdicts.best.tolist() == [-1, -1, -1]
    assert verdicts.scores.shape == (3, 0)


def test_a_taxonomy_comes_back_from_its_file(taxonomy: Taxonomy) -> None:
    taxonomy.correct("none", posts(1, seed=7)[0], [])
    again = parse_taxonomy(dump_taxonomy(taxonomy, "e5s-1"), "e5s-1")
    asked = np.vstack([posts(20, kind, seed=1) for kind in (0, 1)])
    assert again.examples == taxonomy.examples
    assert np.allclose(again.verdicts(asked).scores, taxonomy.verdicts(asked).scores, atol=1e-5)
    assert np.array_equal(again.verdicts(asked).best, taxonomy.verdicts(asked).best)
    again.correct("none", posts(1, seed=7)[0], ["recalls"])
    assert dict(again.examples)["none"] == ("recalls",)


def test_another_models_vectors_are_refused(taxonomy: Taxonomy) -> None:
    data = dump_taxonomy(taxonomy, "e5s-1")
    with pytest.raises(TaxonomyError, match="made with the model e5s-1, and e5s-2 is running"):
        parse_taxonomy(data, "e5s-2")


def test_a_damaged_file_is_refused(taxonomy: Taxonomy) -> None:
    data = dump_taxonomy(taxonomy, "e5s-1")
    tensors = load(data)
    broken = [
        b"",
        data[:-20],
        save({name: value for name, value in tensors.items() if name != "header"}),
        save(tensors | {"targets": tensors["targets"][:-1]}),
        save(tensors | {"vectors": tensors["vectors"] * np.nan}),
        save(tensors | {"header": tensors["header"][:-3]}),
    ]
    for one in broken:
        with pytest.raises(TaxonomyError, match="not a taxonomy"):
            parse_taxonomy(one, "e5s-1")


def test_a_labels_name_is_an_example_of_it() -> None:
    asked: list[str] = []

    def embed(texts: Sequence[str]) -> Vectors:
        asked.extend(texts)
        return posts(len(texts), 0, seed=9)

    taxonomy = Taxonomy(posts(200))
    name_by_texts(taxonomy, "walk_outs", {"p1": "Workers walk out", "p2": "A strike begins"}, embed)
    assert asked == ["Workers walk out", "A strike begins", "walk outs"]
    assert taxonomy.examples == [(key, ("walk_outs",)) for key in ("p1", "p2", "name:walk_outs")]
    name_by_texts(taxonomy, "walk_outs", {"p3": "Pickets"}, embed)
    assert len(taxonomy) == 4


def test_what_cannot_be_learnt_is_refused(taxonomy: Taxonomy) -> None:
    with pytest.raises(TaxonomyError, match="found 99 background posts, expected 100"):
        Taxonomy(posts(99))
    with pytest.raises(TaxonomyError, match="without a name"):
        taxonomy.name(" ", ["a"], posts(1))
    with pytest.raises(TaxonomyError, match=r"shape \(2, 31\), expected \(examples, 32\)"):
        taxonomy.name("x", ["a", "b"], posts(2)[:, :-1])
    with pytest.raises(TaxonomyError, match="no label 'riots': there are strikes, recalls"):
        taxonomy.correct("a", posts(1)[0], ["riots"])
