// The player: one story, its controls and its views. `mount` serves the widget and the exported page alike.
import { BadStory, checkScene, inflate, lastOpen, makeStory, openGate, openingOf, wordsOf } from "./core.mjs";
import { el, glyph, groundIsDark } from "./draw.mjs";
import { makeClock } from "./clock.mjs";
import { iconButton, listenKeys, makeControls } from "./controls.mjs";
import { makeGates } from "./gate.mjs";
import { makeMore } from "./more.mjs";
import { makeStage } from "./stage.mjs";

export function mount(root, scene, bytes, hooks = {}) {
  const away = new AbortController(), on = (target, type, heard, options = {}) => target.addEventListener(type, heard, { ...options, signal: away.signal });
  const t = wordsOf(scene), section = el("section.hvlab", { lang: scene?.lang ?? "en" });
  root.append(section);
  let inner;
  const report = (error) => {
    const known = error instanceof BadStory;
    if (!known) console.error(error);
    const sentence = known ? t(error.text, error.values) : t("This picture met an error; the table below tells the same steps.");
    section.querySelector(".broken")?.remove();
    section.prepend(el("p.broken", { role: "alert" }, el("b.fault", "✕ "), sentence));
  };
  const paint = () => section.classList.toggle("dark", groundIsDark(section));
  paint();
  const watch = new MutationObserver(paint);
  watch.observe(document.body, { attributes: true });
  on(matchMedia("(prefers-color-scheme: dark)"), "change", paint);
  let ready = Promise.resolve();
  try {
    checkScene(scene);
    section.ariaLabel = scene.title;
    const first = scene.bytes.packed ? openingOf(scene) : makeStory(scene, bytes);
    inner = makePlayer(section, first, scene, { ...hooks, t, report, on, paint });
    if (scene.bytes.packed) ready = inflate(scene, bytes).then((raw) => away.signal.aborted || inner.complete(makeStory(scene, raw))).catch(report);
  } catch (error) {
    report(error);
  }
  return {
    ready, section,
    go: (k) => inner?.go(k), at: () => inner?.at() ?? 0, hear: (message) => inner?.hear(message),
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
  const last = scene.frames - 1, { t } = hooks;
  let k = -1, furthest = 0, answers = { ...hooks.answers }, pressed = false, complete = !scene.bytes.packed, waiting = 0, wish = hooks.step ?? 0;
  const ctx = {
    t, story: firstStory, scene, section, last, prefix: `hv${Math.random().toString(36).slice(2, 9)}`, teacher: hooks.teacher,
    kindNames: scene.kinds.map((kind) => t(kind.name.replaceAll("_", " "))), placeNames: scene.places.map((place) => place.label),
    to: (where) => go(where, true), go, show, fail, announce, answered, copy, at: () => k, aim: () => (complete ? k : wish), answers: () => answers, furthest: () => furthest, complete: () => complete,
    limit: () => Math.min(complete ? last : 0, ctx.teacher ? last : lastOpen(scene, answers)),
    closed: () => complete && ctx.limit() < last,
    // How long a story is may be what its prediction asks: not said before the answer is in.
    veiled: () => !ctx.teacher && openGate(scene, answers) !== undefined,
    sentence: () => {
      const now = { k, last, says: caption.textContent };
      return ctx.veiled() ? t("Frame {k}: {says}", now) : t("Frame {k} of {last}: {says}", now);
    },
    moved: () => hooks.moved?.(k),
    picture: () => stage.picture()?.svg,
    tableOpened: (open) => (tableButton.ariaPressed = open),
  };
  const status = el("div.sr", { role: "status" }), note = el("p.note", { hidden: true });
  const token = el("span.token"), caption = el("p.caption"), rule = el("p.rule");
  const tableButton = iconButton("table", t("Table"), () => stage.toggleTable());
  const moreButton = iconButton("more", t("More"), () => toggleMore(), { "aria-expanded": "false" });
  const clock = makeClock(ctx), controls = makeControls(ctx, clock), gates = makeGates(ctx), more = makeMore(ctx), stage = makeStage(ctx);
  Object.assign(ctx, { neighbour: controls.neighbour, stopHere: more.stopHere, openCard: more.openCard });
  const tabs = el("div.tabs", { role: "group", "aria-label": t("View") }, ...(stage.tabs.length > 1 ? stage.tabs : []));
  section.append(
    el("div.top", el("b.title", scene.title), tabs, tableButton, iconButton("full", t("Full screen"), full), moreButton),
    controls.node, el("div.says", token, caption, rule), note, gates.node, more.node, more.card, stage.node, status);
  section.tabIndex = -1;
  section.classList.toggle("calm", matchMedia("(prefers-reduced-motion: reduce)").matches);

  // ---- going
  function go(to, manual = false) {
    const asked = Math.max(0, Math.min(Math.trunc(to) || 0, last));
    if (!complete) wish = asked;
    const limit = ctx.limit(), target = Math.min(asked, limit);
    pressed = asked > limit && complete;
    if (manual) clock.pause();
    if (target === k && !pressed) return;
    k = target;
    furthest = Math.max(furthest, k);
    show();
    if (pressed) announce(t("The story is closed from here on. Predict first; then it goes on."));
    else if (manual) announce(ctx.sentence());
    if (manual || clock.playing()) ctx.moved();
  }
  function show() {
    try {
      showWords();
      controls.show(k);
      stage.show(k);
      gates.show(k, pressed);
    } catch (error) {
      fail(error);
    }
  }
  function showWords() {
    const kind = ctx.story.kindOf(k), row = ctx.story.row(k);
    const facts = [row.phase, row.where, row.time, row.cause && t("because of frame {frame}", { frame: row.cause }), kind.rule].filter(Boolean);
    caption.textContent = row.what;
    token.replaceChildren(glyph(kind));
    rule.replaceChildren(...facts.flatMap((text) => [el("span", text), " "]), kind.left_out && el("span.left-out", kind.left_out));
  }
  // The reason, and the table in place of all pictures.
  function fail(error) {
    hooks.report(error);
    clock.pause();
    if (k < 0) k = 0;
    stage.giveUp();
  }

  // ---- words to the user and to Python
  function announce(sentence, visible = false) {
    status.textContent = sentence;
    note.hidden = !visible;
    note.textContent = visible ? sentence : "";
  }
  async function copy(text) {
    try {
      await navigator.clipboard.writeText(text);
      announce(t("Copied."), true);
    } catch {
      toggleMore(true);
      more.showToken(text);
      announce(t("Press Ctrl+C to copy."), true);
    }
  }
  function newAnswers(found) {
    answers = { ...answers, ...found };
    pressed = false;
    stage.table.reset();
    controls.mark();
    show();
  }
  function answered(gate, value, confidence) {
    newAnswers({ [gate.id]: { value: String(value), confidence } });
    const after = openGate(scene, answers);
    announce(after?.frame === k ? `${t("Predict first.")} ${after.question}` : t("Your prediction is in; the story goes on."));
    (after?.frame === k && section.querySelector("form.gate :is(input, button)") || controls.next).focus();
    hooks.answered?.(answers);
    if (!hooks.ask) return;
    clearTimeout(waiting);
    const gone = t("Kernel not connected: you can go on stepping; run the cell again to change the machine.");
    waiting = setTimeout(() => (gates.noKernel(gone), show()), 3000);
    hooks.ask({ verb: "answer", id: gate.id, value: String(value), confidence });
  }

  // ---- panels
  function toggleMore(open = more.node.hidden) {
    more.node.hidden = !open;
    moreButton.ariaExpanded = open;
  }
  async function full() {
    const now = section.classList.contains("full");
    if (now && document.fullscreenElement) await document.exitFullscreen();
    else if (!now) await section.requestFullscreen?.().catch(() => {});
    setFull(!now);
  }
  function setFull(now) {
    const picture = now && stage.picture()?.picture;
    section.classList.toggle("full", now);
    if (picture) section.style.setProperty("--scale", Math.max(1, Math.min(2, (innerWidth - 16) / picture.width, (innerHeight - 140) / picture.height)));
    else section.style.removeProperty("--scale");
    stage.measure();
  }
  // Close what is open, the innermost first; true if something was.
  function escape() {
    if (more.closeCard()) return true;
    if (!more.node.hidden) {
      toggleMore(false);
      moreButton.focus();
      return true;
    }
    const inPage = section.classList.contains("full") && !document.fullscreenElement;
    if (inPage) setFull(false);
    return inPage;
  }

  const { to } = ctx;
  listenKeys(ctx, hooks.on, {
    ArrowLeft: () => controls.step(-1), ArrowRight: () => controls.step(1), PageUp: () => to(ctx.aim() - 10), PageDown: () => to(ctx.aim() + 10),
    Home: () => to(0), End: () => to(last), n: () => more.kind(1), p: () => more.kind(-1), c: more.cause, t: stage.toggleTable, f: full,
  }, escape);
  hooks.on(document, "fullscreenchange", () => document.fullscreenElement || setFull(false));
  hooks.on(document, "visibilitychange", () => document.hidden && clock.pause(true));
  const sight = new IntersectionObserver((seen) => seen.at(-1).isIntersecting || clock.pause(true));
  sight.observe(section);
  let sized = false;
  const size = new ResizeObserver(([entry]) => {
    const { width } = entry.contentRect;
    section.classList.toggle("narrow", width < 780);
    if (!sized && width > 0 && width < 400) stage.putTableFirst();
    sized ||= width > 0;
    hooks.paint();  // a notebook may fill a view before it stands in the page, on any ground
    stage.measure();
  });
  size.observe(section);

  stage.first();
  const wanted = wish;
  go(Math.min(wanted, ctx.limit()));
  wish = wanted;
  controls.mark();
  return {
    go, at: () => k,
    complete(story) {
      ctx.story = story;
      complete = true;
      k = -1;
      stage.table.reset();
      go(Math.min(wish, ctx.limit()));
      controls.mark();
    },
    hear(message) {
      if (message?.verb === "heard") clearTimeout(waiting), gates.noKernel("");
    },
    answersChanged(found) {
      if (JSON.stringify(found) !== JSON.stringify(answers)) newAnswers(found);
    },
    destroy() {
      clearTimeout(waiting);
      clock.destroy();
      stage.table.stop();
      sight.disconnect();
      size.disconnect();
    },
  };
}
