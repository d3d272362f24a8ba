// The table twin: one row a frame, with the same words as the caption. 200 rows at once.
import { csvOf, framesWhere } from "./core.mjs";
import { button, choice, el, head, option, optionsOf, save } from "./draw.mjs";

const ROWS = 200;

export function makeTable(ctx) {
  const { t } = ctx, heads = [["number", t("frame")], ["time", t("time")], ["phase", t("phase")], ["where", t("where")], ["what", t("what")], ["cause", t("because of")]];
  const filter = { kind: -1, phase: -1, place: -1, text: "" }, byFrame = new Map();
  let frames = [], start = 0, current = 0, upTo = -1, timer = 0;
  const pick = (label, every, names, key) => {
    const node = choice(label, () => { filter[key] = Number(node.value); narrow(); }, option(-1, every), ...optionsOf(names));
    node.hidden = names.length < 2;
    return node;
  };
  const search = el("input", { type: "search", "aria-label": t("Text in the row"), placeholder: t("text"), maxlength: 64, oninput: () => {
    clearTimeout(timer);
    timer = setTimeout(() => { filter.text = search.value; narrow(); }, 150);
  } });
  const count = el("span.soft", { role: "status" }), body = el("tbody");
  const earlier = button(t("Earlier rows"), () => turn(-ROWS)), later = button(t("Later rows"), () => turn(ROWS));
  const csv = button(t("Save as CSV"), () => save("story.csv", "text/csv", csvOf(ctx.story, frames, heads.map(([, name]) => name))));
  const shown = () => heads.filter(([key]) => (key !== "time" || ctx.story.timed) && (key !== "phase" || ctx.scene.phases.length));
  const table = el("table.twin", el("caption", t("Steps of: {title}", { title: ctx.scene.title })), head(...shown().map(([, name]) => name)), body);
  const scroll = el("div.scroll", table);
  const node = el("div.tablebox", el("div.bar",
    pick(t("Only kind"), t("every kind"), ctx.kindNames, "kind"), pick(t("Only phase"), t("every phase"), ctx.scene.phases, "phase"),
    pick(t("Only box"), t("every box"), ctx.placeNames, "place"), search, csv, count),
  earlier, scroll, later);

  const find = () => (frames = framesWhere(ctx.story, filter, ctx.limit()));
  function narrow() {
    find();
    turn(-start);
    mark(current);
  }
  function turn(by) {
    start = Math.max(0, start + by);
    draw();
  }
  function draw() {
    start = Math.min(start, Math.max(0, frames.length - 1));
    byFrame.clear();
    body.replaceChildren(...frames.slice(start, start + ROWS).map(drawRow));
    earlier.hidden = start === 0;
    later.hidden = start + ROWS >= frames.length;
    const counted = { count: frames.length, frames: ctx.scene.frames };
    count.textContent = ctx.veiled() ? t("{count} frames; the rest opens with your prediction", counted) : t("{count} of {frames} frames", counted);
  }
  function drawRow(k) {
    const texts = ctx.story.row(k), link = (text, label) => el("button.link", { "aria-label": label, onclick: () => ctx.to(Number(text)) }, text);
    const cells = shown().map(([key, name]) => {
      if (key === "number") return el("th", { scope: "row" }, link(texts.number));
      if (key !== "cause" || !texts.cause) return el(`td.${key}`, texts[key]);
      return el("td.cause", { "data-name": name }, link(texts.cause, t("because of frame {frame}", { frame: texts.cause })));
    });
    const row = el("tr", ...cells);
    if (k === current) row.ariaCurrent = "step";
    byFrame.set(k, row);
    return row;
  }
  function mark(k) {
    byFrame.get(current)?.removeAttribute("aria-current");
    current = k;
    const at = byFrame.has(k) ? -1 : frames.indexOf(k);
    if (at >= 0) {
      start = Math.floor(at / ROWS) * ROWS;
      draw();
    }
    const row = byFrame.get(k);
    if (row) row.ariaCurrent = "step";
    if (!row || !scroll.clientHeight) return;
    const over = row.offsetTop - scroll.scrollTop, space = scroll.clientHeight - row.offsetHeight;
    if (over < 32 || over > space) scroll.scrollTop += over - space / 2;
  }
  return {
    node,
    show(k) {
      if (upTo !== ctx.limit()) {
        upTo = ctx.limit();
        find();
        draw();
      }
      mark(k);
    },
    reset() {
      upTo = -1;
    },
    stop: () => clearTimeout(timer),
  };
}
