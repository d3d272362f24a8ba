// What is needed now and then: boxes and their cards, stops, moving by kind and cause, export, keys.
import { nextWhere, numberIn, stopsAt } from "./core.mjs";
import { button, choice, el, option, optionsOf, save, svgFile } from "./draw.mjs";

export function makeMore(ctx) {
  const { t } = ctx, { places, pictures, facts } = ctx.scene;
  const of = (test, step) => {
    const k = ctx.at(), found = nextWhere(ctx.story, k, step, step > 0 ? ctx.limit() : k, test);
    if (found >= 0) ctx.to(found);
    else ctx.announce(step > 0 ? t("No later frame of this kind is open.") : t("No earlier frame of this kind."));
  };
  const kind = (step) => {
    const { kind: kinds } = ctx.story.columns, now = kinds[ctx.at()];
    of((k) => kinds[k] === now, step);
  };
  const cause = () => {
    const found = ctx.story.columns.cause[ctx.at()];
    if (found >= 0) ctx.to(found);
    else ctx.announce(t("This frame has no cause in this story."));
  };

  // ---- boxes and their cards: opened by the list of boxes, or by a pointer on a box that a picture draws
  const card = el("div.card", { hidden: true, role: "group" }), box = choice(t("Box"), () => open(Number(box.value)), option(-1, t("choose a box")), ...optionsOf(ctx.placeNames));
  let opener = box;

  // The frames that happen in a box or reach it, and those in which a picture lights it.
  function framesOf(at) {
    const { src, dst } = ctx.story.columns, found = new Set();
    for (let k = 0; k <= ctx.limit(); k++) if (src[k] === at || dst[k] === at) found.add(k);
    const cards = (bind, id) => bind.some(([verb, its, place]) => verb === "card" && its === id && place === places[at].name);
    const lit = pictures.flatMap(({ bind }) => bind.filter(([verb, id, , values]) => verb === "lit" && !values && cards(bind, id)));
    for (const [, , fact] of lit) for (const k of ctx.story.framesWith(fact, ctx.limit())) found.add(k);
    return found;
  }
  function open(at) {
    card.hidden = at < 0;
    if (at < 0) return;
    const { label, says, where, source, lesson } = places[at], frames = framesOf(at), first = [...frames].sort((a, b) => a - b).slice(0, 12);
    const links = first.map((k) => el("button.link", { onclick: () => ctx.to(k) }, String(k))), more = frames.size - first.length;
    const sources = [where, source, lesson && t("lesson {number}", { number: lesson })].filter(Boolean), has = (k) => frames.has(k);
    card.ariaLabel = label;
    card.replaceChildren(el("p", el("b", label), says && ` · ${says}`), el("p.soft", sources.join(" · ")),
      el("p.links", frames.size ? t("In frames") : t("In no open frame"), " ", ...links, more > 0 && t("and {count} more", { count: more })),
      el("div.bar", button(t("Previous of box"), () => of(has, -1)), button(t("Next of box"), () => of(has, 1)), button(t("Close card"), closeCard)));
  }
  function openCard(name) {
    if (card.hidden) opener = ctx.section.contains(document.activeElement) ? document.activeElement : ctx.section;
    box.value = places.findIndex((place) => place.name === name);
    open(Number(box.value));
    card.querySelector(".bar button:last-child").focus();
  }
  function closeCard() {
    card.hidden = true;
    box.value = "-1";
    opener.focus();
    opener = box;
  }

  // ---- stops
  const stops = [], list = el("ul.stops");
  const group = (label, what, texts) => el("optgroup", { label }, ...optionsOf(texts, `${what} `));
  const what = choice(t("Stop at"), () => { op.hidden = value.hidden = !what.value.startsWith("fact"); },
    group(t("kind"), "kind", ctx.kindNames), group(t("box"), "place", ctx.placeNames), group(t("fact"), "fact", facts.map((one) => one.panel && one.label)));
  const op = choice(t("Condition"), undefined, option("changes", t("changes")), ...["=", "≠", "<", ">"].map((one) => option(one, one)));
  const value = el("input", { type: "text", "aria-label": t("Value"), maxlength: 24, placeholder: t("24 or 0x18"), hidden: true });
  op.hidden = true;
  function addStop() {
    const [name, at] = what.value.split(" "), stop = { what: name, at: Number(at), op: op.value, value: 0n };
    if (name === "fact" && stop.op !== "changes") {
      const typed = value.value.trim(), number = numberIn(typed.replace(/^-/, ""));
      if (number === undefined) return ctx.announce(t("wanted a whole number such as 24 or 0x18"), true);
      stop.value = typed.startsWith("-") ? -number : number;
    }
    const when = name !== "fact" ? [] : stop.op === "changes" ? [t("changes")] : [stop.op, stop.value];
    const item = el("li", `${[what.selectedOptions[0].textContent, ...when].join(" ")} `, button(t("Remove"), () => { stops.splice(stops.indexOf(stop), 1); item.remove(); }));
    stops.push(stop);
    list.append(item);
  }
  const stopHere = (k) => stops.some((stop) => stopsAt(ctx.story, stop, k));
  function run() {
    if (!stops.length) return ctx.announce(t("Add a stop first."), true);
    const found = nextWhere(ctx.story, ctx.at(), 1, ctx.limit(), stopHere);
    ctx.to(found >= 0 ? found : ctx.limit());
    return found < 0 && ctx.announce(t("No stop was met up to here."), true);
  }

  const still = el("input", { type: "checkbox", onchange: () => ctx.section.classList.toggle("calm", still.checked) });
  const token = el("input", { readonly: true, hidden: true, "aria-label": t("Token to copy") });
  const node = el("div.more", { hidden: true },
    el("div.bar", button(t("Previous of kind"), () => kind(-1)), button(t("Next of kind"), () => kind(1)), button(t("Cause"), cause), places.length > 0 && box),
    el("div.bar", { role: "group", "aria-label": t("Stops") }, el("span", t("Stop at")), what, op, value, button(t("Add stop"), addStop), button(t("Run to stop"), run)), list,
    el("div.bar", button(t("Copy token"), () => ctx.copy(`${ctx.scene.token || ctx.scene.title}@${ctx.at()}`)),
      button(t("Save picture"), () => ctx.picture() && save("frame.svg", "image/svg+xml", svgFile(ctx.picture()))), el("label.choice", still, t("no motion")), token),
    el("p.soft", t("Keys: ← → one frame, Page Up and Page Down ten, Home first, End last, N and P this kind, C cause, T table, F full screen, Esc close")));
  return {
    node, card, kind, cause, stopHere, openCard,
    closeCard: () => (card.hidden ? false : (closeCard(), true)),
    showToken(text) {
      token.hidden = false;
      token.value = text;
      token.focus();
      token.select();
    },
  };
}
