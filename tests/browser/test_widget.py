"""The widget's side of the player: views of one model agree, and what the kernel repeats throws nobody back."""

import json

import pytest
from story.counter import counter

from hvlab.view.esm import css, join

pytestmark = pytest.mark.browser
MODEL = """async ([small, code, scene, bytes]) => {
  const heard = {}, story = new DataView(Uint8Array.from(bytes).buffer);
  const state = { _player: code, scene, story, step: 0, answers: {}, teacher: true };
  window.saved = [];
  window.model = {
    get: (name) => state[name],
    set(name, value, options = {}) {
      if (state[name] === value) return;
      state[name] = value;
      for (const hear of [...(heard[`change:${name}`] ?? [])]) hear(model, value, options);
    },
    save_changes: () => saved.push(state.step),
    send() {},
    on: (name, hear) => (heard[name] ??= []).push(hear),
    off: (name, hear) => { heard[name] = heard[name].filter((one) => one !== hear); },
    listeners: () => Object.values(heard).flat().length,
  };
  const { default: widget } = await import(URL.createObjectURL(new Blob([small], { type: 'text/javascript' })));
  await widget.initialize({ model });
  const hosts = [...document.querySelectorAll('main div')];
  window.leave = await Promise.all(hosts.map((el) => widget.render({ model, el })));
}"""
# As anywidget does: a module of `_esm` for each model. `code` counts how often it was run.
MANY = """async ([small, codes]) => {
  const shown = [];
  for (const code of codes) {
    const { default: widget } = await import(URL.createObjectURL(new Blob([small], { type: 'text/javascript' })));
    const model = { get: (name) => ({ _player: code })[name] };
    await widget.initialize({ model });
    for (let view = 0; view < 2; view++) shown.push(await widget.render({ model, el: document.body }));
  }
  return [shown, window.runs];
}"""
COUNTING = "window.runs = (window.runs ?? 0) + 1; export default { render: ({ model, el }) => NAME };"


@pytest.fixture
def views(open_page, tmp_path):
    """Two views of one model, in a page."""
    story = counter(gates=())
    (tmp_path / "page.html").write_text(
        f"<title>Two</title><style>{css()}</style><h1>Two</h1><main><div></div><div></div></main>"
    )
    page = open_page(tmp_path / "page.html", ready="h1", viewport={"width": 876, "height": 1400})
    page.evaluate(
        MODEL, [join("shared.mjs"), join("widget.mjs"), json.loads(json.dumps(story.scene)), list(story.to_bytes())]
    )
    page.wait_for_function("document.querySelectorAll('.hvlab .caption:not(:empty)').length === 2")
    return page


def shown(page):
    return page.evaluate("[...document.querySelectorAll('.number')].map((one) => Number(one.value))")


def test_two_views_follow_each_other_and_python(views):
    views.locator(".slider").first.press("ArrowRight")
    assert shown(views) == [1, 1]
    views.locator(".slider").last.press("End")
    assert shown(views) == [65, 65]
    views.wait_for_function("saved.length === 2")  # both rest

    views.evaluate("model.set('step', 7)")

    assert shown(views) == [7, 7]


def test_what_the_kernel_repeats_throws_nobody_back(views):
    views.locator(".slider").first.press("ArrowRight")
    views.wait_for_function("saved.length === 1")

    views.evaluate("""() => {
      const key = new KeyboardEvent('keydown', { key: 'ArrowRight', bubbles: true });
      document.querySelector('.slider').dispatchEvent(key);
      model.set('step', 1);  // late, from the kernel
    }""")

    assert shown(views) == [2, 2]
    views.wait_for_function("saved.length === 2")
    assert views.evaluate("saved") == [1, 2]


def test_a_view_that_goes_leaves_nothing_behind(views):
    assert views.evaluate("model.listeners()") == 6

    views.evaluate("leave.forEach((one) => one())")

    assert views.evaluate("model.listeners()") == 0 and views.locator(".hvlab").count() == 0


def test_players_of_one_text_share_one_module_and_another_version_has_its_own(open_page, tmp_path):
    (tmp_path / "page.html").write_text("<title>Many</title><h1>Many</h1>")
    page = open_page(tmp_path / "page.html", ready="h1")
    old, new = (COUNTING.replace("NAME", repr(name)) for name in ("old", "new"))

    shown, runs = page.evaluate(MANY, [join("shared.mjs"), [old, old, new, old, new]])

    assert shown == ["old"] * 4 + ["new"] * 2 + ["old"] * 2 + ["new"] * 2
    assert runs == 2
