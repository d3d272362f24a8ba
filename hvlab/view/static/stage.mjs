// What stands on the stage: a picture or the bytes, or the table in their place; state and rulers beside them.
import { altAt, changesAt } from "./core.mjs";
import { applyChanges, drawLayer, el, fitTexts } from "./draw.mjs";
import { makeBytes } from "./bytes.mjs";
import { makeRulers, makeState } from "./side.mjs";
import { makeTable } from "./table.mjs";

export function makeStage(ctx) {
  const views = ctx.scene.pictures.map((picture) => ({ name: picture.name, picture }));
  const state = makeState(ctx), rulers = makeRulers(ctx), table = makeTable(ctx), bytes = ctx.scene.pages.length ? makeBytes(ctx) : null;
  if (bytes) views.push({ name: ctx.t("Bytes") });
  const region = el("div.region", { role: "region", "aria-label": ctx.t("Picture") });
  const tableBox = el("div.tablehost", { hidden: true }, table.node);
  const side = el("div.side", state.node, rulers.node, bytes?.node);
  const node = el("div.stage", region, tableBox, side);
  const tabs = views.map((view, at) => el("button.tab", { onclick: () => choose(at) }, view.name));
  let view = -1, drawn = null, tableFirst = false, plain = false;

  function choose(at) {
    view = at;
    if (!tableFirst) openTable(false);
    try {
      draw(at);
    } catch (error) {
      ctx.fail(error);
    }
    if (ctx.at() >= 0) ctx.show();
    measure();
  }
  function draw(at) {
    const picture = views[at]?.picture;
    region.replaceChildren();
    drawn = null;
    arrange();
    if (!picture || plain) return;
    drawn = { picture, ...drawLayer(picture, `${ctx.prefix}-${at}`), shift: new Map() };
    region.ariaLabel = picture.title;
    region.append(drawn.svg);
    // What a pointer does here, the table and the list of boxes do too.
    for (const [verb, id, to] of picture.bind) {
      if (verb !== "jump" && verb !== "card") continue;
      drawn.byId.get(id).classList.add("jump");
      drawn.byId.get(id).addEventListener("click", () => (verb === "jump" ? ctx.to(Number(to)) : ctx.openCard(to)));
    }
  }
  function arrange() {
    const { picture } = views[view] ?? {}, covered = !tableBox.hidden && !tableFirst;
    tabs.forEach((tab, i) => (tab.ariaPressed = i === view && !covered));
    region.hidden = !picture || covered || plain;
    side.hidden = plain;
    rulers.node.hidden = !picture;
    if (bytes) bytes.node.hidden = Boolean(picture) || covered;
    node.classList.toggle("wide", !picture && !covered);
  }
  function showPicture(k) {
    const { picture, byId, about, shift, svg } = drawn, facts = ctx.story.stateAt(k);
    applyChanges(byId, changesAt(ctx.story, picture, k, facts), shift);
    fitTexts(svg);
    about.textContent = altAt(ctx.story, picture, k, facts);
    rulers.show(k, picture);
    if (!region.hasAttribute("tabindex")) return;
    const box = svg.querySelector(".lit")?.getBoundingClientRect(), frame = region.getBoundingClientRect();
    if (box && (box.left < frame.left || box.right > frame.right)) region.scrollLeft += box.left - frame.left - (frame.width - box.width) / 2;
  }
  function measure() {
    if (region.scrollWidth > region.clientWidth + 1) region.tabIndex = 0;
    else region.removeAttribute("tabindex");
  }
  function openTable(open) {
    tableBox.hidden = !open;
    arrange();
    ctx.tableOpened(open);
    if (open && ctx.at() >= 0) table.show(ctx.at());
  }
  return {
    node, tabs, choose, openTable, measure,
    first: () => (choose(views.length ? 0 : -1), views.length || openTable(true)),
    table, toggleTable: () => openTable(tableBox.hidden),
    picture: () => drawn,
    show(k) {
      if (!plain) state.show(k);
      if (!plain && drawn) showPicture(k);
      else if (!plain && bytes && view >= 0) bytes.show(k);
      if (!tableBox.hidden) table.show(k);
    },
    // In the narrowest view the table comes first, and the picture stays below it.
    putTableFirst() {
      tableFirst = true;
      node.prepend(tableBox);
      openTable(true);
    },
    // After an error the table takes the place of everything else.
    giveUp() {
      if (!plain) (plain = true), openTable(true);
    },
  };
}
