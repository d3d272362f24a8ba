// Bytes on show: a page of memory as 16 bytes a row, its declared fields as a table, who wrote what.
import { letterOf, readField, say } from "./core.mjs";
import { el } from "./draw.mjs";
import { fillChange } from "./side.mjs";

const WINDOW = 24;
const hex = (number, digits) => number.toString(16).padStart(digits, "0");
const letterFor = (at) => (at < 26 ? String.fromCharCode(97 + at) : `${letterFor(Math.floor(at / 26) - 1)}${letterFor(at % 26)}`);

export function makeBytes(ctx) {
  const pages = ctx.scene.pages;
  let page = 0, k = 0, top = 0, chosen = null, data, old, rows = [];
  const choose = el("select", { "aria-label": "Page", onchange: () => { page = Number(choose.value); top = 0; chosen = null; show(k); } },
    ...pages.map((one, at) => el("option", { value: at }, one.name)));
  const since = el("input", { type: "number", min: 0, "aria-label": "Compare with frame", onchange: () => show(k) });
  const earlier = el("button", { type: "button", onclick: () => { top = Math.max(0, top - WINDOW); draw(); } }, "Earlier bytes");
  const later = el("button", { type: "button", onclick: () => { top += WINDOW; draw(); } }, "Later bytes");
  const grid = el("div.hexgrid", { "aria-hidden": "true", onclick: (event) => pick(event.target.closest(".byte")) });
  const caption = el("caption"), body = el("tbody"), about = el("p.line", { role: "status" });
  const writer = el("button", { type: "button", onclick: () => ctx.go(Number(writer.value), { manual: true }) });
  const copy = el("button", { type: "button", onclick: copyHex }, "Copy as hex");
  const fields = el("table.fields", {}, caption, el("thead", {}, el("tr", {}, ...["", "field", "offset", "value"].map((one) => el("th", { scope: "col" }, one)))), body);
  const node = el("div.bytes", {},
    el("div.bar", {}, choose, el("label", {}, "changes since the frame before, or since frame ", since), earlier, later),
    el("div.pair", {}, el("div", {}, grid, about, el("div.bar", {}, writer, copy)), fields));
  choose.hidden = pages.length < 2;

  function declared() {
    const found = [...pages[page].fields].sort((a, b) => a.offset - b.offset), all = [];
    let at = 0;
    for (const field of found) {
      if (field.offset > at) all.push({ name: "padding", offset: at, size: field.offset - at, doc: "", kind: "bytes", pad: true });
      all.push(field);
      at = Math.max(at, field.offset + field.size);
    }
    if (found.length && at < pages[page].length) {
      all.push({ name: "trailing bytes", offset: at, size: pages[page].length - at, doc: "", kind: "bytes", pad: true });
    }
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
    caption.textContent = `${pages[page].name} at ${say(pages[page].kind, BigInt("0x" + pages[page].address))}, ${data.length} bytes`;
    tell();
  }
  function drawRow(row, all, owner) {
    if (row.zeros) return el("div.row.soft", {}, `… ${row.zeros} rows of zeros`);
    const cells = [];
    for (let at = row.at; at < Math.min(row.at + 16, data.length); at++) {
      const field = all[owner.get(at)], cell = el("span.byte", { "data-at": at }, hex(data[at], 2));
      cell.classList.toggle("tint", field !== undefined && !field.pad && owner.get(at) % 2 === 0);
      cell.classList.toggle("pad", Boolean(field?.pad));
      cell.classList.toggle("edge", field?.offset === at);
      if (field?.offset === at && !field.pad) cell.prepend(el("small", {}, letterFor(owner.get(at))));
      cell.classList.toggle("changed", data[at] !== old[at]);
      cell.classList.toggle("chosen", chosen !== null && at >= chosen.offset && at < chosen.offset + chosen.size);
      cells.push(cell);
    }
    const text = [...data.subarray(row.at, row.at + 16)].map(letterOf).join("");
    return el(`div.row${cells.some((cell) => cell.firstElementChild) ? ".named" : ""}`, {}, el("span.offset", {}, hex(row.at, 3)), ...cells, el("span.ascii", {}, text));
  }
  function drawField(field, at) {
    const now = readField(field, data, ctx.scene.enums), before = readField(field, old, ctx.scene.enums), value = el("td.code");
    fillChange(value, before.text, now.text, now.raw !== before.raw);
    const button = el("button.link", { type: "button", "aria-pressed": String(chosen?.offset === field.offset), onclick: () => select(field) }, field.name);
    return el("tr", {}, el("td.code", {}, field.pad ? "·" : letterFor(at)), el("th", { scope: "row" }, button, el("small.soft", {}, field.doc)),
      el("td.code", {}, `${field.offset}+${field.size}`), value);
  }
  function select(field) {
    const kept = body.contains(document.activeElement) ? [...body.querySelectorAll("button")].indexOf(document.activeElement) : -1;
    chosen = chosen?.offset === field.offset && chosen.size === field.size ? null : field;
    draw();
    if (kept >= 0) body.querySelectorAll("button")[kept]?.focus();
  }
  function pick(target) {
    const at = Number(target?.dataset.at ?? -1);
    if (at >= 0) select(declared().find((one) => at >= one.offset && at < one.offset + one.size) ?? { name: `byte ${at}`, offset: at, size: 1, kind: "hex" });
  }
  function tell() {
    let last = -1;
    for (let at = chosen?.offset ?? 0; chosen && at < chosen.offset + chosen.size; at++) last = Math.max(last, ctx.story.writerOf(page, at, k));
    writer.hidden = copy.hidden = !chosen;
    writer.disabled = last < 0;
    writer.value = String(last);
    writer.textContent = last < 0 ? "Not written yet" : `Go to frame ${last}, which wrote it`;
    about.textContent = chosen ? `${chosen.name}: ${readField(chosen, data, ctx.scene.enums).raw.slice(0, 120)}` : "Choose a byte or a field to see who wrote it.";
  }
  function copyHex() {
    ctx.copy([...data.subarray(chosen.offset, chosen.offset + chosen.size)].map((byte) => hex(byte, 2)).join(""));
  }
  return { node, show };
}
