"""Slices as volumes: affines as computed by hand, and what lies at one place or unevenly."""

import numpy as np
import pytest

from service.images.stacking import Plane, stacks

AXIAL = (1.0, 0.0, 0.0, 0.0, 1.0, 0.0)
ALONG_Z = [0.0, 2.5, 5.0, 7.5]


def axial(z: float, **more: object) -> Plane:
    return Plane((0.5, 0.25), position=(-10.0, -20.0, z), orientation=AXIAL, patient=True, **more)  # type: ignore[arg-type]


def test_the_affine_is_that_computed_by_hand() -> None:
    (found,) = stacks([axial(z) for z in ALONG_Z])
    assert found.order == [0, 1, 2, 3] and found.remark is None
    np.testing.assert_allclose(
        found.affine, [[-0.5, 0, 0, 10], [0, -0.25, 0, 20], [0, 0, 2.5, 0], [0, 0, 0, 1]]
    )


def test_whatever_the_order_they_came_in_each_slice_is_where_it_lies() -> None:
    (found,) = stacks([axial(z) for z in (5.0, 7.5, 0.0, 2.5)])
    assert found.order == [2, 3, 0, 1]
    np.testing.assert_allclose(found.affine @ [0, 0, 1, 1], [10, 20, 2.5, 1])


def test_a_tilted_gantry_shifts_the_slices_and_nothing_is_uneven() -> None:
    planes = [Plane((1.0, 1.0), position=(0.0, 0.5 * n, 2.0 * n), orientation=AXIAL) for n in range(4)]
    (found,) = stacks(planes)
    np.testing.assert_allclose(found.affine[:3, 2], [0, -0.5, 2])
    assert found.remark is None


@pytest.mark.parametrize(
    ("places", "told"),
    [
        ([0.0, 1.0, 2.0, 7.0], "1 to 5 mm apart; the file has them evenly, 2.33 mm"),
        ([0.0, 1.0, 2.0, 3.05], "1 to 1.05 mm apart; the file has them evenly, 1.02 mm"),
        ([0.0, 1.0, 2.0, 3.005], None),
    ],
)
def test_what_is_uneven_by_more_than_a_hundredth_is_told(places: list[float], told: str | None) -> None:
    (found,) = stacks([axial(z) for z in places])
    assert told in found.remark if told and found.remark else found.remark is told


def test_what_lies_at_one_place_is_of_a_volume_each_by_the_numbers_of_the_slices() -> None:
    numbered = [(0, 4), (3, 5), (6, 6), (0.001, 1), (3, 2), (6, 3)]
    first, second = stacks([axial(z, number=number) for z, number in numbered])
    assert (first.order, second.order) == ([3, 4, 5], [0, 1, 2])
    assert first.remark is None and second.remark is None


def test_echoes_stay_apart_although_a_slice_of_one_is_missing() -> None:
    echoes = [(z, echo) for z in ALONG_Z for echo in (1.0, 2.0)]
    echoes.remove((2.5, 1.0))
    planes = [axial(z, turn=(echo,)) for z, echo in echoes]
    of_first, of_second = stacks(planes)
    assert [echoes[i] for i in of_first.order] == [(0.0, 1.0), (5.0, 1.0), (7.5, 1.0)]
    assert [echoes[i][0] for i in of_second.order] == ALONG_Z
    assert of_first.remark and of_second.remark is None


def test_a_time_of_its_own_for_each_slice_makes_no_volumes() -> None:
    assert len(stacks([axial(z, turn=(z,)) for z in ALONG_Z])) == 1


def test_a_film_at_one_place_stays_in_its_order_and_says_so() -> None:
    (found,) = stacks([axial(3.0, turn=(9.0 - n,)) for n in range(5)])
    assert found.order == [0, 1, 2, 3, 4] and "one place" in str(found.remark)
    np.testing.assert_allclose(found.affine[:3, 3], [10, 20, 3])


def test_one_slice_is_as_thick_as_it_says() -> None:
    (found,) = stacks([axial(3.0, thickness=5.0)])
    assert found.remark is None
    np.testing.assert_allclose(found.affine[:3, 2], [0, 0, 5])


def test_slices_of_which_one_lies_nowhere_are_spaced_and_it_is_told() -> None:
    nowhere = Plane((0.5, 0.25), 4.0, orientation=AXIAL, patient=True)
    (found,) = stacks([axial(0.0, thickness=4.0), nowhere])
    np.testing.assert_allclose(found.affine, np.diag([0.5, 0.25, 4, 1]))
    assert found.remark == "nothing tells where its slices lie; the file has them 4 mm apart"
    assert stacks([nowhere])[0].remark is None


def test_a_microscope_tells_of_the_distance_alone() -> None:
    (known,) = stacks([Plane((0.1, 0.1), 0.3)] * 3)
    assert known.remark is None and known.affine[2, 2] == 0.3
    (unknown,) = stacks([Plane((0.1, 0.1))] * 3)
    assert unknown.remark and unknown.affine[2, 2] == 1
