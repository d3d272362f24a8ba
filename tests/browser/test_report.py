"""The page of a file in a real browser: both themes, wide and narrow, with the tables unfolded."""

from pathlib import Path

import pytest
from capture import build

from browser.conftest import keep
from hvlab.capture import sample
from hvlab.view import report

pytestmark = pytest.mark.browser
HERE = Path(__file__).parent
MEASURE, CONTRAST = ((HERE / name).read_text(encoding="utf-8") for name in ("measure.js", "contrast.js"))
FILES = ["npt_4lvl", "gzip", "pt_5lvl_nopti_1g", "ept_permissions", "kvm_synic", "lsvmbus_azure_8vcpu"]
FILES += ["lsvmbus_2vcpu_lopsided", "vmbus_ftrace", "vmbus_host", "vmbus_sysfs", "dmesg_wsl2_host22000"]
UNFOLD = "document.querySelectorAll('details').forEach((one) => one.open = true)"


@pytest.fixture(scope="module")
def pages(tmp_path_factory):
    folder = tmp_path_factory.mktemp("pages")
    for name in FILES:
        (folder / f"{name}.html").write_text(report.html(sample(name)), encoding="utf-8")
    return folder


@pytest.mark.parametrize("width, height", [(1280, 720), (844, 720), (500, 800), (320, 700)])
@pytest.mark.parametrize("name", FILES)
def test_nothing_is_cut_small_or_overlapping(open_page, pages, name, width, height):
    page = open_page(pages / f"{name}.html", ready="h1", viewport={"width": width, "height": height})

    assert page.evaluate(MEASURE) == []
    page.evaluate(UNFOLD)
    keep(page, f"report-{name}-{width}")
    assert page.evaluate(MEASURE) == []


@pytest.mark.parametrize("scheme", ["light", "dark"])
@pytest.mark.parametrize("name", FILES)
def test_text_and_lines_stand_out_from_their_ground(open_page, pages, name, scheme):
    page = open_page(pages / f"{name}.html", ready="h1", viewport={"width": 1280, "height": 720}, color_scheme=scheme)

    page.evaluate(UNFOLD)
    keep(page, f"report-{name}-{scheme}")
    assert page.evaluate(CONTRAST) == []


def test_tables_unfold_by_keyboard(open_page, pages):
    page = open_page(pages / "npt_4lvl.html", ready="h1")
    for _ in range(10):
        page.keyboard.press("Tab")
        if page.evaluate("document.activeElement.tagName") == "SUMMARY":
            break
    page.keyboard.press("Enter")

    assert page.locator("details[open] table").count() == 1


def test_a_hostile_name_runs_nothing(open_page, tmp_path):
    path = build.save(tmp_path / "<img src=x onerror=document.title='run'>.npz", build.page_tables())
    out = tmp_path / "out.html"
    out.write_text(report.html(path), encoding="utf-8")

    page = open_page(out, ready="h1")

    assert page.title() == "<img src=x onerror=document.title='run'>.npz: hvlab"
    assert page.locator("h1").inner_text() == "<img src=x onerror=document.title='run'>.npz"
