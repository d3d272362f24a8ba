"""Large stories open at once, broken ones say why, and no name in a story ever becomes markup."""

import base64
import json
import re
import zlib

import pytest
from story.counter import counter, picture

from browser.conftest import frame
from hvlab.story.gate import Gate
from hvlab.story.storyboard import Fact, Frame, Kind, Page, Place, Storyboard
from hvlab.view import export

pytestmark = pytest.mark.browser
SHAPES = [
    "<img src=x onerror=HIT>",
    "<script>HIT</script>",
    "</script><script>HIT</script>",
    "'\"><svg onload=HIT>",
    "<iframe srcdoc='<script>parent.HIT</script>'>",
    "javascript:HIT",
    "<a href='javascript:HIT'>x</a>",
    "<style>@import 'x'</style><b onmouseover=HIT>",
    "{{HIT}} ${HIT} `HIT`",
    "<!--<script>--><script>HIT</script>",
    "]]><script>HIT</script>",
    "\u2028HIT\u2029\x00</title><script>HIT</script>",
    "<math><mtext></table><mglyph><style><img src=x onerror=HIT>",
    "<details open ontoggle=HIT>",
    "__proto__",
    "&lt;script&gt;HIT&lt;/script&gt;",
    "\u202eHIT<script>\u202c",
    "<template><script>HIT</script></template>",
    "<object data='data:text/html,<script>HIT</script>'>",
    "<input autofocus onfocus=HIT>",
]
PAYLOADS = [shape.replace("HIT", f"window.hit={at}") for at in range(10) for shape in SHAPES]


def hostile(names):
    """A story with a payload in every place that takes a text."""
    name = iter(names * 2)
    facts = [Fact(f"f{k}", next(name), panel=True) for k in range(20)]
    places = [Place(f"place {k} {next(name)}", next(name), next(name), next(name), next(name)) for k in range(8)]
    kinds = [Kind(f"k{k}", next(name) + " {f1}", rule=next(name), left_out=next(name)) for k in range(8)]
    fields = [(next(name), 4 * k, 4, next(name), "dec") for k in range(8)]
    choices = [{"value": k, "label": next(name)} for k in range(4)]
    wrong = [{"value": 2, "name": next(name), "says": next(name)}]
    gates = [Gate(next(name), 6, next(name), "pick", "f1", choices=choices, wrong=wrong, tells=next(name) + "{value}")]
    drawn = picture()
    layer = [["text", "a", "label", {"x": 20, "y": 20}, next(name)], ["text", "b", "label", {"x": 20, "y": 50}, ""]]
    bind = [["say", "b", next(name) + "{f1}"], ["ruler", "r", "f2", "w"]]
    shown = type(drawn)(next(name), next(name), 400, 100, layer, bind, next(name))
    frames = [
        Frame(f"k{k}", (), {"f1": k}, phase=next(name), src=places[k].name, dst=places[0].name, writes=[("p", 0, b"x")])
        for k in range(8)
    ]
    word = {"name": next(name), "lo": 0, "width": 9, "doc": next(name)}
    return Storyboard.from_frames(
        next(name), frames, kinds=kinds, facts=facts, places=places, pictures=[shown], gates=gates,
        pages=[Page("p", 0, 64, fields=fields)], words={"w": [word]},
        token=next(name), about=next(name),
    )  # fmt: skip


def test_no_text_of_a_story_becomes_markup_or_runs(open_story):
    page = open_story(hostile(PAYLOADS), reduced_motion="reduce")
    page.get_by_role("button", name="More", exact=True).click()
    page.get_by_label("Box", exact=True).select_option("1")
    page.get_by_role("button", name="Add stop").click()
    page.locator(".tab").last.click()
    page.get_by_role("button", name="Last", exact=True).click()
    page.locator(".gate input[type=radio]").nth(2).check()
    page.get_by_role("button", name="Answer", exact=True).click()
    page.get_by_role("button", name="Last", exact=True).click()
    page.get_by_role("button", name="Table", exact=True).click()
    page.get_by_role("button", name="Copy token").click()

    assert page.locator(".outcome").count() == 1 and page.locator(".twin tbody tr").count() == 8
    assert page.evaluate("window.hit") is None
    assert page.evaluate("document.querySelectorAll('script').length") == 2
    allowed = (
        "section div span b p button input select option optgroup label fieldset legend form table caption thead tbody"
        " tr th td small s svg title desc defs pattern rect path circle g text tspan ul li dl dt dd"
    )
    tags = page.evaluate("[...new Set([...document.querySelectorAll('.hvlab *')].map((one) => one.localName))]")
    assert set(tags) <= set(allowed.split())
    attributes = page.evaluate("[...document.querySelectorAll('.hvlab *')].flatMap((one) => one.getAttributeNames())")
    assert not [one for one in attributes if one.startswith("on") or one in ("href", "src", "srcdoc", "xlink:href")]


def test_a_hundred_thousand_frames_show_the_first_at_once_and_step_as_fast_as_a_short_story(open_story):
    kind = Kind("said", "Value {value:hex} of {a}.", ("value",), ("hex",))
    many = (Frame("said", (k,), {"a": k, "b": k // 2}, time=k, src="p", phase=f"{k // 20_000}") for k in range(100_000))
    story = Storyboard.from_frames(
        "Many", many, kinds=[kind], facts=[Fact("a", panel=True), Fact("b")], places=[Place("p")]
    )
    assert len(story.to_bytes()) <= 3 * 1024 * 1024
    page = open_story(story)
    page.wait_for_function("() => document.querySelectorAll('.band').length > 1")

    number = page.locator(".number")
    for k in (99_999, 1, 54_321):
        number.fill(str(k))
        number.press("Enter")
        assert page.locator(".caption").inner_text() == story.describe(k)
    assert page.locator(".twin tbody tr").count() == 200
    assert page.locator("tr[aria-current] th").inner_text() == "54321"
    page.get_by_label("Text in the row").fill("of 777.")
    page.wait_for_function("() => document.querySelectorAll('.twin tbody tr').length === 1")


def broken(story, tmp_path, change):
    """A page whose story was changed after it was written."""
    text = export.html(story)
    start = text.index('<script type="application/json">') + len('<script type="application/json">')
    end = text.index("</script>", start)
    data = json.loads(zlib.decompress(base64.b64decode(json.loads(text[start:end]))))
    change(data)
    packed = json.dumps(base64.b64encode(zlib.compress(json.dumps(data).encode())).decode())
    path = tmp_path / "broken.html"
    path.write_text(text[:start] + packed + text[end:], encoding="utf-8")
    return path


def cut(data):
    data["bytes"] = base64.b64encode(base64.b64decode(data["bytes"])[:-50]).decode()


def drawing(element):
    return lambda data: data["scene"]["pictures"][0]["layer"].append(element)


def garble(data):
    data["bytes"] = base64.b64encode(b"\xff" * 4000).decode()


@pytest.mark.parametrize(
    "change, says, table",
    [
        (cut, "bytes", False),
        (lambda data: data["scene"].update(schema=9), "This story has schema 9; this player reads schema 1.", False),
        (lambda data: data["scene"]["pictures"][0]["bind"].append(["lit", "head", "nobody"]), "together: nobody", True),
        (drawing(["script", "", "", {}, "x"]), "Digits: script", True),
        (drawing(["g", "", "", {"onclick": "x"}, []]), "onclick", True),
    ],
)
def test_a_broken_story_says_why_in_one_sentence(open_page, tmp_path, change, says, table):
    page = open_page(broken(counter(3, gates=()), tmp_path, change), ready=".broken")

    assert says in page.locator(".broken").inner_text()
    assert page.locator(".twin").count() == int(table)
    assert not page.locator(".picture").is_visible()


def test_bytes_that_cannot_be_inflated_leave_frame_0_and_the_reason(open_page, tmp_path):
    page = open_page(broken(counter(200, gates=()), tmp_path, garble), ready=".broken", expect_errors=True)

    assert "error" in page.locator(".broken").inner_text()
    assert page.locator(".caption").inner_text().startswith("User code asks for tick 0")


def test_an_exported_page_is_whole_and_asks_nobody(open_page, tmp_path):
    text = export.html(counter(150, gates=()), tmp_path / "x.html")

    assert re.search(r'<html lang="en">', text) and "<title>A counter that carries</title>" in text
    assert not re.findall(r"https?://(?!www\.w3\.org/2000/svg)", text + export.script())
    assert len(text.encode()) <= 100 * 1024
    page = open_page(tmp_path / "x.html")
    assert frame(page) == 0


def test_the_first_frame_of_a_packed_story_stands_before_the_rest_is_inflated(open_story):
    slow = """let used = 0;
    const Real = DecompressionStream, stall = () => new TransformStream({ transform() {} });
    DecompressionStream = function (...all) { return used++ > 1 ? stall() : new Real(...all); };"""
    page = open_story(counter(200, gates=()), script=slow)

    page.get_by_role("button", name="Next", exact=True).click()

    assert page.locator(".caption").inner_text().startswith("User code asks for tick 0")
    assert frame(page) == 0
