"""The page of a file: its words, its pictures with their tables, and that nothing of the file becomes markup."""

import gzip
import json
import re
from html.parser import HTMLParser

import numpy as np
import pytest
from capture import build

from hvlab import cli
from hvlab.capture import VectorsSummary, describe, sample, samples
from hvlab.errors import BadFile, plain
from hvlab.view import report, traces
from hvlab.view.drawing import Drawing, figure, table

TAGS = {
    *("html", "head", "meta", "title", "link", "style", "body", "main", "section", "h1", "h2", "p", "ul", "li", "br"),
    *("figure", "figcaption", "details", "summary", "div", "table", "caption", "thead", "tbody", "tr", "th", "td"),
    *("svg", "desc", "defs", "pattern", "path", "rect", "text"),
}
PAYLOADS = (
    "<script>alert(1)</script>",
    '"><img src=x onerror=alert(1)>',
    "'onload='alert(1)",
    "</title></style><svg onload=alert(1)>",
    "<!--", "]]>", "&lt;b&gt;", "javascript:alert(1)", "\u202ealert", "\x1b[31m", "{{7*7}}", "$\\frac{",
)  # fmt: skip


class Reader(HTMLParser):
    """Collects tags, attributes and texts, and checks that tags close."""

    def __init__(self, page):
        super().__init__()
        self.tags, self.attributes, self.open, self.texts = [], [], [], []
        self.feed(page)

    def handle_starttag(self, tag, attributes):
        self.tags.append(tag)
        self.attributes += [(tag, name, value) for name, value in attributes]
        if tag not in ("meta", "link", "br"):
            self.open.append(tag)

    def handle_startendtag(self, tag, attributes):
        self.tags.append(tag)
        self.attributes += [(tag, name, value) for name, value in attributes]

    def handle_endtag(self, tag):
        assert self.open.pop() == tag

    def handle_data(self, data):
        self.texts.append(data)


def read(page):
    reader = Reader(page)
    assert reader.open == []
    assert set(reader.tags) <= TAGS, set(reader.tags) - TAGS
    assert not [one for one in reader.attributes if one[1].startswith("on") or one[1] in ("src", "srcdoc", "action")]
    assert {value for _, name, value in reader.attributes if name == "href"} == {"data:,"}
    assert not re.search(r"[\x00-\x08\x0b-\x1f\u202a-\u202e\u2066-\u2069]", page)
    return reader


@pytest.fixture(scope="module", params=sorted(samples()))
def shipped(request):
    return request.param, report.html(sample(request.param))


def test_every_shipped_file_has_a_page_with_language_title_and_nothing_to_load(shipped):
    name, page = shipped
    reader = read(page)

    assert ("html", "lang", "en") in reader.attributes
    assert f"<title>{sample(name).name}: hvlab</title>" in page
    assert "default-src 'none'" in page
    assert not re.search(r"url\((?!#)|@import|https?://(?!www\.w3\.org/2000/svg)", page)


def test_every_picture_has_title_words_and_a_table_with_scopes(shipped):
    _, page = shipped

    pictures = re.findall(r"<figure>(.*?)</figure>", page)
    assert len(pictures) >= 1
    for picture in pictures:
        ids = re.search(r'role="img" aria-labelledby="(\S+) (\S+)"', picture)
        assert all(re.search(rf'id="{one}">[^<]{{8,}}<', picture) for one in ids.groups())
        assert "<details><summary>The same as a table</summary>" in picture
        assert "<caption>" in picture
        assert 'scope="col"' in picture and 'scope="row"' in picture


def test_ids_are_there_once(shipped):
    reader = read(shipped[1])

    ids = [value for _, name, value in reader.attributes if name == "id"]
    assert len(ids) == len(set(ids))


def test_the_page_says_all_words_of_hvlab_open(shipped):
    name, page = shipped
    said = describe(sample(name)).partition("\n")[2]

    shown = "".join(read(page).texts)
    for line in filter(None, map(str.strip, said.splitlines())):
        assert line.removesuffix(":") in shown


def test_the_same_file_gives_the_same_page():
    assert report.html(sample("npt_4lvl")) == report.html(sample("npt_4lvl"))


def test_the_table_of_guest_memory_says_what_backs_each_run():
    page = report.html(sample("npt_4lvl"))

    rows = re.findall(r'<tr><th scope="row">(0x[0-9a-f_]+)</th><td>0x[0-9a-f_]+</td><td>(0x[0-9a-f_]+)</td>', page)
    assert ("0x4028_f000", "0x0e34_7000") in rows
    assert "mapped, on SPA 0x" in page


def test_the_areas_of_an_address_space_are_in_picture_and_table():
    page = report.html(sample("pt_4lvl_pti"))

    assert page.count('<svg xmlns="http://www.w3.org/2000/svg"') == 4
    assert '<th scope="row">espfix stacks</th><td>kernel half</td>' in page
    assert "espfix stacks (kernel half): 128 KiB, 32 of 4 KiB" in page


def saved(tmp_path, name, arrays):
    return build.save(tmp_path / name, arrays)


@pytest.mark.parametrize("payload", PAYLOADS)
def test_names_of_the_file_and_from_the_file_stay_text(tmp_path, payload):
    listed = json.loads(build.page_tables()["meta_json"].tobytes()) | {"name": payload}
    name = re.sub(r"[/\x00]", "_", payload) + ".npz"

    page = report.html(saved(tmp_path, name, build.page_tables(meta_json=build.as_json(listed))))

    assert plain(name, 64) in "".join(read(page).texts)


def test_answers_of_a_vector_file_stay_text():
    answers = VectorsSummary("ept_permissions", len(PAYLOADS), dict.fromkeys(PAYLOADS, 1))

    reader = read(report.page("vectors", [report._answers(answers)]))

    assert set(map(plain, PAYLOADS)) <= set(reader.texts)


@pytest.mark.parametrize("payload", PAYLOADS)
def test_every_text_of_a_drawing_is_escaped(payload):
    drawing = Drawing("x", payload, payload, 100)
    drawing.text(1, 1, payload)

    read(report.page(payload, [figure(drawing, ["a", "b"], [[payload, payload]]), table(payload, ["a"], [[payload]])]))


def test_a_file_that_is_still_to_come_is_one_sentence(tmp_path):
    path = tmp_path / "x.txt"
    path.write_bytes(b"vhdxfile" + bytes(4096))

    page = report.html(path)

    assert "comes with the storage capability" in page
    assert "<svg" not in page


def test_a_bad_file_is_refused_and_no_page_is_written(tmp_path, capsys):
    path, out = tmp_path / "bad.npz", tmp_path / "out.html"
    path.write_bytes(b"\x00\x01\x02")

    code = cli.main(["open", str(path), "--html", str(out)])

    assert code == 1
    assert capsys.readouterr().err.startswith(f"hvlab: {path}: ")
    assert not out.exists()
    with pytest.raises(BadFile):
        report.html(path)


def test_the_command_writes_the_page(tmp_path, capsys):
    out = tmp_path / "out.html"

    code = cli.main(["open", str(sample("npt_4lvl")), "--html", str(out)])

    assert code == 0
    assert out.read_text("utf-8") == report.html(sample("npt_4lvl"))
    assert capsys.readouterr().out.startswith(f"{out}: ")


@pytest.mark.parametrize("make", [build.page_tables, build.nested_tables, lambda: build.nested_tables(4, True)])
def test_the_smallest_snapshots_have_pages(tmp_path, make):
    page = report.html(saved(tmp_path, "small.npz", make()))

    assert read(page).tags.count("svg") == 1


def test_a_trace_of_one_access_has_a_page(tmp_path):
    path = tmp_path / "one.txt"
    path.write_text("I  04001a40,3\n")

    page = report.html(path)

    assert read(page).tags.count("svg") == 4
    assert "100.0%, 1" in page


def test_a_trace_that_no_guest_can_hold_is_told_without_a_curve(tmp_path, monkeypatch):
    monkeypatch.setattr("hvlab.lab.study.PLAIN", False)
    path = tmp_path / "far.txt"
    path.write_text("".join(f" L {k << 30:x},1\n" for k in range(1 << 14)))

    page = report.html(path)

    assert "Not studied: a guest with " in page
    assert read(page).tags.count("svg") == 3


def test_dashes_cover_runs_of_columns_and_stop_at_the_end_of_a_lane():
    lanes, columns = np.array([0, 0, 0, 0, 1]), np.array([3, 4, 9, traces.TIMES - 1, 0])

    d = traces._marks(lanes, columns, 10.0)

    assert len(re.findall("M", d)) == 4
    wide = (traces.RIGHT - traces.LEFT) / traces.TIMES
    assert [float(one) for one in re.findall(r"h([\d.]+)", d)] == pytest.approx([2 * wide, wide, wide, wide], abs=0.1)


def lanes_of(page, title):
    """The table of a picture: each row's cells."""
    (found,) = re.findall(rf"<figcaption>{title}</figcaption>(.*?)</figure>", page)
    return [re.findall(r"<t[hd][^>]*>([^<]*)</t[hd]>", row) for row in re.findall(r"<tr>(.*?)</tr>", found)][1:]


def test_a_kvm_trace_is_told_in_sentences_lanes_and_a_table():
    page = report.html(sample("kvm_synic"))
    reader = read(page)
    text = gzip.decompress(sample("kvm_synic").read_bytes()).decode()

    rows = {lane: int(count.replace(",", "")) for lane, count, *_ in lanes_of(page, "What happened when")}
    for vp in (0, 1):
        points = {
            "sets a timer": rf"stimer_set_count: vcpu_id {vp} .* host 0",
            "writes a register": rf"synic_set_msr: vcpu_id {vp} .* host 0",
            "timer expires": f"stimer_expiration: vcpu_id {vp} ",
            "SINT is raised": f"synic_set_irq: vcpu_id {vp} ",
        }
        assert {name: rows[f"VP {vp}: {name}"] for name in points} == {
            name: len(re.findall(pattern, text)) for name, pattern in points.items()
        }
    calls = sum(count for lane, count in rows.items() if "hypercall" in lane)
    assert calls == text.count("kvm_hv_hypercall:")
    told = "".join(reader.texts)
    assert "SINT2 = 0x200f3: vector 0xf3, not masked, auto-EOI." in told
    assert all(line in told for line in filter(None, describe(sample("kvm_synic")).split("\n\n")[0].splitlines()[1:]))


def test_the_lanes_show_a_busy_slot_and_the_eom_that_frees_it():
    events = lanes_of(report.html(sample("kvm_synic")), "24 events from the guest&#x27;s first SynIC register on")

    assert [number for number, *_ in events] == [str(k) for k in range(1, 25)]
    what = [f"{lane}: {words}" for _number, _after, lane, words in events]
    full = next(k for k, words in enumerate(what) if "its slot was full" in words)
    eom = what.index("VP 0: writes a register: EOM = 0x0")
    assert full < eom and "SINT 2, vector 0xf3" in what[eom + 1] and "was delivered" in what[eom + 2]


def test_a_trace_without_a_guest_has_no_lanes(tmp_path):
    path = tmp_path / "host.txt"
    path.write_text(" q-1 [000] ..... 1.0: kvm_hv_synic_set_msr: vcpu_id 0 msr 0x40000080 data 0x0 host 1\n")

    page = report.html(path)

    assert "The emulator itself set registers once." in page and "<figure>" not in page
