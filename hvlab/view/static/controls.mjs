// Stepping: buttons, slider with phases and gates, frame number, grain; and what the keys do.
import { nextWhere } from "./core.mjs";
import { choice, el, icon, option } from "./draw.mjs";

const BANDS = 40;

export function iconButton(name, text, onclick, more = {}) {
  return el("button", { title: text, onclick, ...more }, icon(name), el("span.word", text));
}

export function makeControls(ctx, clock) {
  const { last, scene, t } = ctx;
  const first = iconButton("first", t("First"), () => ctx.to(0)), back = iconButton("back", t("Back"), () => step(-1));
  const next = iconButton("next", t("Next"), () => step(1)), end = iconButton("last", t("Last"), () => ctx.to(last));
  const slider = el("input.slider", { type: "range", min: 0, max: last, value: 0, step: 1, "aria-label": t("Frame"), oninput: () => ctx.to(Number(slider.value)) });
  const number = el("input.number", { type: "number", min: 0, max: last, "aria-label": t("Frame number"), onchange: () => ctx.to(Number(number.value)) });
  const grain = choice(t("Step by"), undefined, option("frame", t("by frame")), option("phase", t("by phase")));
  const marks = el("div.marks", { "aria-hidden": "true" }), length = el("span");
  const node = el("div.controls", { role: "group", "aria-label": t("Step through the story") }, first, back, clock.button, next, end,
    el("div.track", marks, slider), el("label.goto", number, length), grain, clock.speed);
  grain.hidden = scene.phases.length < 2;

  const begins = (k) => k === 0 || ctx.story.columns.phase[k] !== ctx.story.columns.phase[k - 1];
  function neighbour(by) {
    if (grain.value === "frame" || grain.hidden) return ctx.aim() + by;
    const k = ctx.at();
    const found = nextWhere(ctx.story, k, by, ctx.limit(), begins);
    if (found >= 0) return found;
    return by < 0 ? 0 : ctx.limit() + (k === ctx.limit() ? 1 : 0);
  }
  const step = (by) => ctx.to(neighbour(by));

  const share = (frame) => 100 * Math.max(0, Math.min(1, frame / (last || 1)));
  function bands() {
    const shown = ctx.veiled() ? ctx.limit() + 1 : scene.frames, starts = [...ctx.story.columns.phase.keys()].slice(0, shown).filter(begins);
    return starts.length > BANDS || scene.phases.length < 2 ? [] : starts.map((from, i) => {
      const left = share(from - 0.5), band = el(`span.band${i % 2 ? ".odd" : ""}`);
      band.style.left = `${left}%`;
      band.style.width = `${share((starts[i + 1] ?? shown) - 0.5) - left}%`;
      return band;
    });
  }
  function locks() {
    return scene.gates.filter((gate) => !Object.hasOwn(ctx.answers(), gate.id)).map((gate) => {
      const lock = el("span.lock", icon("lock"));
      lock.style.left = `${share(gate.frame)}%`;
      return lock;
    });
  }
  return {
    node, neighbour, step, next,
    mark() {
      length.textContent = t("of {last}", { last: ctx.veiled() ? "?" : last });
      marks.replaceChildren(...(ctx.complete() ? bands() : []), ...(ctx.teacher ? [] : locks()));
    },
    show(k) {
      slider.value = number.value = k;
      slider.ariaValueText = ctx.sentence();
      first.ariaDisabled = back.ariaDisabled = k === 0;
      next.ariaDisabled = end.ariaDisabled = k === last;
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
    const typing = target.matches("select, input:not([type=range], [type=checkbox], [type=radio])");
    const known = keys[key.length === 1 ? key.toLowerCase() : key];
    if (!known || typing || (target.matches(".region, [type=radio]") && key.startsWith("Arrow"))) return;
    event.preventDefault();
    known();
  });
}
