// The player: one story, its controls and its views. `mount` serves the widget and the exported page alike.
import { altAt, changesAt, BadStory, checkScene, inflate, lastOpen, makeStory, nextWhere, openGate, openingOf } from "./core.mjs";
import { applyChanges, drawLayer, el, glyph, groundIsDark, icon } from "./draw.mjs";
import { makeBytes } from "./bytes.mjs";
import { makeGates } from "./gate.mjs";
import { makeMore } from "./more.mjs";
import { makeRulers, makeState } from "./side.mjs";
import { makeTable } from "./table.mjs";

const SPEEDS = [0.5, 1, 2, 4, 10];
const PHASES_DRAWN = 40;

export function mount(root, scene, bytes, hooks = {}) {
  const away = new AbortController(), on = (target, type, heard, options = {}) => target.addEventListener(type, heard, { ...options, signal: away.signal });
  const section = el("section.hvlab", { lang: scene?.lang ?? "en" });
  root.append(section);
  let inner;
  const report = (error) => {
    if (!(error instanceof BadStory)) console.error(error);
    const sentence = error instanceof BadStory ? error.message : "This picture met an error; the table below tells the same steps.";
    section.querySelector(".broken")?.remove();
    section.prepend(el("p.broken", { role: "alert" }, el("b.fault", {}, "✕ "), sentence));
  };
  const calm = matchMedia("(prefers-reduced-motion: reduce)");
  const paint = () => section.classList.toggle("dark", groundIsDark(section));
  paint();
  const watch = new MutationObserver(paint);
  watch.observe(document.body, { attributes: true });
  on(matchMedia("(prefers-color-scheme: dark)"), "change", paint);
  let ready = Promise.resolve();
  try {
    checkScene(scene);
    section.setAttribute("aria-label", scene.title);
    const first = scene.bytes.packed ? openingOf(scene) : makeStory(scene, bytes);
    inner = makePlayer(section, first, scene, { ...hooks, report, on, calmAtFirst: calm.matches });
    if (scene.bytes.packed) ready = inflate(scene, bytes).then((raw) => away.signal.aborted || inner.complete(makeStory(scene, raw))).catch(report);
  } catch (error) {
    report(error);
  }
  return {
    ready, section,
    go: (k, options) => inner?.go(k, options),
    at: () => inner?.at() ?? 0,
    hear: (message) => inner?.hear(message),
    answersChanged: (answers) => inner?.answersChanged(answers),
    destroy() {
      away.abort();
      watch.disconnect();
      inner?.destroy();
      section.remove();
    },
  };
}

function makePlayer(section, firstStory, scene, hooks) {
  const prefix = `hv${Math.random().toString(36).slice(2, 9)}`, last = scene.frames - 1;
  let k = -1, furthest = 0, answers = { ...hooks.answers }, playing = 0, pressed = false, quietBefore = "", complete = !scene.bytes.packed, waiting = 0, wish = null;
  const ctx = {
    story: firstStory, scene, prefix, teacher: Boolean(hooks.teacher), go, announce, answered, keepFocus: () => section.focus(),
    at: () => k, answers: () => answers, furthest: () => furthest, picture: () => drawn?.svg,
    limit: () => Math.min(complete ? last : 0, ctx.teacher ? last : lastOpen(scene, answers)),
    calm: (quiet) => section.classList.toggle("calm", quiet),
    async copy(text) {
      try {
        await navigator.clipboard.writeText(text);
        announce("Copied.", true);
      } catch {
        toggleMore(true);
        more.showToken(text);
        announce("Press Ctrl+C to copy.", true);
      }
    },
  };
  ctx.calm(hooks.calmAtFirst);

  // ---- the parts
  const views = [...scene.pictures.map((picture) => ({ name: picture.name, picture })), ...(scene.pages.length ? [{ name: "Bytes" }] : [])];
  const status = el("div.sr", { role: "status" }), note = el("p.note", { hidden: true });
  const region = el("div.region", { role: "region", "aria-label": "Picture" }), side = el("div.side");
  const state = makeState(ctx), rulers = makeRulers(ctx), table = makeTable(ctx), gates = makeGates(ctx), more = makeMore(ctx);
  const bytesView = scene.pages.length ? makeBytes(ctx) : null;
  const tabs = views.map((view, at) => el("button.tab", { type: "button", "aria-pressed": "false", onclick: () => choose(at) }, view.name));
  const button = (name, text, onclick, more = {}) => el("button", { type: "button", title: text, onclick, ...more }, icon(name), el("span.word", {}, text));
  const tableButton = button("table", "Table", () => toggleTable(), { "aria-pressed": "false" });
  const moreButton = button("more", "More", () => toggleMore(), { "aria-expanded": "false" });
  const play = button("play", "Play", () => (playing ? pause(true) : start()));
  const first = button("first", "First", () => go(0, { manual: true })), back = button("back", "Back", () => step(-1));
  const next = button("next", "Next", () => step(1)), end = button("last", "Last", () => go(last, { manual: true }));
  const slider = el("input.slider", { type: "range", min: 0, max: last, value: 0, step: 1, "aria-label": "Frame", oninput: () => go(Number(slider.value), { manual: true, scrub: true }) });
  const number = el("input.number", { type: "number", min: 0, max: last, "aria-label": "Frame number", onchange: () => go(Math.trunc(Number(number.value) || 0), { manual: true }) });
  const grain = el("select", { "aria-label": "Step by" }, el("option", { value: "frame" }, "by frame"), el("option", { value: "phase" }, "by phase"));
  grain.hidden = scene.phases.length < 2;
  const speed = el("select.speed", { "aria-label": "Speed", title: "Frames a second, or simulated time slowed down" }, ...SPEEDS.map((rate) => el("option", { value: rate, selected: rate === 1 }, `${rate}/s`)),
    ...(firstStory.timed || !complete ? [3, 4, 5, 6].map((n) => el("option", { value: -n }, `×10⁻${"⁰¹²³⁴⁵⁶"[n]}`)) : []));
  const marks = el("div.marks", { "aria-hidden": "true" }), token = el("span.token"), caption = el("p.caption", { id: `${prefix}-caption` }), rule = el("p.rule");
  const tableBox = el("div.tablehost", { hidden: true }, table.node), body = el("div.stage", {}, region, tableBox, side);
  section.append(
    el("div.top", {}, el("b.title", {}, scene.title), el("div.tabs", { role: "group", "aria-label": "View" }, ...(views.length > 1 ? tabs : [])), tableButton, button("full", "Full screen", full), moreButton),
    el("div.controls", { role: "group", "aria-label": "Step through the story" }, first, back, play, next, end,
      el("div.track", {}, marks, slider), el("label.goto", {}, number, el("span", {}, ` of ${last}`)), grain, speed),
    el("div.says", {}, token, caption, rule), note, gates.node, more.node, body, status);
  side.append(state.node, rulers.node);
  if (bytesView) side.append(bytesView.node);
  section.tabIndex = -1;

  // ---- views
  let view = -1, drawn = null, tableFirst = false, plain = false;
  function choose(at) {
    try {
      draw(at);
    } catch (error) {
      fail(error);
    }
    if (k >= 0) show();
    measure();
  }
  function draw(at) {
    view = at;
    if (!tableFirst) toggleTable(false);
    const picture = views[at]?.picture;
    region.replaceChildren();
    drawn = null;
    arrange();
    if (picture && !plain) {
      drawn = { picture, ...drawLayer(picture, `${prefix}-${at}`), shift: new Map() };
      region.setAttribute("aria-label", picture.title);
      region.append(drawn.svg);
      for (const [verb, id, frame] of picture.bind) {
        if (verb !== "jump") continue;
        drawn.byId.get(id).classList.add("jump");
        drawn.byId.get(id).addEventListener("click", () => go(Number(frame), { manual: true }));
      }
    }
  }
  // After an error: the reason, and the table in place of all pictures.
  function fail(error) {
    hooks.report(error);
    plain = true;
    pause();
    if (k < 0) k = 0;
    toggleTable(true);
  }
  // What stands on the stage: the picture or the bytes, or the table in their place (beside them where it comes first).
  function arrange() {
    const { picture } = views[view] ?? {}, covered = !tableBox.hidden && !tableFirst;
    tabs.forEach((tab, i) => tab.setAttribute("aria-pressed", String(i === view && !covered)));
    region.hidden = !picture || covered || plain;
    side.hidden = plain;
    rulers.node.hidden = !picture;
    if (bytesView) bytesView.node.hidden = Boolean(picture) || covered;
    body.classList.toggle("wide", !picture && !covered);
  }
  function showPicture() {
    const { picture, byId, about, shift } = drawn, state = ctx.story.stateAt(k);
    applyChanges(byId, changesAt(ctx.story, picture, k, state), shift);
    about.textContent = altAt(ctx.story, picture, k, state);
    rulers.show(k, picture);
    if (!region.hasAttribute("tabindex")) return;
    const lit = drawn.svg.querySelector(".lit"), box = lit?.getBoundingClientRect(), frame = region.getBoundingClientRect();
    if (box && (box.left < frame.left || box.right > frame.right)) region.scrollLeft += box.left - frame.left - (frame.width - box.width) / 2;
  }
  function measure() {
    const wide = region.scrollWidth > region.clientWidth + 1;
    if (wide) region.setAttribute("tabindex", "0");
    else region.removeAttribute("tabindex");
  }

  // ---- going
  function go(to, options = {}) {
    const asked = Number.isFinite(to) ? Math.max(0, Math.min(Math.trunc(to), last)) : 0;
    if (!complete) wish = asked;
    const limit = ctx.limit(), target = Math.min(asked, limit);
    pressed = asked > limit && complete;
    if (options.manual && playing) pause(false);
    if (target === k && !pressed) return;
    k = target;
    furthest = Math.max(furthest, k);
    show();
    if (pressed) announce("The story is closed from here on. Predict first; then it goes on.");
    else if (options.manual && !playing) announce(`Frame ${k} of ${last}: ${quietBefore}`);
    if (options.manual || playing) hooks.moved?.(k);
  }
  function show() {
    try {
      const story = ctx.story, kind = story.kindOf(k), row = story.row(k);
      quietBefore = row.what;
      caption.textContent = row.what;
      token.replaceChildren(glyph(kind));
      rule.replaceChildren(...[row.phase, row.where, row.time, row.cause && `because of frame ${row.cause}`].filter(Boolean).flatMap((text) => [el("span", {}, text), " "]),
        el("span", {}, kind.rule), kind.left_out ? el("span.left-out", {}, ` ${kind.left_out}`) : "");
      slider.value = number.value = String(k);
      slider.setAttribute("aria-valuetext", `Frame ${k} of ${last}: ${row.what}`);
      for (const [node, off] of [[first, k === 0], [back, k === 0], [next, k === last], [end, k === last]]) node.setAttribute("aria-disabled", String(off));
      if (!plain) state.show(k);
      if (!plain && drawn) showPicture();
      else if (!plain && bytesView && view >= 0) bytesView.show(k);
      gates.show(k, pressed);
      if (!tableBox.hidden) table.show(k);
    } catch (error) {
      if (plain) hooks.report(error);
      else fail(error);
    }
  }
  const phaseAt = (at) => ctx.story.columns.phase[at] !== ctx.story.columns.phase[at - 1] || at === 0;
  function neighbour(by) {
    if (grain.value === "frame" || grain.hidden) return k + by;
    const found = nextWhere(ctx.story, k, by, ctx.limit(), phaseAt);
    return found >= 0 ? found : by > 0 ? ctx.limit() + (k === ctx.limit() ? 1 : 0) : 0;
  }
  const step = (by) => go(neighbour(by), { manual: true });

  // ---- playing
  function start() {
    if (k === ctx.limit() && !openGate(scene, answers)) go(0);
    setPlay(true);
    tick();
  }
  function setPlay(now) {
    clearTimeout(playing);
    playing = 0;
    play.replaceChildren(icon(now ? "pause" : "play"), el("span.word", {}, now ? "Pause" : "Play"));
    play.title = now ? "Pause" : "Play";
    section.classList.toggle("fast", now && Number(speed.value) > 2);
  }
  function delay(to) {
    const rate = Number(speed.value);
    if (rate > 0) return 1000 / rate;
    return Math.min(3000, Math.max(50, (ctx.story.columns.time[to] - ctx.story.columns.time[k]) * 1e-6 * 10 ** -rate));
  }
  function tick() {
    const to = neighbour(1);
    if (to > ctx.limit()) return pause(true, k < last && complete);
    playing = setTimeout(() => {
      go(to);
      if (more.stopHere(k)) pause(true);
      else if (playing) tick();
    }, delay(to));
    return undefined;
  }
  function pause(aloud, knock) {
    if (!playing && play.title === "Play") return;
    setPlay(false);
    if (knock) go(k + 1, { manual: true });
    else if (aloud) announce(`Paused at frame ${k} of ${last}: ${quietBefore}`);
    if (hooks.moved && aloud) hooks.moved(k);
  }

  // ---- words to the user and to Python
  function announce(sentence, visible = false) {
    status.textContent = sentence;
    note.hidden = !visible;
    note.textContent = visible ? sentence : "";
  }
  function answered(gate, value, confidence) {
    answers = { ...answers, [gate.id]: { value: String(value), confidence } };
    pressed = false;
    table.reset();
    drawMarks();
    announce("Your prediction is in; the story goes on.");
    show();
    next.focus();
    hooks.answered?.(answers);
    if (!hooks.ask) return;
    clearTimeout(waiting);
    waiting = setTimeout(() => {
      gates.noKernel("Kernel not connected: you can go on stepping; run the cell again to change the machine.");
      show();
    }, 3000);
    hooks.ask({ verb: "answer", id: gate.id, value: String(value), confidence });
  }
  function drawMarks() {
    const found = [], phases = ctx.story.columns.phase, share = (frame) => 100 * Math.max(0, Math.min(1, frame / Math.max(1, last)));
    for (let from = 0, i = 1; complete && i <= scene.frames && found.length <= PHASES_DRAWN; i++) {
      if (i < scene.frames && phases[i] === phases[from]) continue;
      const mark = el(`span.band${found.length % 2 ? ".odd" : ""}`);
      mark.style.left = `${share(from - 0.5)}%`;
      mark.style.width = `${share(i - 0.5) - share(from - 0.5)}%`;
      found.push(mark);
      from = i;
    }
    const locks = scene.gates.filter((gate) => !Object.hasOwn(answers, gate.id)).map((gate) => {
      const lock = el("span.lock", {}, icon("lock"));
      lock.style.left = `${share(gate.frame)}%`;
      return lock;
    });
    marks.replaceChildren(...(found.length > PHASES_DRAWN || scene.phases.length < 2 ? [] : found), ...(ctx.teacher ? [] : locks));
  }

  // ---- panels
  function toggleTable(open = tableBox.hidden) {
    tableBox.hidden = !open;
    arrange();
    tableButton.setAttribute("aria-pressed", String(open));
    if (open && k >= 0) table.show(k);
  }
  function toggleMore(open = more.node.hidden) {
    more.node.hidden = !open;
    moreButton.setAttribute("aria-expanded", String(open));
  }
  async function full() {
    const now = section.classList.contains("full");
    if (now && document.fullscreenElement) await document.exitFullscreen();
    else if (!now) await section.requestFullscreen?.().catch(() => undefined);
    setFull(!now);
  }
  function setFull(now) {
    section.classList.toggle("full", now);
    const picture = drawn?.picture;
    const scale = now && picture ? Math.max(1, Math.min(2, (innerWidth - 16) / picture.width, (innerHeight - 140) / picture.height)) : 0;
    if (scale) section.style.setProperty("--scale", String(scale));
    else section.style.removeProperty("--scale");
    measure();
  }
  hooks.on(document, "fullscreenchange", () => document.fullscreenElement || setFull(false));

  // ---- keys
  const keys = {
    ArrowLeft: () => step(-1), ArrowRight: () => step(1), PageUp: () => go(k - 10, { manual: true }), PageDown: () => go(k + 10, { manual: true }),
    Home: () => go(0, { manual: true }), End: () => go(last, { manual: true }), n: () => more.kind(1), p: () => more.kind(-1), c: more.cause,
    t: () => toggleTable(), f: full,
  };
  hooks.on(section, "keydown", (event) => {
    const { key, target } = event;
    if (event.ctrlKey || event.metaKey || event.altKey || key === "Tab" || (key === "Enter" && event.shiftKey)) return;
    if (key === "Escape") {
      if (more.closeCard() || !more.node.hidden) event.stopPropagation();
      else if (section.classList.contains("full") && !document.fullscreenElement) setFull(false), event.stopPropagation();
      if (!more.node.hidden && !target.closest(".card")) toggleMore(false), moreButton.focus();
      return;
    }
    event.stopPropagation();
    const typing = target.matches("select, input:not([type=range]):not([type=checkbox])");
    const known = key.length === 1 ? keys[key.toLowerCase()] : keys[key];
    if (!known || typing || (target === region && key.startsWith("Arrow"))) return;
    event.preventDefault();
    known();
  });
  hooks.on(document, "visibilitychange", () => document.hidden && pause(true));
  const sight = new IntersectionObserver((seen) => seen.at(-1).isIntersecting || pause(true));
  sight.observe(section);
  let told = false;
  const size = new ResizeObserver(([entry]) => {
    section.classList.toggle("narrow", entry.contentRect.width < 780);
    if (!told && entry.contentRect.width > 0 && entry.contentRect.width < 400) (tableFirst = true), body.prepend(tableBox), toggleTable(true);
    told ||= entry.contentRect.width > 0;
    measure();
  });
  size.observe(section);

  choose(views.length ? 0 : -1);
  const wanted = hooks.step ?? 0;
  go(Math.min(wanted, ctx.limit()));
  if (!complete) wish = wanted;
  if (scene.frames > 1 && complete) drawMarks();
  if (!views.length) toggleTable(true);
  return {
    go, at: () => k, pause,
    complete(story) {
      ctx.story = story;
      complete = true;
      const to = wish ?? 0;
      table.reset();
      k = -1;
      go(Math.min(to, ctx.limit()));
      drawMarks();
    },
    hear(message) {
      if (message?.verb === "heard") clearTimeout(waiting), gates.noKernel("");
    },
    answersChanged(found) {
      if (JSON.stringify(found) === JSON.stringify(answers)) return;
      answers = { ...answers, ...found };
      table.reset();
      drawMarks();
      show();
    },
    destroy() {
      clearTimeout(playing);
      clearTimeout(waiting);
      table.stop();
      sight.disconnect();
      size.disconnect();
    },
  };
}
