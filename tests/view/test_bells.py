"""The chart of what a doorbell costs: the same bytes each time, its numbers in words and as text."""

import re

from hvlab.lab.doorbells import doorbells
from hvlab.view.bells import bell_prices


def test_the_chart_of_rules_says_its_numbers_and_is_the_same_each_time():
    study = doorbells()

    one, other = bell_prices(study), bell_prices(study.prices)

    assert one.svg() == other.svg() and one.text == repr(study)
    for row in study.prices.rows:
        assert f"{row.entries} entries" in one.alt
    drawn = re.sub("<[^>]+>", " ", one.svg())
    assert all(f"{row.longest / 1000:,.1f}" in drawn for row in study.prices.rows)
