"""A few kernel restarts with live players; `python -m tests.browser.restarts` does fifty."""

import pytest

from browser.restarts import broken, lived

pytestmark = pytest.mark.browser


def test_restarts_leave_no_error_no_comm_and_no_player_behind(chromium, tmp_path):
    found, errors = lived(2, tmp_path, chromium)

    assert len(found) == 2
    assert broken(found, errors) == []
