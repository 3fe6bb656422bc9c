"""Objects and curves: what each family promises about its masks; instrument looks of the rendering."""

from collections.abc import Callable

import numpy as np
import pytest
from numpy.typing import NDArray
from scipy import ndimage

from models import rendering
from models.anatomies import (
    Anatomy,
    Rng,
    cells,
    discs,
    fibres,
    lookalikes,
    membranes,
    nucleated,
    vessels,
    worms,
)

SIDE, COUNT, TASKS = 96, 3, 24
Family = Callable[[Rng, int, int], Anatomy]
FAMILIES: tuple[Family, ...] = (
    cells,
    nucleated,
    discs,
    lookalikes,
    membranes,
    fibres,
    worms,
    vessels,
)


def drawn(family: Family, seed: int, side: int = SIDE) -> Anatomy:
    return family(np.random.default_rng(seed), COUNT, side)


def tasks(family: Family) -> list[Anatomy]:
    return [drawn(family, seed) for seed in range(TASKS)]


@pytest.mark.parametrize("family", FAMILIES, ids=lambda family: family.__name__)
@pytest.mark.parametrize("side", [16, 96])
def test_a_family_gives_label_maps_and_masks_set_by_the_seed(family: Family, side: int) -> None:
    labels, masks = drawn(family, 5, side)
    assert labels.shape == masks.shape == (COUNT, side, side)
    assert labels.dtype == np.uint8 and masks.dtype == np.bool_
    for one, other in zip((labels, masks), drawn(family, 5, side), strict=True):
        np.testing.assert_array_equal(one, other)
    assert (labels != drawn(family, 6, side)[0]).any()


@pytest.mark.parametrize("family", [nucleated, discs], ids=["cells", "discs"])
def test_every_part_of_what_has_a_core_is_asked_for(family: Family) -> None:
    """Seen are bodies (2) and cores (3); label 4, other cells or vessels, may cover them."""
    parts = set()
    for labels, masks in tasks(family):
        part = frozenset(np.unique(labels[masks]).tolist()) - {4}
        clear = labels != 4
        np.testing.assert_array_equal(masks[clear], np.isin(labels, list(part))[clear])
        parts.add(part)
    assert parts == {frozenset({2}), frozenset({3}), frozenset({2, 3})}


def test_nuclei_lie_in_cells() -> None:
    """Away from the frame and from other cells, what surrounds a nucleus is cytoplasm."""
    around = []
    for labels, _ in tasks(nucleated):
        for image in labels:
            nuclei = image == 3
            ring = ndimage.binary_dilation(nuclei) & ~nuclei
            around.extend(image[ring] == 2)
    assert len(around) > 1000 and np.mean(around) > 0.9


def test_a_disc_is_whole_under_its_vessels() -> None:
    crossed = 0
    for labels, masks in tasks(discs):
        for image, mask in zip(labels, masks, strict=True):
            assert ndimage.label(mask)[1] == 1
            crossed += bool((image[mask] == 4).any())
    assert crossed > TASKS * COUNT / 2


def test_lookalikes_share_the_label_of_what_is_asked_for_and_differ_in_size_or_keep_their_place() -> None:
    sized = placed = 0
    for labels, masks in tasks(lookalikes):
        assert set(np.unique(labels[masks])) == {2}
        if not ((labels == 2) & ~masks).any((1, 2)).all():
            continue
        here = np.array([ndimage.center_of_mass(mask) for mask in masks])
        alone = all(ndimage.label(mask)[1] == 1 for mask in masks)
        if alone and np.ptp(here, axis=0).max() < 0.25 * SIDE:
            placed += 1
        else:
            ratio = np.log(typical_size(masks) / typical_size((labels == 2) & ~masks))
            sized += abs(ratio) > np.log(2)
    assert sized + placed > 0.8 * TASKS and min(sized, placed) > 0.2 * TASKS


def typical_size(masks: NDArray[np.bool_]) -> float:
    """Median pixels of the connected pieces."""
    sizes = [np.bincount(ndimage.label(mask)[0].ravel())[1:] for mask in masks]
    return float(np.median(np.concatenate(sizes)))


def test_worms_are_thin_and_long() -> None:
    for _, masks in tasks(worms):
        depth = ndimage.distance_transform_edt(np.pad(masks[0], 1)).max()
        assert masks[0].sum() > 4 * depth**2


def boxes() -> tuple[NDArray[np.uint8], NDArray[np.bool_]]:
    """A bar near the top edge, the same in every image."""
    labels = np.zeros((COUNT, SIDE, SIDE), np.uint8)
    labels[:, 16:28, 30:60] = 1
    return labels, labels == 1


@pytest.mark.parametrize(("haloed", "insonated"), [(1, 0), (0, 1), (1, 1)])
def test_every_artefact_leaves_plausible_images(
    monkeypatch: pytest.MonkeyPatch, haloed: int, insonated: int
) -> None:
    monkeypatch.setattr(rendering, "HALOED", haloed)
    monkeypatch.setattr(rendering, "INSONATED", insonated)
    for seed in range(TASKS):
        images = rendering.render(np.random.default_rng(seed), *boxes())
        assert images.dtype == np.float32 and images.min() >= 0 and images.max() <= 1
        assert (images.std((1, 2)) > 0.02).all()


def test_without_artefacts_their_share_does_not_matter(monkeypatch: pytest.MonkeyPatch) -> None:
    plain = rendering.render(np.random.default_rng(2), *boxes(), artefacts=False)
    monkeypatch.setattr(rendering, "HALOED", 1)
    monkeypatch.setattr(rendering, "INSONATED", 1)
    again = rendering.render(np.random.default_rng(2), *boxes(), artefacts=False)
    np.testing.assert_array_equal(plain, again)
    assert (rendering.render(np.random.default_rng(2), *boxes()) != plain).any()


def bar() -> NDArray[np.float32]:
    """A bright bar on grey, (COUNT, SIDE, SIDE)."""
    return np.where(boxes()[1], np.float32(1), np.float32(0.4)).astype(np.float32)


def test_ultrasound_throws_a_shadow_below_what_is_bright_and_not_beside_it() -> None:
    darker = []
    for seed in range(TASKS):
        seen = rendering._insonated(np.random.default_rng(seed), bar())
        darker.append(seen[:, 40:, 35:55].mean() / seen[:, 40:, 65:85].mean())
        assert 0.9 < seen[:, :14, 35:55].mean() / seen[:, :14, 65:85].mean() < 1.1  # above the bar
    assert np.median(darker) < 0.8 and min(darker) > 0.25


def test_the_gain_of_ultrasound_changes_with_depth() -> None:
    grey = np.full((COUNT, SIDE, SIDE), 0.4, np.float32)
    seen = [rendering._insonated(np.random.default_rng(seed), grey) for seed in range(TASKS)]
    slopes = [np.log(i[:, -20:].mean() / i[:, :20].mean()) for i in seen]
    assert min(slopes) < -0.3 and max(slopes) > 0.3


def test_a_halo_answers_a_border_on_its_other_side() -> None:
    for seed in range(TASKS):
        seen = rendering._haloed(np.random.default_rng(seed), bar())
        assert (seen[:, 29, 45] < 0.4 - 0.02).all()  # just below the bright bar: darker than the grey
        assert (seen[:, 27, 45] > 1 + 0.02).all()  # its own border: brighter
        np.testing.assert_allclose(seen[:, 80:, 10], 0.4, atol=0.01)  # far away: as before
