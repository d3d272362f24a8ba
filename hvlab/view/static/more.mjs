// What is needed now and then: boxes and their cards, stops, moving by kind and cause, export, keys.
import { nextWhere, stopsAt } from "./core.mjs";
import { el, save, svgFile } from "./draw.mjs";

const KEYS = [["← →", "one frame back or on"], ["Page Up, Page Down", "ten frames"], ["Home, End", "first, last"], ["N, P", "next or previous of this kind"],
  ["C", "cause"], ["T", "table"], ["F", "full screen"], ["Esc", "close"]];

export function makeMore(ctx) {
  const button = (text, onclick) => el("button", { type: "button", onclick }, text);
  const of = (test, step) => {
    const k = ctx.at(), found = nextWhere(ctx.story, k, step, step > 0 ? ctx.limit() : k, test);
    if (found >= 0) ctx.go(found, { manual: true });
    else ctx.announce(step > 0 ? "No later frame of this kind is open." : "No earlier frame of this kind.");
  };
  const kind = (step) => {
    const now = ctx.story.columns.kind[ctx.at()];
    of((k) => ctx.story.columns.kind[k] === now, step);
  };
  const cause = () => {
    const found = ctx.story.columns.cause[ctx.at()];
    if (found >= 0) ctx.go(found, { manual: true });
    else ctx.announce("This frame has no cause in this story.");
  };

  // ---- boxes and their cards
  const here = (place) => (k) => ctx.story.columns.src[k] === place || ctx.story.columns.dst[k] === place;
  const card = el("div.card", { hidden: true }), places = ctx.scene.places;
  const box = el("select", { "aria-label": "Box", onchange: () => openCard(Number(box.value)) },
    el("option", { value: -1 }, "choose a box"), ...places.map((place, at) => el("option", { value: at }, place.label)));
  function openCard(at) {
    card.hidden = at < 0;
    if (at < 0) return;
    const place = places[at], frames = [];
    let count = 0;
    for (let k = 0; k <= ctx.limit(); k++) if (here(at)(k)) { count++; if (frames.length < 12) frames.push(k); }
    const links = frames.map((k) => el("button.link", { type: "button", onclick: () => ctx.go(k, { manual: true }) }, String(k)));
    card.replaceChildren(el("p", {}, el("b", {}, place.label), place.says ? ` · ${place.says}` : ""),
      el("p.soft", {}, [place.where, place.source].filter(Boolean).join(" · ")),
      el("p.links", {}, count ? "In frames " : "In no open frame", ...links, count > frames.length ? ` and ${count - frames.length} more` : ""),
      el("div.bar", {}, button("Previous of box", () => of(here(at), -1)), button("Next of box", () => of(here(at), 1)), button("Close card", closeCard)));
  }
  function closeCard() {
    card.hidden = true;
    box.value = "-1";
    box.focus();
  }

  // ---- stops
  const stops = [], list = el("ul.stops");
  const group = (label, what, things) => el("optgroup", { label }, ...things.map((thing, at) => el("option", { value: `${what} ${at}` }, thing)));
  const what = el("select", { "aria-label": "Stop at", onchange: () => { op.hidden = value.hidden = !what.value.startsWith("fact"); } },
    group("kind", "kind", ctx.scene.kinds.map((one) => one.name.replaceAll("_", " "))), group("box", "place", places.map((one) => one.label)),
    group("fact", "fact", ctx.scene.facts.map((one) => one.label)));
  const op = el("select", { "aria-label": "Condition", hidden: true }, ...["changes", "=", "≠", "<", ">"].map((one) => el("option", { value: one }, one)));
  const value = el("input", { type: "text", "aria-label": "Value", maxlength: 24, placeholder: "24 or 0x18", hidden: true });
  function addStop() {
    const [name, at] = what.value.split(" "), stop = { what: name, at: Number(at), op: op.value, value: 0n };
    if (name === "fact" && stop.op !== "changes") {
      if (!/^-?\d{1,19}$|^0x[\da-f_]{1,19}$/i.test(value.value.trim())) return ctx.announce("Wanted a whole number such as 24 or 0x18.", true);
      stop.value = BigInt.asIntN(64, BigInt(value.value.trim().replaceAll("_", "")));
    }
    const label = what.selectedOptions[0].textContent + (name === "fact" ? ` ${stop.op}${stop.op === "changes" ? "" : " " + stop.value}` : "");
    const item = el("li", {}, `${label} `, button("Remove", () => { stops.splice(stops.indexOf(stop), 1); item.remove(); }));
    stops.push(stop);
    list.append(item);
    return undefined;
  }
  const stopHere = (k) => stops.some((stop) => stopsAt(ctx.story, stop, k));
  function run() {
    if (!stops.length) return ctx.announce("Add a stop first.", true);
    const found = nextWhere(ctx.story, ctx.at(), 1, ctx.limit(), stopHere);
    ctx.go(found >= 0 ? found : ctx.limit(), { manual: true });
    return found < 0 && ctx.announce("No stop was met up to here.", true);
  }

  const still = el("input", { type: "checkbox", onchange: () => ctx.calm(still.checked) });
  const token = el("input", { readonly: true, hidden: true, "aria-label": "Token to copy" });
  const copy = () => ctx.copy(`${ctx.scene.token || ctx.scene.title}@${ctx.at()}`);
  const node = el("div.more", { hidden: true },
    el("div.bar", {}, button("Previous of kind", () => kind(-1)), button("Next of kind", () => kind(1)), button("Cause", cause), places.length ? box : ""),
    card,
    el("div.bar", { role: "group", "aria-label": "Stops" }, el("span", {}, "Stop at"), what, op, value, button("Add stop", addStop), button("Run to stop", run)), list,
    el("div.bar", {}, button("Copy token", copy), button("Save picture", () => ctx.picture() && save("frame.svg", "image/svg+xml", svgFile(ctx.picture()))),
      el("label.choice", {}, still, "no motion"), token),
    el("dl.keys", {}, ...KEYS.map(([key, does]) => el("div", {}, el("dt", {}, key), " ", el("dd", {}, does)))));
  return {
    node, kind, cause, stopHere,
    closeCard: () => (card.hidden ? false : (closeCard(), true)),
    showToken(text) {
      token.hidden = false;
      token.value = text;
      token.focus();
      token.select();
    },
  };
}
