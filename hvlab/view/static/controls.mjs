// Stepping: buttons, slider with phases and gates, frame number, grain; and what the keys do.
import { nextWhere } from "./core.mjs";
import { el, icon } from "./draw.mjs";

const BANDS = 40;
const manual = { manual: true };

export function iconButton(name, text, onclick, more = {}) {
  return el("button", { type: "button", title: text, onclick, ...more }, icon(name), el("span.word", {}, text));
}

export function makeControls(ctx, clock) {
  const { last, scene } = ctx;
  const first = iconButton("first", "First", () => ctx.go(0, manual)), back = iconButton("back", "Back", () => step(-1));
  const next = iconButton("next", "Next", () => step(1)), end = iconButton("last", "Last", () => ctx.go(last, manual));
  const slider = el("input.slider", { type: "range", min: 0, max: last, value: 0, step: 1, "aria-label": "Frame", oninput: () => ctx.go(Number(slider.value), manual) });
  const number = el("input.number", { type: "number", min: 0, max: last, "aria-label": "Frame number", onchange: () => ctx.go(Number(number.value), manual) });
  const grain = el("select", { "aria-label": "Step by" }, el("option", { value: "frame" }, "by frame"), el("option", { value: "phase" }, "by phase"));
  const marks = el("div.marks", { "aria-hidden": "true" }), length = el("span");
  const node = el("div.controls", { role: "group", "aria-label": "Step through the story" }, first, back, clock.button, next, end,
    el("div.track", {}, marks, slider), el("label.goto", {}, number, length), grain, clock.speed);
  grain.hidden = scene.phases.length < 2;

  const begins = (k) => k === 0 || ctx.story.columns.phase[k] !== ctx.story.columns.phase[k - 1];
  function neighbour(by) {
    const k = ctx.at();
    if (grain.value === "frame" || grain.hidden) return k + by;
    const found = nextWhere(ctx.story, k, by, ctx.limit(), begins);
    if (found >= 0) return found;
    return by < 0 ? 0 : ctx.limit() + (k === ctx.limit() ? 1 : 0);
  }
  const step = (by) => ctx.go(neighbour(by), manual);

  const share = (frame) => 100 * Math.max(0, Math.min(1, frame / Math.max(1, last)));
  function bands() {
    const found = [], phases = ctx.story.columns.phase;
    const shown = ctx.veiled() ? ctx.limit() + 1 : scene.frames;
    for (let from = 0, i = 1; i <= shown && found.length <= BANDS; i++) {
      if (i < shown && phases[i] === phases[from]) continue;
      const band = el(`span.band${found.length % 2 ? ".odd" : ""}`);
      band.style.left = `${share(from - 0.5)}%`;
      band.style.width = `${share(i - 0.5) - share(from - 0.5)}%`;
      found.push(band);
      from = i;
    }
    return found.length > BANDS || scene.phases.length < 2 ? [] : found;
  }
  function locks() {
    return scene.gates.filter((gate) => !Object.hasOwn(ctx.answers(), gate.id)).map((gate) => {
      const lock = el("span.lock", {}, icon("lock"));
      lock.style.left = `${share(gate.frame)}%`;
      return lock;
    });
  }
  return {
    node, neighbour, step, next,
    mark() {
      length.textContent = ctx.veiled() ? " of ?" : ` of ${last}`;
      marks.replaceChildren(...(ctx.complete() ? bands() : []), ...(ctx.teacher ? [] : locks()));
    },
    show(k) {
      slider.value = number.value = String(k);
      slider.setAttribute("aria-valuetext", ctx.sentence());
      for (const [button, off] of [[first, k === 0], [back, k === 0], [next, k === last], [end, k === last]]) button.setAttribute("aria-disabled", String(off));
    },
  };
}

// Keys act inside the player only, and what they do there reaches no one else (a notebook would act on plain letters).
export function listenKeys(ctx, on, keys, escape) {
  on(ctx.section, "keydown", (event) => {
    const { key, target } = event;
    if (event.ctrlKey || event.metaKey || event.altKey || key === "Tab" || (key === "Enter" && event.shiftKey)) return;
    if (key === "Escape") {
      if (escape()) event.stopPropagation();
      return;
    }
    event.stopPropagation();
    const typing = target.matches("select, input:not([type=range]):not([type=checkbox])");
    const known = keys[key.length === 1 ? key.toLowerCase() : key];
    if (!known || typing || (target.matches(".region") && key.startsWith("Arrow"))) return;
    event.preventDefault();
    known();
  });
}
