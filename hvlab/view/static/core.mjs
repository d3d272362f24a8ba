// What is true of a story in the browser: decoding, replay, captions, pictures' bindings, gates. Pure: no DOM, no time.
// tests/golden holds every function here to its Python twin in hvlab/story.

export const SCHEMA = 1;
export const NONE = 0xffff;
const KEYFRAME = 256;
const MASK = (1n << 64n) - 1n;
const WIDTHS = { gva: 16, gpa: 8, spa: 8, iova: 8 };
const ARRAYS = { u2: Uint16Array, u4: Uint32Array, i4: Int32Array, f8: Float64Array };
const PLACEHOLDER = /\{([a-z_][a-z0-9_]*)(?::([a-z]+(?::[A-Za-z0-9_]+)?))?\}/g;

const signed = (value) => BigInt.asIntN(64, value);
const own = (object, key) => (Object.hasOwn(object, key) ? object[key] : undefined);
const withValues = (text, values) => text.replace(/\{(\w+)\}/g, (whole, name) => own(values, name) ?? whole);

// The browser's own words: as they stand in these modules, or what a story in another language brings for them.
export const wordsOf = (scene) => (text, values = {}) => withValues(own(scene?.texts ?? {}, text) ?? text, values);
const english = wordsOf({});

export class BadStory extends Error {
  constructor(text, values = {}) {
    super(withValues(text, values));
    Object.assign(this, { text, values });
  }
}
export const need = (holds, what) => {
  if (!holds) throw new BadStory("This story does not hold together: {what}.", { what });
};

// ---- values as text -------------------------------------------------------------------------------------------------

function grouped(value, digits) {
  const text = value.toString(16), length = Math.ceil(Math.max(text.length, digits) / 4) * 4;
  return "0x" + text.padStart(length, "0").match(/.{4}/g).join("_");
}

// Rounded as Python does it: a tie goes to the even digit.
function oneDecimal(x) {
  const tenths = Math.floor(Math.abs(x) * 10), tie = Math.abs(x * 4) % 2 === 1;
  return (tie ? (Math.sign(x) * (tenths + (tenths % 2))) / 10 : x).toFixed(1);
}

export function say(kind, value, enums) {
  value = signed(BigInt(value));
  const [family, name] = kind.split(":");
  if (own(WIDTHS, kind)) return grouped(value & MASK, WIDTHS[kind]);
  if (kind === "hex" || family === "word") {
    const bits = value & MASK;
    return bits < 65536n ? "0x" + bits.toString(16) : grouped(bits, 1);
  }
  if (kind === "time") {
    const ns = Number(value);
    return Math.abs(ns) < 10000 ? `${ns} ns` : `${oneDecimal(ns / 1000)} µs`;
  }
  if (family === "enum") {
    const text = own(own(enums, name) ?? {}, String(value));
    return text ?? (value < 0n ? "-0x" + (-value).toString(16) : "0x" + value.toString(16));
  }
  return String(value);
}

export function fill(template, lookup, enums) {
  return template.replace(PLACEHOLDER, (whole, name, kind) => {
    const found = lookup(name);
    return found ? say(kind ?? found[1], found[0], enums) : whole;
  });
}

export function choose(text, valueOf) {
  if (typeof text === "string") return text;
  return own(text.cases, String(valueOf(text.fact))) ?? text.else ?? "";
}

// ---- bytes into columns ---------------------------------------------------------------------------------------------

export async function inflate(scene, bytes) {
  if (!scene.bytes.packed) return bytes;
  const stream = new Blob([bytes]).stream().pipeThrough(new DecompressionStream("deflate"));
  return new Uint8Array(await new Response(stream).arrayBuffer());
}

export function checkScene(scene) {
  need(scene && typeof scene === "object", "scene");
  const text = "This story has schema {its}; this player reads schema {ours}.";
  if (scene.schema !== SCHEMA) throw new BadStory(text, { its: scene.schema, ours: SCHEMA });
  need(Number.isInteger(scene.frames) && scene.frames > 0 && scene.frames <= 100000, "frames");
}

function columnsOf(scene, raw) {
  const groups = { columns: {}, changes: {}, writes: {} };
  let at = 0;
  for (const [group, name, dtype, count] of scene.bytes.arrays) {
    const make = own(ARRAYS, dtype), size = make ? make.BYTES_PER_ELEMENT * count : -1;
    need(own(groups, group) && make && Number.isInteger(count) && count >= 0 && at + size <= raw.length, `${group} ${name}`);
    groups[group][name] = new make(raw.slice(at, at + size).buffer);
    at += size;
  }
  need(raw.length === at + scene.bytes.arena, `${raw.length} / ${at + scene.bytes.arena} bytes`);
  return { ...groups, arena: raw.subarray(at) };
}

function checkColumns(scene, { columns, changes, writes, arena }) {
  const n = scene.frames, { kinds, phases, places, facts, pages } = scene;
  const all = (column, test, what) => {
    const at = column.findIndex((value, i) => !test(value, i));
    need(at < 0, `${what}[${at}] = ${column[at]}`);
  };
  for (const [name, list] of Object.entries({ kind: kinds, phase: phases, src: places, dst: places })) {
    need(columns[name]?.length === n, name);
    all(columns[name], (value) => value < list.length || (value === NONE && list !== kinds), name);
  }
  all(columns.cause, (cause, k) => cause >= -1 && cause < k, "cause");
  for (const { frame } of [changes, writes]) all(frame, (k, i) => k < n && (i === 0 || frame[i - 1] <= k), "frame");
  all(changes.row, (row) => row < facts.length, "row");
  all(writes.page, (page, i) => writes.offset[i] + writes.length[i] <= pages[page]?.length, "page");
  all(writes.at, (at, i) => at + writes.length[i] <= arena.length, "at");
}

function firstOf(frames, n) {
  const first = new Uint32Array(n + 1);
  for (const frame of frames) first[frame + 1]++;
  for (let k = 0; k < n; k++) first[k + 1] += first[k];
  return first;
}

// Replay, never inversion: the state after so many steps is the nearest keyframe before, brought forward.
function keyframed(state, count, step) {
  const keys = [];
  for (let i = 0; i <= count; i++) {
    if (i % KEYFRAME === 0) keys.push(state.slice());
    if (i < count) step(state, i);
  }
  return (after) => {
    const key = Math.floor(after / KEYFRAME), found = keys[key].slice();
    for (let i = key * KEYFRAME; i < after; i++) step(found, i);
    return found;
  };
}

// ---- the story ------------------------------------------------------------------------------------------------------

// Frame 0 as a story of its own, from the scene alone: painted before the columns are inflated.
export function openingOf(scene) {
  const columns = Object.fromEntries(Object.entries(scene.opening.row).map(([name, value]) => [name, [value]]));
  const values = scene.facts.map((fact) => BigInt("0x" + (own(scene.opening.facts, fact.name) ?? "0")));
  const halves = (shift) => values.map((value) => Number((value >> shift) & 0xffffffffn));
  const changes = { frame: values.map(() => 0), row: [...values.keys()], lo: halves(0n), hi: halves(32n) };
  const writes = { frame: [], page: [], offset: [], length: [], at: [] };
  return storyOf({ ...scene, frames: 1 }, { columns, changes, writes, arena: new Uint8Array(0) });
}

export function makeStory(scene, raw) {
  checkScene(scene);
  const groups = columnsOf(scene, raw);
  checkColumns(scene, groups);
  return storyOf(scene, groups);
}

function storyOf(scene, { columns, changes, writes, arena }) {
  const n = scene.frames, rows = new Map(scene.facts.map((fact, at) => [fact.name, at])), pages = new Map();
  const starts = new BigUint64Array(scene.facts.map((fact) => BigInt("0x" + fact.start)));
  const first = firstOf(changes.frame, n), wrote = firstOf(writes.frame, n);
  const touched = (k) => changes.row.slice(first[k], first[k + 1]);

  // A state of 64-bit words, replayed as pairs of 32 bits.
  const replayed = keyframed(new Uint32Array(starts.slice().buffer), n, (halves, k) => {
    for (let i = first[k]; i < first[k + 1]; i++) {
      halves[2 * changes.row[i]] = changes.lo[i];
      halves[2 * changes.row[i] + 1] = changes.hi[i];
    }
  });
  // All facts after frame k (k = -1: before the first), in the order of scene.facts.
  const stateAt = (k) => new BigUint64Array(replayed(k + 1).buffer);
  function changedAt(k) {
    const old = stateAt(k - 1), state = stateAt(k);
    return new Set([...touched(k)].filter((row) => state[row] !== old[row]).map((row) => scene.facts[row].name));
  }
  const valueIn = (state, name) => {
    const row = rows.get(name);
    need(row !== undefined, name);
    return signed(state[row]);
  };
  const word = (k, at) => (BigInt(columns[`w${at}hi`][k]) << 32n) | BigInt(columns[`w${at}lo`][k]);
  const kindOf = (k) => scene.kinds[columns.kind[k]];

  function describe(k, state) {
    const kind = kindOf(k);
    return fill(kind.says, (name) => {
      const at = kind.fields.indexOf(name);
      if (at >= 0) return [word(k, at), kind.kinds[at]];
      if (name === "actor") return [columns.actor[k], "dec"];
      return rows.has(name) ? [valueIn((state ??= stateAt(k)), name), scene.facts[rows.get(name)].kind] : undefined;
    }, scene.enums);
  }
  const timed = columns.time.some((time) => time !== 0);
  const row = (k, state) => ({
    number: String(k),
    time: timed ? say("time", BigInt(Math.trunc(columns.time[k])), scene.enums) : "",
    phase: scene.phases[columns.phase[k]] ?? "",
    where: scene.places[columns.src[k]]?.label ?? "",
    what: describe(k, state),
    cause: columns.cause[k] < 0 ? "" : String(columns.cause[k]),
  });

  function pageOf(page) {
    const { length, start } = scene.pages[page], data = new Uint8Array(length);
    for (let i = 0; i < start.length / 2; i++) data[i] = parseInt(start.slice(2 * i, 2 * i + 2), 16);
    const list = [...writes.page.keys()].filter((i) => writes.page[i] === page);
    const put = (bytes, at) => {
      const i = list[at], from = writes.at[i];
      bytes.set(arena.subarray(from, from + writes.length[i]), writes.offset[i]);
    };
    return { list, after: keyframed(data, list.length, put) };
  }
  function bytesAt(page, k) {
    if (!pages.has(page)) pages.set(page, pageOf(page));
    const { list, after } = pages.get(page), later = list.findIndex((i) => i >= wrote[k + 1]);
    return after(later < 0 ? list.length : later);
  }
  // The frame that last wrote into a field of a page, up to frame k; -1 if it stands since the start.
  function writerOf(page, { offset, size }, k) {
    for (let i = wrote[k + 1] - 1; i >= 0; i--) {
      if (writes.page[i] === page && offset + size > writes.offset[i] && offset < writes.offset[i] + writes.length[i]) return writes.frame[i];
    }
    return -1;
  }
  return {
    scene, columns, frames: n, timed, stateAt, changedAt, valueIn, describe, row, kindOf, bytesAt, writerOf,
    value: (name, k) => valueIn(stateAt(k), name),
    kindOfFact: (name) => scene.facts[rows.get(name)].kind,
    rowChanged: (k, at) => touched(k).includes(at),
    // The frames up to a limit after which a fact is not 0.
    framesWith(name, limit) {
      const found = [], row = rows.get(name);
      let value = starts[row];
      for (let k = 0; k <= limit; k++) {
        if (touched(k).includes(row)) value = stateAt(k)[row];
        if (value) found.push(k);
      }
      return found;
    },
  };
}

// ---- pictures -------------------------------------------------------------------------------------------------------

const holds = (value, wanted) => (wanted ? wanted.some((one) => BigInt(one) === value) : value !== 0n);

// What the bindings of a picture ask for at frame k: [id, "text", text], [id, "class", name, on], [id, "show", on],
// [id, attribute, number]. Each binding answers at each frame.
export function changesAt(story, picture, k, state = story.stateAt(k), changed = story.changedAt(k)) {
  const fact = (name) => story.valueIn(state, name), answers = [];
  const verbs = {
    text: (id, name, kind) => [id, "text", say(kind, fact(name), story.scene.enums)],
    say: (id, text) => [id, "text", sayAt(story, text, state)],
    show: (id, name, values) => [id, "show", holds(fact(name), values)],
    lit: (id, name, values) => [id, "class", "lit", holds(fact(name), values)],
    changed: (id, name) => [id, "class", "changed", changed.has(name)],
    attr: (id, attribute, name, scale, offset) => [id, attribute, Number(fact(name)) * scale + offset],
  };
  for (const [verb, id, ...rest] of picture.bind) {
    if (own(verbs, verb)) answers.push(verbs[verb](id, ...rest));
    if (verb !== "class") continue;
    const [name, classes] = rest, now = own(classes, String(fact(name))) ?? classes["*"] ?? "";
    for (const one of [...new Set(Object.values(classes))].filter(Boolean).sort()) answers.push([id, "class", one, one === now]);
  }
  return answers;
}

export function rulersAt(story, picture, k, state = story.stateAt(k)) {
  const rulers = picture.bind.filter(([verb]) => verb === "ruler");
  return rulers.map(([, id, fact, word]) => [id, fact, choose(word, (one) => story.valueIn(state, one))]).filter(([, , name]) => name);
}

// A text over facts, as it stands after some state.
function sayAt(story, text, state) {
  const fact = (name) => story.valueIn(state, name);
  return fill(choose(text, fact), (name) => [fact(name), story.kindOfFact(name)], story.scene.enums);
}
export const altAt = (story, picture, k, state = story.stateAt(k)) => sayAt(story, picture.alt, state);

// ---- words and bytes ------------------------------------------------------------------------------------------------

// The fields of a word, high bit first, with what no field covers as reserved.
export function fieldsOf(fields, value, old, enums, t = english) {
  const rows = [], sorted = [...fields].sort((a, b) => b.lo - a.lo);
  const add = (field, lo, width, reserved) => {
    const cut = (word) => BigInt.asUintN(width, (word & MASK) >> BigInt(lo)), here = cut(value), before = cut(old);
    const write = (bits) => meaning(field, bits, BigInt(lo), width, enums, t);
    rows.push({
      name: field.name, doc: field.doc ?? "", lo, width, value: here, reserved, changed: here !== before,
      text: write(here), old: write(before), flagged: reserved && here !== 0n,
    });
  };
  let top = 64;
  const reserve = (from) => from < top && add({ name: t("reserved") }, from, top - from, true);
  for (const field of sorted) {
    need(field.lo + field.width <= top && field.lo >= 0, field.name);
    reserve(field.lo + field.width);
    add(field, field.lo, field.width, Boolean(field.reserved));
    top = field.lo;
  }
  reserve(0);
  return rows;
}

function meaning(field, bits, shift, width, enums, t) {
  const kind = field.enum ? `enum:${field.enum}` : field.kind ?? "";
  if (kind === "page") return t("page {number}", { number: grouped(bits, 1) });
  if (own(WIDTHS, kind)) return say(kind, bits << shift, enums);
  if (kind && kind !== "dec") return say(kind, bits, enums);
  return width > 8 ? say("hex", bits, enums) : String(bits);
}

// A field of a structure: its bytes as a number or a text.
export function readField(field, data, enums, t = english) {
  const bytes = data.subarray(field.offset, field.offset + field.size);
  const raw = [...bytes].map((byte) => byte.toString(16).padStart(2, "0")).join(" ");
  if (field.kind === "text") return { raw, text: [...bytes].map(letterOf).join("").replace(/\.+$/, "") };
  if (field.kind === "bytes" || field.size > 8) return { raw, text: bytes.some(Boolean) ? t("{count} bytes", { count: field.size }) : t("all zero") };
  return { raw, text: say(field.kind, BigInt("0x" + raw.split(" ").reverse().join("")), enums) };
}

export const letterOf = (byte) => (byte >= 0x20 && byte < 0x7f ? String.fromCharCode(byte) : ".");

// ---- gates ----------------------------------------------------------------------------------------------------------

export const CONFIDENCE = ["guess", "think", "sure"];

// A number as it was typed, decimal or hex with groups; undefined if it is none, or has more than 64 bits.
export function numberIn(text) {
  const word = text.trim().toLowerCase().replace(/[_ \u202f]/g, "");
  if (!/^(0x[0-9a-f]{1,20}|[0-9]{1,20})$/.test(word)) return undefined;
  const value = BigInt(word);
  return value >> 64n ? undefined : signed(value);
}

// An order is one number: a hexadecimal digit for each name.
const digitsOf = (value) => [...BigInt.asUintN(64, value).toString(16)].map((digit) => parseInt(digit, 16));
export const orderOf = (values) => BigInt("0x" + values.map((value) => Number(value).toString(16)).join(""));

export function answerText(gate, value, t = english) {
  const labelIn = (list, one) => list.find(({ value: its }) => BigInt(its) === BigInt(one))?.label ?? String(one);
  const answer = (gate.reasons ? value & 1n : value) ? t("yes") : t("no");
  if (gate.reasons) return t("{answer}, because {reason}", { answer, reason: labelIn(gate.reasons, value >> 1n) });
  if (gate.kind === "yes") return answer;
  if (gate.kind === "pick") return labelIn(gate.choices, value);
  if (gate.kind === "order") return digitsOf(value).map((digit) => labelIn(gate.choices, digit)).join(" → ");
  if (gate.kind !== "subset") return say(gate.kind === "int" ? "dec" : gate.kind, value, {});
  return gate.choices.filter((one) => BigInt(one.value) & value).map((one) => one.label).join(", ") || t("none of them");
}

export function truthOf(gate, valueOf) {
  const truth = valueOf(gate.fact);
  return gate.reasons ? BigInt(truth !== 0n) + 2n * valueOf(gate.because) : truth;
}

export function judge(gate, value, truth, confidence = "", t = english) {
  const right = value === truth, yes = (one) => BigInt(one) & 1n, why = (one) => one >> 1n;
  const gives = (one) => (gate.reasons
    ? yes(one.value) === yes(value) && BigInt(one.reason ?? why(value)) === why(value)
    : signed(BigInt(one.value)) === value);
  const given = right ? [] : gate.wrong.filter(gives), model = given.find((one) => one.reason !== undefined) ?? given[0];
  const half = !gate.reasons || right ? ""
    : yes(value) === yes(truth) ? t("The answer is right; the reason is another one.")
      : why(value) === why(truth) ? t("The reason is right; the answer is not.") : "";
  const answer = answerText(gate, value, t);
  return {
    right, model: model?.name ?? "", explains: model ? `${model.name}: ${model.says}` : half, frame: model?.frame ?? gate.at,
    said: confidence ? t("You said {answer}, {confidence}.", { answer, confidence: t(confidence) }) : t("You said {answer}.", { answer }),
    truth: gate.tells.split("{value}").join(answerText(gate, truth, t)),
  };
}

// The first gate without an answer closes all frames after its own.
export const openGate = (scene, answers) => scene.gates.find((gate) => !own(answers, gate.id));
export const lastOpen = (scene, answers) => Math.min(scene.frames - 1, openGate(scene, answers)?.frame ?? Infinity);

// ---- finding frames -------------------------------------------------------------------------------------------------

export function nextWhere(story, k, step, limit, test) {
  for (let at = k + step; at >= 0 && at <= limit; at += step) if (test(at)) return at;
  return -1;
}

// The frames up to a limit that pass a filter: numbers of kind, phase and place (-1 for any), and a text in the caption.
export function framesWhere(story, filter, limit) {
  const { kind, phase, src, dst } = story.columns, text = filter.text.toLowerCase(), found = [];
  for (let k = 0; k <= limit; k++) {
    const fits = (filter.kind < 0 || kind[k] === filter.kind) && (filter.phase < 0 || phase[k] === filter.phase);
    const here = filter.place < 0 || src[k] === filter.place || dst[k] === filter.place;
    if (fits && here && (!text || story.describe(k).toLowerCase().includes(text))) found.push(k);
  }
  return found;
}

const COMPARE = { "=": (a, b) => a === b, "≠": (a, b) => a !== b, "<": (a, b) => a < b, ">": (a, b) => a > b };

// A stop is {what: "kind" | "place" | "fact", at, op, value}; a comparison stops where it becomes true.
export function stopsAt(story, stop, k) {
  if (stop.what === "kind") return story.columns.kind[k] === stop.at;
  if (stop.what === "place") return story.columns.src[k] === stop.at || story.columns.dst[k] === stop.at;
  if (!story.rowChanged(k, stop.at)) return false;
  if (stop.op === "changes") return true;
  const test = (state) => COMPARE[stop.op](signed(state[stop.at]), stop.value);
  return test(story.stateAt(k)) && !test(story.stateAt(k - 1));
}

export function csvOf(story, frames, heads) {
  const quote = (text) => (/[",\n\r]/.test(text) ? `"${text.replaceAll('"', '""')}"` : text);
  const safe = (text) => quote(/^[=+\-@\t]/.test(text) ? "'" + text : text);
  const lines = frames.map((k) => Object.values(story.row(k)).map(safe).join(","));
  return [heads.join(","), ...lines].join("\r\n") + "\r\n";
}
