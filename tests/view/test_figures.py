"""Charts: what they say in words, that they are the same each time, that no two texts meet."""

import base64
import itertools
import re
import subprocess
import sys
from dataclasses import replace
from pathlib import Path
from xml.etree import ElementTree

import numpy as np
import pytest
from matplotlib.backends.backend_agg import FigureCanvasAgg
from matplotlib.text import Text

from hvlab.capture.accesses import AddressTrace
from hvlab.lab.slices import sweep_slices
from hvlab.lab.spread import sweep_spread
from hvlab.lab.study import Row, Table, study, sweep_pages, sweep_tlb
from hvlab.story.topology import Layout, Leaf, Owned, Share, Tables
from hvlab.view import figures, sweeps

ROOT = Path(__file__).parent.parent.parent
TRACES = ["sort", "gzip", "sqlite"]
HOSTILE = '<img src=x onerror=alert(1)>"$\\frac{&'
FEW = 1_500

LAYOUT = Layout(
    names=((1, "root"), (2, "web"), (3, "db")),
    owned=(Owned(0, 8, 0), Owned(8, 24, 1), Owned(32, 16, 2), Owned(48, 16, 3)),
    shares=(Share(40, 1, 2, 1, 3),),
    leaves=(Leaf(1, 8, 8, 24, 7), Leaf(1, 40, 40, 1, 3), Leaf(2, 0, 32, 16, 7), Leaf(3, 0, 48, 16, 7)),
    tables=(Tables(4, 2, 2), Tables(6, 2, 3)),
)
BROKEN = replace(LAYOUT, leaves=(*LAYOUT.leaves, Leaf(2, 100, 50, 2, 1)))


def made(name: str, walks: int, entries: int = 64, guest: int = 12) -> Row:
    return Row(name, f"{entries}", entries, guest, guest, 1_000_000, 0, walks, 5 * walks, 20 * walks)


CHARTS = {
    "hit_rates": lambda: figures.hit_rates(sweep_tlb(TRACES, limit=FEW)),
    "hit_rates_of_one": lambda: figures.hit_rates(sweep_tlb("gzip", limit=FEW)),
    "close_hit_rates": lambda: figures.hit_rates(
        Table("TLB", tuple(made(name, 900 // e + k, e) for k, name in enumerate("abcde") for e in (8, 16)))
    ),
    "costs": lambda: figures.costs(sweep_pages(TRACES, limit=FEW)),
    "costs_of_one": lambda: figures.costs(study("sqlite", limit=FEW)),
    "costs_of_nothing": lambda: figures.costs(Table("Page size", (made("idle", 0), made("idle", 0, guest=21)))),
    "slice_stays": lambda: sweeps.slice_stays(sweep_slices()),
    "table_memory": lambda: sweeps.table_memory(sweep_spread()),
    "reachability": lambda: figures.reachability(LAYOUT),
    "broken": lambda: figures.reachability(BROKEN),
    "nothing_mapped": lambda: figures.reachability(replace(LAYOUT, leaves=())),
}


@pytest.fixture(scope="module", params=CHARTS)
def chart(request):
    return CHARTS[request.param]()


def texts(chart):
    """Each text that is drawn, with its box in pixels."""
    canvas = FigureCanvasAgg(chart.figure)
    canvas.draw()
    shown = [t for t in chart.figure.findobj(Text) if t.get_visible() and t.get_text().strip()]
    return [(t, t.get_window_extent(canvas.get_renderer())) for t in shown]


def test_no_two_texts_meet_and_none_leaves_the_card(chart):
    found = texts(chart)
    wide, high = chart.figure.get_size_inches() * 72

    for (one, a), (other, b) in itertools.combinations(found, 2):
        assert not a.overlaps(b), (one.get_text(), other.get_text())
    for text, box in found:
        assert min(box.x0, box.y0, wide - box.x1, high - box.y1) >= 0, text.get_text()


def test_no_text_is_smaller_than_twelve_pixels_at_844(chart):
    assert chart.figure.get_size_inches()[0] * 72 == 844
    assert min(text.get_fontsize() for text, _ in texts(chart)) >= 12


def test_the_picture_is_byte_for_byte_the_same_and_its_letters_are_text(chart):
    assert chart.svg() == chart.svg()
    assert not re.search(r"\d{4}-\d\d-\d\dT|Matplotlib v", chart.svg())
    assert "<text" in chart.svg()


def test_a_fresh_process_draws_the_same_bytes():
    run = (
        "import hashlib; from tests.view.test_figures import CHARTS; "
        "print(*(hashlib.sha256(CHARTS[name]().svg().encode()).hexdigest() for name in ('close_hit_rates', 'broken')))"
    )

    one, two = (
        subprocess.run([sys.executable, "-c", run], cwd=ROOT, capture_output=True, text=True, check=True).stdout
        for _ in range(2)
    )

    assert one == two != ""


def test_a_notebook_gets_an_image_with_words_and_the_numbers_as_text(chart):
    data, _ = chart._repr_mimebundle_()

    figure = ElementTree.fromstring(
        data["text/html"].replace("base64,", "base64,", 1).replace('"><figcaption', '"/><figcaption')
    )
    image = figure.find("img")
    assert image.get("alt") == chart.alt
    assert base64.b64decode(image.get("src").partition("base64,")[2]).decode() == chart.svg()
    assert figure.find("details/pre").text == chart.text
    assert data["text/plain"] == repr(chart)


def test_the_png_carries_the_same_words():
    chart = CHARTS["broken"]()

    data, metadata = chart.image()._repr_mimebundle_()

    assert metadata["image/png"]["alt"] == chart.alt
    assert data["image/png"].startswith("iVBOR")


def test_the_words_of_the_studies_name_traces_and_numbers():
    hits, costs = (CHARTS[name]() for name in ("hit_rates", "costs"))

    assert re.search(r"sort from \d+\.\d\d% with 8 entries to \d+\.\d\d% with 512; gzip from ", hits.alt)
    assert re.search(r"sqlite from \d+\.\d\d table reads for 1,000 accesses with ", costs.alt)
    assert hits.text == str(sweep_tlb(TRACES, limit=FEW))


def test_the_words_of_the_sweeps_name_every_number_that_is_drawn():
    stays, memory = (CHARTS[name]() for name in ("slice_stays", "table_memory"))

    assert "37: longest stay 6550 ns, in all 178.0 µs" in stays.alt and "The aim of 50.0 µs" in stays.alt
    assert "4 KiB: 16 KiB" in memory.alt and "512 GiB: 1,540 KiB" in memory.alt
    assert stays.text == repr(sweep_slices()) and memory.text == repr(sweep_spread())


def test_the_words_of_reachability_say_who_reaches_what_and_what_is_wrong():
    sound, broken = (CHARTS[name]() for name in ("reachability", "broken"))

    assert "root reaches 24 pages (rwx) of root, 1 page (rw-) of web" in sound.alt
    assert sound.alt.endswith("No path leads where it should not.")
    assert broken.alt.endswith("1 path should not be there.")
    assert "web reaches a page of db that no share record opens to it: web → GPA 0x0006_4000" in broken.text


def test_hostile_names_are_text_in_picture_and_page():
    trace = AddressTrace("", HOSTILE, *(np.array(v) for v in ([1] * 9, [4] * 9, range(9))), "", {})
    hostile = replace(LAYOUT, names=((1, "root"), (2, HOSTILE), (3, "\x1b[2J\u202egnp")))

    for chart in (figures.hit_rates(sweep_tlb(trace)), figures.costs(study(trace)), figures.reachability(hostile)):
        page = chart._repr_mimebundle_()[0]["text/html"]
        assert "<img src" not in page
        assert "<img src=x" not in chart.svg()
        assert ElementTree.fromstring(chart.svg()).tag.endswith("svg")
        assert "\x1b" not in chart.svg() + chart.alt + chart.text


def test_drawing_does_not_load_pyplot_and_leaves_the_users_settings_alone():
    run = (
        "import sys, matplotlib\n"
        "def settings(): return {k: matplotlib.rcParams[k] for k in matplotlib.rcParams if k != 'backend'}\n"
        "before = settings()\n"
        "from tests.view.test_figures import CHARTS\n"
        "CHARTS['broken']().svg()\n"
        "print(settings() == before, 'matplotlib.pyplot' in sys.modules)"
    )

    done = subprocess.run([sys.executable, "-c", run], cwd=ROOT, capture_output=True, text=True, check=True)

    assert done.stdout == "True False\n"
