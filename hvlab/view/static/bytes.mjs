// Bytes on show: a page of memory as 16 bytes a row, its declared fields as a table, who wrote what.
import { letterOf, readField, say } from "./core.mjs";
import { button, choice, classed, el, head, optionsOf } from "./draw.mjs";
import { fillChange } from "./side.mjs";

const WINDOW = 24;
const hex = (number, digits) => number.toString(16).padStart(digits, "0");
const letterFor = (at) => (at < 26 ? String.fromCharCode(97 + at) : `${letterFor(Math.floor(at / 26) - 1)}${letterFor(at % 26)}`);

export function makeBytes(ctx) {
  const { t } = ctx, pages = ctx.scene.pages;
  let page = 0, k = 0, top = 0, chosen = null, data, old, rows = [];
  const choose = choice(t("Page"), () => { page = Number(choose.value); top = 0; chosen = null; show(k); }, ...optionsOf(pages.map((one) => one.name)));
  const since = el("input", { type: "number", min: 0, "aria-label": t("Compare with frame"), onchange: () => show(k) });
  const turn = (by) => { top = Math.max(0, top + by); draw(); };
  const earlier = button(t("Earlier bytes"), () => turn(-WINDOW)), later = button(t("Later bytes"), () => turn(WINDOW));
  const grid = el("div.hexgrid", { "aria-hidden": "true", onclick: (event) => pick(event.target.closest(".byte")) });
  const caption = el("caption"), body = el("tbody"), about = el("p.line", { role: "status" });
  const writer = button("", () => ctx.to(Number(writer.value))), copy = button(t("Copy as hex"), copyHex);
  const fields = el("table.fields", caption, head(t("mark"), t("field"), t("offset"), t("value")), body);
  const node = el("div.bytes",
    el("div.bar", choose, el("label", t("changes since the frame before, or since frame"), " ", since), earlier, later),
    el("div.pair", el("div", grid, about, el("div.bar", writer, copy)), fields));
  choose.hidden = pages.length < 2;

  function declared() {
    const found = [...pages[page].fields].sort((a, b) => a.offset - b.offset), all = [];
    let at = 0;
    const pad = (name, to) => to > at && all.push({ name, offset: at, size: to - at, doc: "", kind: "bytes", pad: true });
    for (const field of found) {
      pad(t("padding"), field.offset);
      all.push(field);
      at = Math.max(at, field.offset + field.size);
    }
    if (found.length) pad(t("trailing bytes"), pages[page].length);
    return all;
  }
  function folded() {
    const found = [];
    for (let at = 0; at < data.length; at += 16) {
      const zero = at > 0 && at + 16 < data.length && data.subarray(at, at + 16).every((byte, i) => !byte && !old[at + i]);
      const before = found.at(-1);
      if (zero && before?.zeros) before.zeros++;
      else found.push({ at, zeros: zero ? 1 : 0 });
    }
    return found.flatMap((row) => (row.zeros === 1 ? [{ at: row.at, zeros: 0 }] : [row]));
  }
  function show(frame) {
    k = frame;
    const from = since.value === "" ? k - 1 : Math.min(Number(since.value), k);
    data = ctx.story.bytesAt(page, k);
    old = from >= 0 ? ctx.story.bytesAt(page, from) : data;
    rows = folded();
    const hit = rows.findIndex((row) => !row.zeros && data.subarray(row.at, row.at + 16).some((byte, i) => byte !== old[row.at + i]));
    if (hit >= 0 && (hit < top || hit >= top + WINDOW)) top = Math.max(0, hit - 4);
    draw();
  }
  function draw() {
    top = Math.min(top, Math.max(0, rows.length - WINDOW));
    earlier.disabled = top === 0;
    later.disabled = top + WINDOW >= rows.length;
    earlier.hidden = later.hidden = rows.length <= WINDOW;
    const all = declared(), owner = new Map();
    all.forEach((field, at) => {
      for (let i = 0; i < field.size; i++) owner.set(field.offset + i, at);
    });
    grid.replaceChildren(...rows.slice(top, top + WINDOW).map((row) => drawRow(row, all, owner)));
    body.replaceChildren(...all.map(drawField));
    const { name, kind, address } = pages[page];
    caption.textContent = t("{name} at {address}, {count} bytes", { name, address: say(kind, BigInt("0x" + address)), count: data.length });
    tell();
  }
  function drawRow(row, all, owner) {
    if (row.zeros) return el("div.row.soft", `… ${t("{count} rows of zeros", { count: row.zeros })}`);
    const cells = [];
    for (let at = row.at; at < Math.min(row.at + 16, data.length); at++) {
      const field = all[owner.get(at)], cell = el("span.byte", { "data-at": at }, hex(data[at], 2));
      classed(cell, {
        tint: field && !field.pad && owner.get(at) % 2 === 0, pad: field?.pad, edge: field?.offset === at,
        changed: data[at] !== old[at], chosen: chosen && at >= chosen.offset && at < chosen.offset + chosen.size,
      });
      if (field?.offset === at && !field.pad) cell.prepend(el("small", letterFor(owner.get(at))));
      cells.push(cell);
    }
    const text = [...data.subarray(row.at, row.at + 16)].map(letterOf).join("");
    return el(`div.row${cells.some((cell) => cell.firstElementChild) ? ".named" : ""}`, el("span.offset", hex(row.at, 3)), ...cells, el("span.ascii", text));
  }
  function drawField(field, at) {
    const [now, before] = [data, old].map((bytes) => readField(field, bytes, ctx.scene.enums, t)), value = el("td.code");
    fillChange(t, value, before.text, now.text, now.raw !== before.raw);
    const name = el("button.link", { "aria-pressed": String(chosen?.offset === field.offset), onclick: () => select(field) }, field.name);
    return el("tr", el("td.code", field.pad ? "·" : letterFor(at)), el("th", { scope: "row" }, name, el("small.soft", field.doc)),
      el("td.code", `${field.offset}+${field.size}`), value);
  }
  function select(field) {
    const kept = body.contains(document.activeElement) ? [...body.querySelectorAll("button")].indexOf(document.activeElement) : -1;
    chosen = chosen?.offset === field.offset && chosen.size === field.size ? null : field;
    draw();
    if (kept >= 0) body.querySelectorAll("button")[kept]?.focus();
  }
  function pick(target) {
    const at = Number(target?.dataset.at ?? -1);
    if (at >= 0) select(declared().find((one) => at >= one.offset && at < one.offset + one.size) ?? { name: t("byte {at}", { at }), offset: at, size: 1, kind: "hex" });
  }
  function tell() {
    const last = chosen ? ctx.story.writerOf(page, chosen, k) : -1;
    writer.hidden = copy.hidden = !chosen;
    writer.disabled = last < 0;
    writer.value = last;
    writer.textContent = last < 0 ? t("Not written yet") : t("Go to frame {frame}, which wrote it", { frame: last });
    about.textContent = chosen ? `${chosen.name}: ${readField(chosen, data, ctx.scene.enums).raw.slice(0, 120)}` : t("Choose a byte or a field to see who wrote it.");
  }
  function copyHex() {
    ctx.copy(readField(chosen, data, ctx.scene.enums).raw.replaceAll(" ", ""));
  }
  return { node, show };
}
