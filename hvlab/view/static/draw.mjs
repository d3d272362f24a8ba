// Elements from constants only: tag and attribute names never come from a story.
import { need } from "./core.mjs";

const SVG = "http://www.w3.org/2000/svg";
const TAGS = new Set(["g", "rect", "path", "circle", "line", "text", "tspan"]);
const GEOMETRY = new Set("x y width height rx ry cx cy r x1 y1 x2 y2 d dx dy transform".split(" "));
const CLASS = /^[a-z][a-z0-9-]*( [a-z][a-z0-9-]*)*$/;

// el("button.quiet", { onclick: f }, "text", child): handlers are functions, never text.
export function el(what, first = {}, ...rest) {
  const [tag, ...classes] = what.split("."), node = document.createElement(tag), plain = typeof first === "string" || first instanceof Node;
  const [props, children] = plain ? [{}, [first, ...rest]] : [first, rest];
  if (classes.length) node.className = classes.join(" ");
  if (tag === "button") node.type = "button";
  for (const [name, value] of Object.entries(props)) {
    if (typeof value === "function") node.addEventListener(name.slice(2), value);
    else if (value === true) node.setAttribute(name, "");
    else if (value !== false && value !== undefined) node.setAttribute(name, value);
  }
  node.append(...children.filter(Boolean));
  return node;
}

// Which of some classes an element has.
export function classed(node, classes) {
  for (const [name, on] of Object.entries(classes)) node.classList.toggle(name, Boolean(on));
}
export const button = (text, onclick) => el("button", { onclick }, text);
export const choice = (label, onchange, ...options) => el("select", { "aria-label": label, onchange }, ...options);
export const option = (value, text, selected = false) => el("option", { value, selected }, text);
export const optionsOf = (texts, prefix = "") => texts.map((text, at) => text && option(prefix + at, text));
export const head = (...names) => el("thead", el("tr", ...names.map((name) => el("th", { scope: "col" }, name))));

export function svgEl(tag, attributes = {}, ...children) {
  const node = document.createElementNS(SVG, tag);
  for (const [name, value] of Object.entries(attributes)) node.setAttribute(name, value);
  node.append(...children);
  return node;
}

// The static layer of a picture. Gives the svg and its elements by id.
export function drawLayer(picture, prefix) {
  const byId = new Map();
  const make = ([tag, id, classes, attributes, content]) => {
    need(TAGS.has(tag), `${picture.name}: ${tag}`);
    const node = svgEl(tag);
    if (classes && CLASS.test(classes)) node.setAttribute("class", classes);
    for (const [name, value] of Object.entries(attributes)) {
      need(GEOMETRY.has(name), `${picture.name}: ${name}`);
      node.setAttribute(name, value);
    }
    if (id) byId.set(id, node);
    if (Array.isArray(content)) node.append(...content.map(make));
    else if (content) node.textContent = content;
    return node;
  };
  const about = svgEl("desc", { id: `${prefix}-desc` });
  const hatch = svgEl("pattern", { id: `${prefix}-hatch`, width: 6, height: 6, patternUnits: "userSpaceOnUse", patternTransform: "rotate(45)" },
    svgEl("rect", { width: 6, height: 6, class: "hatch-ground" }), svgEl("path", { d: "M0 0V6", class: "hatch-line" }));
  const svg = svgEl("svg", {
    viewBox: `0 0 ${picture.width} ${picture.height}`, role: "img",
    "aria-describedby": `${prefix}-desc`, class: "picture",
    // Heard is the description, not each label.
  }, svgEl("title", {}, picture.title), about, svgEl("defs", {}, hatch), svgEl("g", { class: "layer", "aria-hidden": "true" }, ...picture.layer.map(make)));
  svg.style.setProperty("--w", picture.width);
  svg.style.setProperty("--hatch", `url(#${prefix}-hatch)`);
  return { svg, about, byId };
}

const put = (node, name, value) => node.getAttribute(name) === value || node.setAttribute(name, value);

// Put the answers of changesAt into the drawing.
export function applyChanges(byId, answers, shift = new Map()) {
  for (const [id, what, ...rest] of answers) {
    const node = byId.get(id);
    if (!node) continue;
    if (what === "text") {
      if (node.textContent !== rest[0]) node.textContent = rest[0];
    } else if (what === "class") node.classList.toggle(rest[0], rest[1]);
    else if (what === "show") node.classList.toggle("off", !rest[0]);
    else if (what === "move-x" || what === "move-y") {
      const at = shift.get(id) ?? [0, 0];
      at[what === "move-x" ? 0 : 1] = rest[0];
      shift.set(id, at);
      put(node, "transform", `translate(${at[0]} ${at[1]})`);
    } else if (GEOMETRY.has(what)) put(node, what, String(what === "width" || what === "height" ? Math.max(rest[0], 0) : rest[0]));
  }
}

// A text that is longer than the room that its picture gives it (in another language) is drawn narrower.
export function fitTexts(svg) {
  for (const node of svg.querySelectorAll("text[width]")) {
    const room = Number(node.getAttribute("width"));
    node.removeAttribute("textLength");
    if (node.getComputedTextLength() <= room) continue;
    node.setAttribute("textLength", room);
    node.setAttribute("lengthAdjust", "spacingAndGlyphs");
  }
}

// Tokens say their kind by shape and letter; colour only repeats it.
const SHAPES = {
  H: "M9 1A8 8 0 1 1 8.99 1Z", X: "M1 2H12L17 9L12 16H1L6 9Z", I: "M2 2H16V16H2Z", F: "M9 1L17 16H1Z", M: "M1 3H17V15H1ZM1 3L9 9L17 3",
  V: "M9 0L18 9L9 18L0 9Z", R: "M5 1H13L17.5 9L13 17H5L.5 9Z", A: "M9 2A7 7 0 1 1 8.99 2Z", D: "M5 3H18L13 15H0Z",
  W: "M5 3H13A6 6 0 0 1 13 15H5A6 6 0 0 1 5 3Z", "!": "M6 1H12L17 6V12L12 17H6L1 12V6Z",
};

export function glyph(kind) {
  const letter = svgEl("text", { x: 9, y: kind.letter === "F" ? 14.5 : 13, class: "letter" }, kind.letter === "!" ? "✕" : kind.letter);
  const shape = SHAPES[kind.letter] ?? SHAPES.A;
  return svgEl("svg", { viewBox: "-1 -1 20 20", class: `glyph ${CLASS.test(kind.tone) ? kind.tone : "manage"}`, "aria-hidden": "true" },
    svgEl("path", { d: shape }), letter);
}

const ICONS = {
  first: "M4 3V13M13 3L6 8L13 13Z", back: "M12 3L5 8L12 13Z", play: "M4 2L13 8L4 14Z", pause: "M4 3H7V13H4ZM9 3H12V13H9Z",
  next: "M4 3L11 8L4 13Z", last: "M12 3V13M3 3L10 8L3 13Z", table: "M2 3H14V13H2ZM2 6.5H14M2 10H14M6 3V13",
  full: "M2 6V2H6M10 2H14V6M14 10V14H10M6 14H2V10", more: "M3 4H13M3 8H13M3 12H13", lock: "M4 7H12V14H4ZM5.5 7V5A2.5 2.5 0 0 1 10.5 5V7",
};

export function icon(name) {
  return svgEl("svg", { viewBox: "0 0 16 16", class: "icon", "aria-hidden": "true" }, svgEl("path", { d: ICONS[name] }));
}

// The ground decides, not the name of a theme.
export function groundIsDark(root) {
  for (let node = root.parentElement; node; node = node.parentElement) {
    const found = getComputedStyle(node).backgroundColor.match(/[\d.]+/g)?.map(Number);
    if (found && !(found[3] <= 0.9)) return 0.2126 * found[0] + 0.7152 * found[1] + 0.0722 * found[2] < 110;
  }
  return matchMedia("(prefers-color-scheme: dark)").matches;
}

// One frame of a picture as a file of its own: the colours that are seen, written into each element.
export function svgFile(svg) {
  const copy = svg.cloneNode(true), seen = svg.querySelectorAll("*"), written = copy.querySelectorAll("*");
  const keep = ["fill", "stroke", "stroke-width", "stroke-dasharray", "font-size", "font-weight", "font-family", "text-anchor", "display", "opacity"];
  seen.forEach((node, at) => {
    const style = getComputedStyle(node);
    for (const name of keep) written[at].setAttribute(name, style.getPropertyValue(name));
  });
  copy.setAttribute("width", svg.viewBox.baseVal.width);
  copy.setAttribute("height", svg.viewBox.baseVal.height);
  copy.removeAttribute("style");
  return new XMLSerializer().serializeToString(copy);
}

export function save(name, type, text) {
  const url = URL.createObjectURL(new Blob([text], { type })), link = el("a", { download: name });
  link.href = url;
  link.click();
  setTimeout(() => URL.revokeObjectURL(url), 1000);
}
