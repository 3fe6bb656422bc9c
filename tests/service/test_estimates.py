"""What is said of the rest and of the savings: the intervals hold as often as they claim to."""

import numpy as np
import pytest
from scipy import stats

from service.db import unit_of_work
from service.metrics.estimates import Moments, difference, rest
from service.tables import State
from tests.factories import told
from tests.service.conftest import Alone
from tests.service.histories import Drawn, a_place

TEN = [3, 5, 2, 4, 4, 6, 1, 3, 2, 0]


def test_the_rest_is_the_mean_times_what_is_to_come_with_students_interval() -> None:
    found = rest([(Moments.of(TEN), 20)])
    spread = np.std(TEN, ddof=1) * np.sqrt(20**2 / 10 + 20)
    reach = stats.t.ppf(0.975, 9) * spread
    assert (found.value, found.low, found.high) == pytest.approx((60, 60 - reach, 60 + reach), abs=0.02)


def test_the_rest_of_several_labels_adds_up_and_work_is_never_negative() -> None:
    found = rest([(Moments.of(TEN), 2), (Moments.of([0, 0, 0, 0, 0, 0, 0, 0, 0, 9]), 1)])
    assert found.value == pytest.approx(2 * 3 + 0.9)
    assert found.low == 0


def test_a_difference_has_welchs_interval() -> None:
    a, b = [9, 7, 8, 10, 9, 8, 7, 9, 11, 8], [*TEN, 2, 3]
    found = difference(Moments.of(a), Moments.of(b))
    expected = stats.ttest_ind(a, b, equal_var=False).confidence_interval(0.95)
    assert (found.low, found.high) == pytest.approx((expected.low, expected.high), abs=0.002)
    assert found.value == pytest.approx(np.mean(a) - np.mean(b))


def test_what_never_differs_has_no_interval() -> None:
    found = difference(Moments.of([4.0] * 10), Moments.of([1.0] * 10))
    assert (found.value, found.low, found.high) == (3, 3, 3)


def test_the_interval_of_the_rest_holds_the_truth_as_often_as_it_says() -> None:
    rng = np.random.default_rng(0)
    held = 0
    for _ in range(400):
        seen, to_come = rng.poisson(3, 50), rng.poisson(3, 200)
        found = rest([(Moments.of(seen.tolist()), 200)])
        held += found.low <= to_come.sum() <= found.high
    assert 0.91 <= held / 400 <= 0.985


def history(interactions: list[int], *, control: bool | None = False, begin: int = 0) -> list[Drawn]:
    return [
        Drawn("anna", "p" * n, accepted=begin + i, opened=begin + i - 0.5, control=control, active=((0, 18),))
        for i, n in enumerate(interactions, start=1)
    ]


def metrics_of(alone: Alone, *drawn: Drawn) -> dict:
    with unit_of_work(alone.sessions) as session:
        place = a_place(session)
        place.add(*drawn)
    return told(alone.api.get(f"/projects/{place.project.id}/metrics"))


def test_the_rest_is_projected_from_the_newest_fifty_images(alone: Alone) -> None:
    earlier, newest = [9] * 30, [*TEN] * 5
    left = [Drawn("anna", "", state=state) for state in (State.OPEN, State.RETURNED) for _ in range(10)]
    others = [Drawn("anna", "", state=State.SUBMITTED), Drawn("anna", "", state=State.SKIPPED)]
    found = metrics_of(alone, *history([*earlier, *newest]), *left, *others)["projection"]
    assert found["images"] == 20
    assert found["interactions"]["value"] == pytest.approx(60)
    spread = np.std(newest, ddof=1) * np.sqrt(20**2 / 50 + 20)
    reach = stats.t.ppf(0.975, 49) * spread
    assert found["interactions"]["high"] == pytest.approx(60 + reach, abs=0.02)
    assert found["hours"]["value"] == pytest.approx(20 * 18 / 3600, abs=1e-4)
    low, high = found["interactions"]["low"], found["interactions"]["high"]
    assert found["sentence"] == (
        f"At this rate 60 more interactions ({low:.0f} to {high:.0f}), about 6 minutes (6 to 6)."
    )


def test_too_few_images_say_nothing_and_why(alone: Alone) -> None:
    found = metrics_of(alone, *history(TEN[:9]), Drawn("anna", "", state=State.OPEN))
    assert found["projection"]["interactions"] is None
    assert found["projection"]["sentence"] == (
        "1 image to go. How much work that is can be said when 10 images of disc are accepted; 9 are."
    )
    assert found["savings"]["interactions"] is None
    assert found["savings"]["sentence"] == (
        "What the context saves can be said when 10 images of the control group and 10 others "
        "are accepted; 0 and 0 are."
    )


def test_savings_are_measured_against_the_control_group_of_the_same_time(alone: Alone) -> None:
    before = history([20] * 5)  # opened before there was a control group
    control = [9, 7, 8, 10, 9, 8, 7, 9, 11, 8]
    found = metrics_of(
        alone,
        *before,
        *history(control, control=True, begin=100),
        *history(TEN, begin=200),
    )["savings"]
    assert (found["control_images"], found["context_images"]) == (10, 10)
    expected = stats.ttest_ind(control, TEN, equal_var=False).confidence_interval(0.95)
    assert found["interactions"]["value"] == pytest.approx(8.6 - 3)
    assert found["interactions"]["low"] == pytest.approx(expected.low, abs=0.002)
    assert found["share"]["value"] == pytest.approx(5.6 / 8.6)
    assert found["seconds"]["value"] == pytest.approx(0, abs=1e-3)
    assert found["sentence"].startswith("The context saves 5.6 interactions an image (4.")
    assert found["sentence"].endswith("65% of what it takes without.")


def test_a_difference_that_may_be_none_is_not_called_a_saving(alone: Alone) -> None:
    found = metrics_of(alone, *history(TEN, control=True), *history(TEN, begin=100))["savings"]
    assert found["interactions"]["value"] == 0
    assert found["sentence"].endswith("too few images to tell, or no difference.")
