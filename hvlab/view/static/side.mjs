// Beside a picture: the state table, and words opened as rulers of their bits.
import { fieldsOf, rulersAt, say } from "./core.mjs";
import { classed, el, head } from "./draw.mjs";

// old value struck through beside the new one, for eyes and ears
export function fillChange(t, cell, old, now, changed) {
  const told = changed ? `${old} → ${now}` : now;
  if (cell.told === told) return;
  cell.told = told;
  cell.replaceChildren();
  cell.classList.toggle("changed", changed);
  if (changed) cell.append(el("s", old), el("span.sr", ` ${t("becomes")} `), el("span", { "aria-hidden": "true" }, " → "), el("b", now));
  else cell.append(now);
}

export function makeState(ctx) {
  const { t } = ctx, facts = ctx.scene.facts.map((fact, at) => ({ ...fact, at })).filter((fact) => fact.panel);
  const cells = facts.map(() => el("td.code"));
  const rows = facts.map((fact, i) => el("tr", el("th", { scope: "row" }, fact.label), cells[i]));
  const node = el("div.panel", { hidden: !facts.length },
    el("table.state", el("caption", t("State")), head(t("name"), t("value")), el("tbody", ...rows)));
  return {
    node,
    show(k) {
      const state = ctx.story.stateAt(k), old = ctx.story.stateAt(k - 1);
      facts.forEach(({ kind, at }, i) => {
        const [before, now] = [old, state].map((one) => say(kind, one[at], ctx.scene.enums));
        fillChange(t, cells[i], before, now, k > 0 && state[at] !== old[at]);
      });
    },
  };
}

// One 64-bit word: high bit left, reserved bits hatched, changed bits marked, then its fields as a table.
export function makeRuler(ctx) {
  const { t } = ctx, name = el("b"), value = el("span.code"), bits = [], grid = el("div.bits", { "aria-hidden": "true" });
  for (let bit = 63; bit >= 0; bit--) {
    const digit = el("span"), cell = el(`div.bit${bit % 4 === 3 ? ".nibble" : ""}`, el("small", bit % 4 === 3 ? String(bit) : "\u00a0"), digit);
    bits[bit] = { cell, digit };
    grid.append(cell);
  }
  const caption = el("caption"), body = el("tbody");
  let all = false, last;
  const toggle = el("button.quiet", { onclick: () => { all = !all; draw(); } }, t("All fields"));
  const node = el("div.panel.ruler", el("p.line", name, " ", value), grid,
    el("table.fields", caption, head(t("bits"), t("field"), t("value")), body), toggle);

  function draw() {
    const [label, wordName, now, old] = last, rows = fieldsOf(ctx.scene.words[wordName] ?? [], now, old, ctx.scene.enums, t);
    name.textContent = label;
    value.textContent = say("hex", now);
    caption.textContent = t("Fields of {label} ({word})", { label, word: wordName });
    toggle.ariaPressed = all;
    body.replaceChildren();
    let tint = false;
    for (const row of rows) {
      tint = row.reserved ? tint : !tint;
      for (let bit = row.lo; bit < row.lo + row.width; bit++) {
        const { cell, digit } = bits[bit], at = BigInt(bit), set = (now >> at) & 1n;
        if (digit.textContent !== String(set)) digit.textContent = String(set);
        classed(cell, {
          tint: tint && !row.reserved, reserved: row.reserved, flagged: row.reserved && set === 1n, set: set === 1n,
          edge: bit === row.lo + row.width - 1, changed: set !== ((old >> at) & 1n),
        });
      }
      if (!all && !row.changed && !row.flagged && (row.value === 0n || row.reserved)) continue;
      const span = row.width === 1 ? `${row.lo}` : `${row.lo + row.width - 1}:${row.lo}`, cell = el("td.code");
      fillChange(t, cell, row.old, row.text, row.changed);
      if (row.flagged) cell.append(el("b.fault", ` ✕ ${t("must be 0")}`));
      body.append(el("tr", el("td.code", span), el("th", { scope: "row" }, row.name, el("small.soft", row.doc)), cell));
    }
    if (!body.firstChild) body.append(el("tr", el("td", { colspan: 3 }, t("every field is 0"))));
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
        ruler.show(label, word, ctx.story.value(fact, k), ctx.story.value(fact, Math.max(k - 1, 0)));
        if (ruler.node.parentNode !== node) node.append(ruler.node);
      }
      for (const child of [...node.children]) if (!keep.has(child)) child.remove();
    },
  };
}
