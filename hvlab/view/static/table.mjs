// The table twin: one row a frame, with the same words as the caption. 200 rows at once.
import { csvOf, framesWhere, matches } from "./core.mjs";
import { el, save } from "./draw.mjs";

const ROWS = 200;
const HEADS = [["number", "frame"], ["time", "time"], ["phase", "phase"], ["where", "where"], ["what", "what"], ["cause", "because of"]];

export function makeTable(ctx) {
  const filter = { kind: -1, phase: -1, place: -1, text: "" }, byFrame = new Map();
  let frames = null, start = 0, current = 0, from = -1, upTo = -1, timer = 0;
  const pick = (label, names, key) => {
    const choice = el("select", { "aria-label": `Only ${label}`, onchange: () => { filter[key] = Number(choice.value); narrow(); } },
      el("option", { value: -1 }, `every ${label}`), ...names.map((name, at) => el("option", { value: at }, name)));
    choice.hidden = names.length < 2;
    return choice;
  };
  const search = el("input", { type: "search", "aria-label": "Text in the row", placeholder: "text", maxlength: 64, oninput: () => {
    clearTimeout(timer);
    timer = setTimeout(() => { filter.text = search.value; narrow(); }, 150);
  } });
  const count = el("span.soft", { role: "status" }), body = el("tbody");
  const earlier = el("button", { type: "button", onclick: () => turn(-ROWS) }, "Earlier rows");
  const later = el("button", { type: "button", onclick: () => turn(ROWS) }, "Later rows");
  const csv = el("button", { type: "button", onclick: () => save("story.csv", "text/csv", csvOf(ctx.story, list())) }, "Save as CSV");
  const shown = () => HEADS.filter(([key]) => key !== "time" || ctx.story.timed).filter(([key]) => key !== "phase" || ctx.scene.phases.length);
  const head = el("thead", {}, el("tr", {}, ...shown().map(([, name]) => el("th", { scope: "col" }, name))));
  const table = el("table.twin", {}, el("caption", {}, `Steps of: ${ctx.scene.title}`), head, body);
  const scroll = el("div.scroll", {}, table);
  const node = el("div.tablebox", {}, el("div.bar", {},
    pick("kind", ctx.scene.kinds.map((kind) => kind.name.replaceAll("_", " ")), "kind"),
    pick("phase", ctx.scene.phases, "phase"), pick("box", ctx.scene.places.map((place) => place.label), "place"), search, csv, count),
  earlier, scroll, later);

  const list = () => frames ?? Array.from({ length: ctx.limit() + 1 }, (_, k) => k);
  const whole = () => filter.kind < 0 && filter.phase < 0 && filter.place < 0 && !filter.text;
  function narrow() {
    frames = whole() ? null : framesWhere(ctx.story, filter, ctx.limit());
    start = 0;
    draw();
    mark(current, true);
  }
  function turn(by) {
    start = Math.max(0, start + by);
    draw();
  }
  function draw() {
    const all = list();
    upTo = ctx.limit();
    start = Math.min(start, Math.max(0, all.length - 1));
    from = start;
    byFrame.clear();
    body.replaceChildren(...all.slice(start, start + ROWS).map(drawRow));
    earlier.hidden = start === 0;
    later.hidden = start + ROWS >= all.length;
    count.textContent = ctx.veiled() ? `${all.length} frames; the rest opens with your prediction` : `${all.length} of ${ctx.scene.frames} frames`;
    if (byFrame.has(current)) byFrame.get(current).setAttribute("aria-current", "step");
  }
  function drawRow(k) {
    const texts = ctx.story.row(k), cells = shown().map(([key]) => {
      if (key === "number") return el("th", { scope: "row" }, el("button.link", { type: "button", onclick: () => ctx.go(k, { manual: true }) }, texts.number));
      if (key === "cause" && texts.cause) {
        return el("td.cause", {}, el("button.link", { type: "button", "aria-label": `because of frame ${texts.cause}`, onclick: () => ctx.go(Number(texts.cause), { manual: true }) }, texts.cause));
      }
      return el(`td.${key}`, {}, texts[key]);
    });
    const row = el("tr", {}, ...cells);
    byFrame.set(k, row);
    return row;
  }
  function mark(k, jump) {
    byFrame.get(current)?.removeAttribute("aria-current");
    current = k;
    if (jump && !byFrame.has(k) && (frames ? matches(ctx.story, filter, k) : true)) {
      const at = frames ? frames.indexOf(k) : k;
      if (at >= 0) {
        start = Math.floor(at / ROWS) * ROWS;
        draw();
      }
    }
    const row = byFrame.get(k);
    row?.setAttribute("aria-current", "step");
    if (!row || !scroll.clientHeight) return;
    const over = row.offsetTop - scroll.scrollTop, space = scroll.clientHeight - row.offsetHeight;
    if (over < 32 || over > space) scroll.scrollTop += over - space / 2;
  }
  return {
    node,
    show(k) {
      if (from < 0 || upTo !== ctx.limit()) {
        if (frames) frames = framesWhere(ctx.story, filter, ctx.limit());
        current = k;
        draw();
      }
      mark(k, true);
    },
    reset() {
      from = -1;
    },
    stop: () => clearTimeout(timer),
  };
}
