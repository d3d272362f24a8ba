// Beside a picture: the state table, and words opened as rulers of their bits.
import { fieldsOf, rulersAt, say } from "./core.mjs";
import { el } from "./draw.mjs";

const head = (...names) => el("thead", {}, el("tr", {}, ...names.map((name) => el("th", { scope: "col" }, name))));

// old value struck through beside the new one, for eyes and ears
export function fillChange(cell, old, now, changed) {
  const told = changed ? `${old} → ${now}` : now;
  if (cell.told === told) return;
  cell.told = told;
  cell.replaceChildren();
  cell.classList.toggle("changed", changed);
  if (changed) cell.append(el("s", {}, old), el("span.sr", {}, " becomes "), el("span", { "aria-hidden": "true" }, " → "), el("b", {}, now));
  else cell.append(now);
}

export function makeState(ctx) {
  const facts = ctx.scene.facts.map((fact, at) => ({ ...fact, at })).filter((fact) => fact.panel);
  const cells = facts.map(() => el("td.code"));
  const rows = facts.map((fact, i) => el("tr", {}, el("th", { scope: "row" }, fact.label), cells[i]));
  const node = el("div.panel", { hidden: !facts.length },
    el("table.state", {}, el("caption", {}, "State"), head("name", "value"), el("tbody", {}, ...rows)));
  return {
    node,
    show(k) {
      const state = ctx.story.stateAt(k), old = ctx.story.stateAt(k - 1), enums = ctx.scene.enums;
      facts.forEach((fact, i) => {
        const now = say(fact.kind, state[fact.at], enums), before = say(fact.kind, old[fact.at], enums);
        fillChange(cells[i], before, now, k > 0 && state[fact.at] !== old[fact.at]);
      });
    },
  };
}

// One 64-bit word: high bit left, reserved bits hatched, changed bits marked, then its fields as a table.
export function makeRuler(ctx) {
  const name = el("b"), value = el("span.code"), bits = [], grid = el("div.bits", { "aria-hidden": "true" });
  for (let bit = 63; bit >= 0; bit--) {
    const digit = el("span"), cell = el(`div.bit${bit % 4 === 3 ? ".nibble" : ""}`, {}, el("small", {}, bit % 4 === 3 ? String(bit) : "\u00a0"), digit);
    bits[bit] = { cell, digit };
    grid.append(cell);
  }
  const caption = el("caption"), body = el("tbody");
  let all = false, last;
  const toggle = el("button.quiet", { type: "button", "aria-pressed": "false", onclick: () => { all = !all; draw(); } }, "All fields");
  const node = el("div.panel.ruler", {}, el("p.line", {}, name, " ", value), grid,
    el("table.fields", {}, caption, head("bits", "field", "value"), body), toggle);

  function draw() {
    const [label, wordName, now, old] = last, rows = fieldsOf(ctx.scene.words[wordName] ?? [], now, old, ctx.scene.enums);
    name.textContent = label;
    value.textContent = say("hex", now);
    caption.textContent = `Fields of ${label} (${wordName})`;
    toggle.setAttribute("aria-pressed", String(all));
    body.replaceChildren();
    let tint = false;
    for (const row of rows) {
      tint = row.reserved ? tint : !tint;
      for (let bit = row.lo; bit < row.lo + row.width; bit++) {
        const { cell, digit } = bits[bit], at = BigInt(bit), set = (now >> at) & 1n;
        if (digit.textContent !== String(set)) digit.textContent = String(set);
        cell.classList.toggle("tint", tint && !row.reserved);
        cell.classList.toggle("reserved", row.reserved);
        cell.classList.toggle("flagged", row.reserved && set === 1n);
        cell.classList.toggle("set", set === 1n);
        cell.classList.toggle("edge", bit === row.lo + row.width - 1);
        cell.classList.toggle("changed", set !== ((old >> at) & 1n));
      }
      if (!all && !row.changed && !row.flagged && (row.value === 0n || row.reserved)) continue;
      const span = row.width === 1 ? `${row.lo}` : `${row.lo + row.width - 1}:${row.lo}`, cell = el("td.code");
      fillChange(cell, row.old, row.text, row.changed);
      if (row.flagged) cell.append(el("b.fault", {}, " ✕ must be 0"));
      body.append(el("tr", {}, el("td.code", {}, span), el("th", { scope: "row" }, row.name, el("small.soft", {}, row.doc)), cell));
    }
    if (!body.firstChild) body.append(el("tr", {}, el("td", { colspan: 3 }, "every field is 0")));
  }
  return {
    node,
    show(label, wordName, now, old) {
      const wanted = [label, wordName, BigInt.asUintN(64, now), BigInt.asUintN(64, old)];
      if (last && wanted.every((one, at) => one === last[at])) return;
      last = wanted;
      draw();
    },
  };
}

// The rulers that the picture on show asks for at this frame.
export function makeRulers(ctx) {
  const node = el("div.rulers"), made = new Map();
  return {
    node,
    show(k, picture) {
      const wanted = picture ? rulersAt(ctx.story, picture, k) : [], keep = new Set();
      for (const [id, fact, word] of wanted) {
        const ruler = made.get(id) ?? makeRuler(ctx);
        made.set(id, ruler);
        keep.add(ruler.node);
        const label = ctx.scene.facts.find((one) => one.name === fact).label;
        const old = k > 0 ? ctx.story.value(fact, k - 1) : ctx.story.value(fact, k);
        ruler.show(label, word, ctx.story.value(fact, k), old);
        if (ruler.node.parentNode !== node) node.append(ruler.node);
      }
      for (const child of [...node.children]) if (!keep.has(child)) child.remove();
    },
  };
}
