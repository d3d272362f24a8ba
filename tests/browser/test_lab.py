"""The player in a real JupyterLab: it runs, keeps to itself, survives a restart, and its still figure is shown."""

import shutil

import nbformat
import pytest
from story.counter import GATE, counter

from browser.conftest import keep
from browser.jupyter import ROOT, command, open_notebook, own_errors, restart, server, wait_idle
from browser.keys import Keys
from browser.learner import Player, give, refused, right_answer, to_the_end, wrong_answer
from browser.lessons import stories
from hvlab.notebooks import shipped
from hvlab.view import show

pytestmark = pytest.mark.browser
LATER = "Gate('later', 20, 'How far does it count?', 'int', 'count')"
CELLS = [
    "import sys\nsys.path[:0] = {paths!r}\nfrom story.counter import GATE, counter\nfrom hvlab.story.gate import Gate\n"
    "from hvlab.view import show",
    f"player = show(counter(gates=[GATE, {LATER}]), teacher=False)\nplayer",
    "player",
    "print('python has', player.answers, player.step)",
]
KERNEL = {"kernelspec": {"name": "python3", "display_name": "Python 3", "language": "python"}}
FRAMES = "[...document.querySelectorAll('.hvlab .number')].map((one) => Number(one.value))"
LESSON = next(path for path in shipped() if path.name.startswith("01"))
SHOWS = ["01-watch", "01-boot", "01-identity", "01-owner", "01-calls"]
FACTS = ["01-facts"]
BOOK = "jupyterapp.shell.currentWidget.content"


@pytest.fixture(scope="module")
def lab(tmp_path_factory):
    """The address of a JupyterLab on a folder with our notebooks, for a learner."""
    home = tmp_path_factory.mktemp("lab")
    (home / "work").mkdir()
    write_notebooks(home / "work")
    with server(home, HVLAB_MODE="learn", HVLAB_LEARNER="ada") as address:
        yield address


def write_notebooks(folder):
    paths = [str(ROOT), str(ROOT / "tests")]
    cells = [nbformat.v4.new_code_cell(source.replace("{paths!r}", repr(paths))) for source in CELLS]
    nbformat.write(nbformat.v4.new_notebook(cells=cells, metadata=KERNEL), folder / "live.ipynb")
    data, _ = show(counter())._repr_mimebundle_()
    del data["application/vnd.jupyter.widget-view+json"]
    stored = nbformat.v4.new_code_cell("show(counter())", execution_count=1)
    stored.outputs = [nbformat.v4.new_output("execute_result", data, execution_count=1)]
    nbformat.write(nbformat.v4.new_notebook(cells=[stored], metadata=KERNEL), folder / "stored.ipynb")
    shutil.copy(LESSON, folder)


@pytest.fixture
def page(chromium, lab):
    """A page at the size of a projector, whose errors are collected."""
    context = chromium.new_context(viewport={"width": 1280, "height": 720}, reduced_motion="reduce")
    context.set_default_timeout(20_000)
    page = context.new_page()
    page.errors = []
    page.on("console", lambda message: page.errors.append(message.text) if message.type == "error" else None)
    page.on("pageerror", lambda error: page.errors.append(str(error)))
    page.open_notebook = lambda name: open_notebook(page, lab, name)
    yield page
    context.close()


def frames(page):
    return page.evaluate(FRAMES)


def wait_frames(page, wanted):
    page.wait_for_function(f"() => JSON.stringify({FRAMES}) === '{wanted}'")


def test_the_player_lives_in_jupyterlab(page):
    page.open_notebook("live.ipynb")
    wait_idle(page)
    command(page, "notebook:run-all-cells")
    page.wait_for_function("() => document.querySelectorAll('.hvlab .caption:not(:empty)').length === 2")
    page.wait_for_function("() => document.body.textContent.includes('python has')")
    assert page.evaluate("getComputedStyle(document.querySelector('.hvlab')).colorScheme") == "light"

    # two views of one model follow each other
    first = page.locator(".hvlab").first
    first.get_by_role("button", name="Next", exact=True).click()
    wait_frames(page, "[1,1]")

    # letters stay in the player: no cell is added, cut or run
    cells = page.locator(".jp-Cell").count()
    for key in "abdxzm0":
        page.keyboard.press(key)
    assert page.locator(".jp-Cell").count() == cells and frames(page) == [1, 1]

    # a prediction made in the browser opens both views and reaches Python
    page.keyboard.press("End")
    wait_frames(page, f"[{GATE.frame},{GATE.frame}]")
    keep(page, "lab-gate")
    field = first.locator(".gate input[type=text]")
    field.click()
    page.keyboard.type("26")
    page.keyboard.press("Enter")
    page.keyboard.press("End")
    wait_frames(page, "[20,20]")
    page.locator(".jp-CodeCell .cm-content").last.click()
    page.keyboard.press("Shift+Enter")
    page.wait_for_function("() => document.body.textContent.includes(\"python has {'counter.writes': {'value': '26'\")")
    assert "Kernel not connected" not in first.inner_text()

    # the theme is followed by its ground
    command(page, "apputils:change-theme", {"theme": "JupyterLab Dark"})
    page.wait_for_selector(".hvlab.dark")
    keep(page, "lab-dark")

    # after a restart everything goes on but what needs the kernel, and that is said
    restart(page)
    first = page.locator(".hvlab").first
    first.get_by_role("button", name="Back", exact=True).click()
    assert frames(page)[0] == 19
    first.get_by_role("button", name="Next", exact=True).click()
    first.locator(".gate input[type=text]").fill("20")
    first.get_by_role("button", name="Answer", exact=True).click()
    first.get_by_role("button", name="Last", exact=True).click()
    assert frames(page)[0] == len(counter()) - 1
    page.wait_for_function("() => document.querySelector('.gates').textContent.includes('Kernel not connected')")
    assert own_errors(page) == []


def test_a_stored_lesson_shows_its_figure_where_nothing_is_trusted(page):
    page.open_notebook("stored.ipynb")

    picture = page.locator(".jp-OutputArea img")
    picture.wait_for()

    assert picture.get_attribute("alt").startswith("Digits 0, 0, 0")
    assert picture.evaluate("node => node.naturalWidth") == 844
    assert page.locator(".hvlab").count() == 0 and "Error displaying" not in page.inner_text("body")
    page.locator(".jp-OutputArea summary").click()
    assert page.locator(".jp-OutputArea tbody tr").count() == GATE.frame + 1
    keep(page, "lab-stored")


class Learner:
    """A lesson in JupyterLab, and a keyboard."""

    def __init__(self, page, scenes):
        self.page, self.keys = page, Keys(page, everywhere=False)
        self.names = page.evaluate(f"{BOOK}.widgets.map((cell) => cell.model.sharedModel.id)")
        self.players = [Player(page, number, scene) for number, scene in enumerate(scenes)]

    def active(self):
        return self.page.evaluate(f"{BOOK}.activeCellIndex")

    def to_cell(self, number):
        """Out of a player by Shift+Tab, then with the arrows of command mode."""
        on_cell = "document.activeElement.classList.contains('jp-Cell')"
        for _ in range(60):
            if self.page.evaluate(on_cell):
                break
            self.keys.tab("Shift+Tab")
        assert self.page.evaluate(on_cell), "the focus does not come back to a cell"
        step = "ArrowDown" if number > self.active() else "ArrowUp"
        self.keys.press(*[step] * abs(number - self.active()))
        assert self.active() == number

    def run(self):
        """Run the active cell and go on to the next; a code cell has a number when it is done."""
        number, cells = self.active(), len(self.names)
        self.keys.press("Control+Enter" if number == cells - 1 else "Shift+Enter")  # after the last Lab adds a cell
        self.page.wait_for_function(f"() => {BOOK}.activeCellIndex === {min(number + 1, cells - 1)}")
        cell = f"{BOOK}.widgets[{number}].model"
        done = f"{cell}.type !== 'code' || {cell}.executionState === 'idle' && {cell}.executionCount"
        self.page.wait_for_function(f"() => {done}", timeout=60_000)
        return number

    def said(self, number):
        """The text that a cell printed, also where it is folded."""
        outputs = f"{BOOK}.widgets[{number}].model.outputs"
        found = self.page.evaluate(f"[...Array({outputs}?.length ?? 0).keys()].map((k) => {outputs}.get(k).toJSON())")
        assert not [one for one in found if one["output_type"] == "error"], (self.names[number], found)
        return "".join(text for one in found for text in one.get("text", ""))

    def into(self, player):
        """By Shift+Tab from the cell below into the player above it, up to Next."""
        self.page.wait_for_function(
            f"() => document.querySelectorAll('.hvlab .caption:not(:empty)').length > {player.number}"
        )
        self.keys.tab_to("Shift+Tab", name="Next", player=player.number)

    def answer(self, player, told):
        """Answer a player's question: as the machine told before, or, the first time, as a wrong idea has it."""
        gate = player.scene["gates"][0]
        refused(self.keys, player, gate)
        answer, name = (told[gate["id"]], "") if gate["id"] in told else wrong_answer(gate)
        give(self.keys, player, gate, answer)
        self.keys.press("End")
        (pinned,) = player.outcomes()
        assert name and f"{name}: " in pinned or not name and ": " not in pinned.split("|")[1].replace(": ", "", 1)
        told[gate["id"]] = right_answer(gate, pinned)
        to_the_end(self.keys, player)


def stays(page, other):
    """Whether no player is of the other theme once each was on the screen."""
    look = f"(one => (one?.scrollIntoView(), !one))(document.querySelector('{other}'))"
    return page.wait_for_function(f"() => {look}").json_value()


def test_a_whole_lesson_is_done_in_jupyterlab_by_keyboard_alone(page, lesson_page):
    told = {}
    page.open_notebook(LESSON.name)
    wait_idle(page)
    command(page, "apputils:change-theme", {"theme": "JupyterLab Dark"})
    page.wait_for_function("() => document.body.dataset.jpThemeLight === 'false'")
    learner = Learner(page, stories(lesson_page(LESSON.name[:2])))
    shows = [k for k, name in enumerate(learner.names) if name in SHOWS]

    # the first question is left open: the story stays closed, and the cell with the facts says so
    while learner.names[learner.run()] != FACTS[0]:
        pass
    facts = learner.active() - 1
    assert learner.said(facts).startswith("Answer 01.present first, then run this cell again.")
    learner.to_cell(shows[0] + 1)
    learner.into(learner.players[0])
    cells = len(learner.names)
    learner.keys.press(*"abdxzm0")
    assert page.evaluate(f"{BOOK}.widgets.length") == cells
    learner.answer(learner.players[0], told)
    learner.to_cell(facts)
    learner.run()
    assert "Answer 01.present first" not in learner.said(facts) and learner.said(facts)

    # all other cells, with each question answered wrongly when it comes
    asking = {shows[k]: learner.players[k] for k in range(1, len(shows)) if learner.players[k].scene["gates"]}
    while (number := learner.run()) < cells - 1:
        learner.said(number)
        if number in asking:
            learner.into(asking[number])
            learner.answer(asking[number], told)
            learner.to_cell(number + 1)
    assert len(told) == 4 and not page.locator(".broken").count()

    # players that began on a dark ground are dark; the other theme is followed
    assert stays(page, ".hvlab:not(.dark)")
    keep(page, "lab-lesson-dark")
    command(page, "apputils:change-theme", {"theme": "JupyterLab Light"})
    assert stays(page, ".hvlab.dark")

    # a restart: the stories go on without it; run again, the question is asked again, and answered rightly
    restart(page)
    learner.to_cell(shows[0] + 1)
    learner.into(learner.players[0])
    to_the_end(learner.keys, learner.players[0])
    learner.to_cell(1)
    while learner.active() <= shows[0]:
        learner.run()
    learner.into(learner.players[0])
    learner.answer(learner.players[0], told)

    # saved and loaded again, with the same kernel: it goes on
    page.keyboard.press("Control+s")
    page.wait_for_function("() => !jupyterapp.shell.currentWidget.context.model.dirty")
    page.open_notebook(LESSON.name)
    page.wait_for_selector(".hvlab .caption:not(:empty)")
    Keys(page, everywhere=False).tab_to(name="Next", player=0)
    page.keyboard.press("Home")
    page.keyboard.press("ArrowRight")
    page.wait_for_function(f"() => {FRAMES}[0] === 1")  # keys are kept while a story is still being unpacked
    assert own_errors(page) == []
