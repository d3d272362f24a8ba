"""Pages and notebook outputs about a real guest's VMBus: what they show, and that nothing of a paste becomes markup."""

import base64
import io
import re

import pytest

from hvlab import cli, explain
from hvlab.capture import describe, sample
from hvlab.capture.samples import texts
from hvlab.errors import BadFile, plain
from hvlab.view import report

from .test_report import PAYLOADS, read

NAMES = [name for name in texts() if name.startswith(("dmesg", "lsvmbus", "vmbus"))]
GUID = "01234567-89ab-cdef-0123-456789abcdef"


@pytest.fixture(scope="module", params=NAMES)
def page(request):
    return request.param, report.html(sample(request.param))


def test_each_sample_has_a_page_that_loads_nothing_with_pictures_that_have_words_and_tables(page):
    name, text = page
    reader = read(text)
    pictures = re.findall(r"<figure>(.*?)</figure>", text)

    assert len(pictures) == (0 if name.startswith("dmesg") else 1)
    assert not re.search(r"url\((?!#)|@import|https?://(?!www\.w3\.org/2000/svg)", text)
    ids = [value for _, attribute, value in reader.attributes if attribute == "id"]
    assert len(ids) == len(set(ids))
    assert all("<caption>" in one and 'scope="row"' in one for one in pictures)


def test_the_lanes_hold_each_message_and_each_that_is_missing_beside_what_is_expected():
    text = report.html(sample("vmbus_ftrace"))
    picture = text[text.index("<svg") : text.index("</svg>")]

    assert picture.count(">INITIATE_CONTACT<") == 6 and picture.count(">VERSION_RESPONSE<") == 6
    assert picture.count('class="fault dashes"') == 4  # four answers that never came
    assert picture.count("the guest names a version; it begins with its newest") == 6
    assert picture.count("missing: nobody listens on connection 4") == 4
    assert "accepted: both ends speak 4.0" in picture


def test_a_lopsided_device_is_hatched_and_a_balanced_one_is_not():
    lopsided, even = (report.html(sample(name)) for name in ("lsvmbus_2vcpu_lopsided", "lsvmbus_azure_8vcpu"))

    assert lopsided.count("url(#channels-stripes)") == 4 and "url(#channels-stripes)" not in even
    assert even.count('class="bar data"') == 20 and even.count('class="bar call"') == 30  # first channels, sub-channels


@pytest.mark.parametrize("payload", PAYLOADS)
def test_what_was_pasted_stays_text_on_a_page_and_in_a_notebook(payload):
    for text in (
        f"VMBUS ID  1: {payload}\n\tRel_ID=1, target_cpu=0\n{payload}\n",
        f"/sys/bus/vmbus/devices/{GUID}/driver_override = {payload};\n{payload}\n",
        f"[    0.000000] hv_vmbus: Vmbus version:5.3\n[    0.000001] Hyper-V: {payload}\n{payload}\n",
        f" x-1 [000] ..... 1.0: vmbus_request_offers: sending ret 0\n{payload}\n",
        f"1@1.0:vmbus_recv_message type 3 size 8\n{payload}\n",
    ):
        html = explain(text)._repr_html_()
        shown = "".join(read(report.html(text)).texts)
        if payload.strip(">| ") == payload:
            assert plain(payload) in shown
        assert (
            re.sub(
                r"<(?:/?figure|/?figcaption|/?pre|img alt=\"[^\"<>]*\" src=\"data:image/svg\+xml;base64,[\w+/=]*\")>",
                "",
                html,
            ).count("<")
            == 0
        )


def test_a_cell_shows_the_words_and_the_pictures_of_what_was_pasted():
    text = sample("vmbus_ftrace").read_text()
    found = explain(text)
    svg = base64.b64decode(re.search(r"base64,([\w+/=]+)", found._repr_html_())[1]).decode()

    assert repr(found) == found.text == describe(text)
    assert found.text.startswith("The pasted text is an ftrace recording of VMBus events.")
    assert svg.startswith("<svg ") and svg.count(">INITIATE_CONTACT<") == 6
    assert "var(--" not in svg and "<script" not in svg  # it stands alone: no style of a page reaches it


def test_a_file_is_explained_as_hvlab_open_does(capsys):
    for name in NAMES:
        assert cli.main(["open", str(sample(name))]) == 0
        assert capsys.readouterr().out.rstrip("\n") == explain(sample(name)).text
    with pytest.raises(BadFile, match="lsvmbus"):
        explain("no guest\nwrote this\n")


def test_what_is_piped_in_is_opened(monkeypatch, capsys, tmp_path):
    class Pipe:
        buffer = io.BytesIO(sample("lsvmbus_2vcpu_lopsided").read_bytes())

    monkeypatch.setattr("sys.stdin", Pipe)
    assert cli.main(["open", "-", "--html", str(tmp_path / "out.html")]) == 0
    assert "Lopsided: " in (tmp_path / "out.html").read_text(encoding="utf-8")
