// What is true of a story in the browser: decoding, replay, captions, pictures' bindings, gates. Pure: no DOM, no time.
// tests/golden holds every function here to its Python twin in hvlab/story.

export const SCHEMA = 1;
export const NONE = 0xffff;
const KEYFRAME = 256;
const MASK = (1n << 64n) - 1n;
const WIDTHS = { gva: 16, gpa: 8, spa: 8, iova: 8 };
const ARRAYS = { u2: Uint16Array, u4: Uint32Array, i4: Int32Array, f8: Float64Array };
const PLACEHOLDER = /\{([a-z_][a-z0-9_]*)(?::([a-z]+(?::[A-Za-z0-9_]+)?))?\}/g;

export class BadStory extends Error {}

const signed = (value) => BigInt.asIntN(64, value);
const own = (object, key) => (Object.hasOwn(object, key) ? object[key] : undefined);
const need = (holds, sentence) => {
  if (!holds) throw new BadStory(sentence);
};

// ---- values as text -------------------------------------------------------------------------------------------------

function grouped(value, digits) {
  let text = value.toString(16).padStart(digits, "0");
  text = text.padStart(Math.ceil(text.length / 4) * 4, "0");
  return "0x" + text.match(/.{4}/g).join("_");
}

function oneDecimal(x) {
  const quarters = Math.abs(x) * 4;
  if (!Number.isInteger(quarters) || quarters % 2 === 0) return x.toFixed(1);
  const tenths = Math.floor(Math.abs(x) * 10);
  return ((Math.sign(x) * (tenths % 2 ? tenths + 1 : tenths)) / 10).toFixed(1);
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
  need(scene && typeof scene === "object", "This story has no scene.");
  need(scene.schema === SCHEMA, `This story has schema ${scene.schema}; this player reads schema ${SCHEMA}.`);
  need(Number.isInteger(scene.frames) && scene.frames > 0 && scene.frames <= 100000, "This story has no frames.");
}

function columnsOf(scene, raw) {
  const groups = { columns: {}, changes: {}, writes: {} };
  let at = 0;
  for (const [group, name, dtype, count] of scene.bytes.arrays) {
    const make = own(ARRAYS, dtype), size = make ? make.BYTES_PER_ELEMENT * count : -1;
    need(own(groups, group) && make && Number.isInteger(count) && count >= 0, `Unknown column ${group} ${name}.`);
    need(at + size <= raw.length, `The story is cut short: ${raw.length} bytes, and ${group} ${name} ends at ${at + size}.`);
    const start = raw.byteOffset + at, aligned = start % make.BYTES_PER_ELEMENT === 0;
    groups[group][name] = aligned ? new make(raw.buffer, start, count) : new make(raw.slice(at, at + size).buffer);
    at += size;
  }
  need(raw.length === at + scene.bytes.arena, `The story has ${raw.length} bytes; its scene says ${at + scene.bytes.arena}.`);
  return { ...groups, arena: raw.subarray(at) };
}

function checkColumns(scene, { columns, changes, writes, arena }) {
  const n = scene.frames, below = (array, limit, what) => {
    need(array && array.length === n, `Column ${what} does not have one entry a frame.`);
    for (let k = 0; k < n; k++) if (array[k] >= limit && array[k] !== NONE) need(false, `Frame ${k} points at ${what} ${array[k]}.`);
  };
  below(columns.kind, scene.kinds.length, "kind");
  below(columns.phase, scene.phases.length, "phase");
  below(columns.src, scene.places.length, "place");
  below(columns.dst, scene.places.length, "place");
  for (let k = 0; k < n; k++) {
    if (columns.kind[k] === NONE) need(false, `Frame ${k} has no kind.`);
    if (columns.cause[k] < -1 || columns.cause[k] >= k) need(false, `Frame ${k} has a later cause.`);
  }
  for (let i = 0, before = 0; i < changes.frame.length; before = changes.frame[i++]) {
    if (changes.frame[i] >= n || changes.frame[i] < before) need(false, "The changes are out of order.");
    if (changes.row[i] >= scene.facts.length) need(false, `A change points at fact ${changes.row[i]}.`);
  }
  for (let i = 0; i < writes.frame.length; i++) {
    const page = scene.pages[writes.page[i]];
    need(writes.frame[i] < n && (i === 0 || writes.frame[i - 1] <= writes.frame[i]), "The writes are out of order.");
    need(page && writes.offset[i] + writes.length[i] <= page.length, "A write leaves its page.");
    need(writes.at[i] + writes.length[i] <= arena.length, "A write has no bytes.");
  }
}

function firstOf(frames, n) {
  const first = new Uint32Array(n + 1);
  for (const frame of frames) first[frame + 1]++;
  for (let k = 0; k < n; k++) first[k + 1] += first[k];
  return first;
}

// ---- the story ------------------------------------------------------------------------------------------------------

// Frame 0 as a story of its own, from the scene alone: painted before the columns are inflated.
export function openingOf(scene) {
  checkScene(scene);
  const row = scene.opening.row, columns = {};
  for (const name of Object.keys(row)) columns[name] = [row[name]];
  const changes = { frame: [], row: [], lo: [], hi: [] };
  scene.facts.forEach((fact, at) => {
    const value = BigInt("0x" + (own(scene.opening.facts, fact.name) ?? "0"));
    changes.frame.push(0), changes.row.push(at);
    changes.lo.push(Number(value & 0xffffffffn)), changes.hi.push(Number(value >> 32n));
  });
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
  const n = scene.frames, rows = new Map(scene.facts.map((fact, at) => [fact.name, at]));
  const starts = new BigUint64Array(scene.facts.map((fact) => BigInt("0x" + fact.start)));
  const first = firstOf(changes.frame, n), wrote = firstOf(writes.frame, n), keyframes = [], pageKeys = new Map();
  const now = starts.slice();

  // The changes of frames `from` to `to`, written as halves: a state of 64-bit words seen as pairs of 32 bits.
  const apply = (from, to, state) => {
    const halves = new Uint32Array(state.buffer);
    for (let i = first[from]; i < first[to + 1]; i++) {
      halves[2 * changes.row[i]] = changes.lo[i];
      halves[2 * changes.row[i] + 1] = changes.hi[i];
    }
  };
  for (let k = 0; k < n; k += KEYFRAME) {
    keyframes.push(now.slice());
    apply(k, Math.min(k + KEYFRAME, n) - 1, now);
  }

  // All facts after frame k (k = -1: before the first), in the order of scene.facts; always replayed forward.
  function stateAt(k) {
    if (k < 0) return starts.slice();
    const key = Math.floor(k / KEYFRAME), state = keyframes[key].slice();
    apply(key * KEYFRAME, k, state);
    return state;
  }
  function changedAt(k) {
    const old = stateAt(k - 1), state = stateAt(k), changed = new Set();
    for (let i = first[k]; i < first[k + 1]; i++) {
      const row = changes.row[i];
      if (state[row] !== old[row]) changed.add(scene.facts[row].name);
    }
    return changed;
  }
  const valueIn = (state, name) => {
    const row = rows.get(name);
    need(row !== undefined, `This story has no fact ${name}.`);
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
    phase: columns.phase[k] === NONE ? "" : scene.phases[columns.phase[k]],
    where: columns.src[k] === NONE ? "" : scene.places[columns.src[k]].label,
    what: describe(k, state),
    cause: columns.cause[k] < 0 ? "" : String(columns.cause[k]),
  });

  function bytesAt(page, k) {
    const declared = scene.pages[page], data = new Uint8Array(declared.length);
    if (!pageKeys.has(page)) pageKeys.set(page, pageKeyframes(page));
    const { list, keys } = pageKeys.get(page);
    let count = 0;
    for (let low = 0, high = list.length; low < high; ) {
      const middle = (low + high) >> 1;
      if (writes.frame[list[middle]] <= k) low = count = middle + 1;
      else high = middle;
    }
    data.set(keys[Math.floor(count / KEYFRAME)]);
    for (let i = Math.floor(count / KEYFRAME) * KEYFRAME; i < count; i++) put(data, list[i]);
    return data;
  }
  const put = (data, i) => data.set(arena.subarray(writes.at[i], writes.at[i] + writes.length[i]), writes.offset[i]);
  function pageKeyframes(page) {
    const list = [], keys = [], data = new Uint8Array(scene.pages[page].length);
    const start = scene.pages[page].start;
    for (let i = 0; i < start.length / 2; i++) data[i] = parseInt(start.slice(2 * i, 2 * i + 2), 16);
    for (let i = 0; i < writes.frame.length; i++) {
      if (writes.page[i] !== page) continue;
      if (list.length % KEYFRAME === 0) keys.push(data.slice());
      list.push(i);
      put(data, i);
    }
    if (list.length % KEYFRAME === 0) keys.push(data.slice());
    return { list, keys };
  }
  // The frame that last wrote this byte, up to frame k; -1 if it stands since the start.
  function writerOf(page, offset, k) {
    for (let i = wrote[k + 1] - 1; i >= 0; i--) {
      if (writes.page[i] === page && offset >= writes.offset[i] && offset < writes.offset[i] + writes.length[i]) return writes.frame[i];
    }
    return -1;
  }
  return {
    scene, columns, frames: n, timed, stateAt, changedAt, valueIn, describe, row, kindOf, bytesAt, writerOf,
    value: (name, k) => valueIn(stateAt(k), name),
    kindOfFact: (name) => scene.facts[rows.get(name)].kind,
    changesIn: (k) => [first[k], first[k + 1]],
    rowChanged: (k, at) => {
      for (let i = first[k]; i < first[k + 1]; i++) if (changes.row[i] === at) return true;
      return false;
    },
  };
}

// ---- pictures -------------------------------------------------------------------------------------------------------

const holds = (value, wanted) => (wanted ? wanted.some((one) => BigInt(one) === value) : value !== 0n);

// What the bindings of a picture ask for at frame k: [id, "text", text], [id, "class", name, on], [id, "show", on],
// [id, attribute, number]. Each binding answers at each frame.
export function changesAt(story, picture, k, state = story.stateAt(k), changed = story.changedAt(k)) {
  const fact = (name) => story.valueIn(state, name), enums = story.scene.enums, answers = [];
  const lookup = (name) => [fact(name), story.kindOfFact(name)];
  for (const [verb, id, ...rest] of picture.bind) {
    if (verb === "text") answers.push([id, "text", say(rest[1], fact(rest[0]), enums)]);
    else if (verb === "say") answers.push([id, "text", fill(choose(rest[0], fact), lookup, enums)]);
    else if (verb === "show") answers.push([id, "show", holds(fact(rest[0]), rest[1])]);
    else if (verb === "lit") answers.push([id, "class", "lit", holds(fact(rest[0]), rest[1])]);
    else if (verb === "changed") answers.push([id, "class", "changed", changed.has(rest[0])]);
    else if (verb === "attr") answers.push([id, rest[0], Number(fact(rest[1])) * rest[2] + rest[3]]);
    else if (verb === "class") {
      const now = own(rest[1], String(fact(rest[0]))) ?? rest[1]["*"] ?? "";
      for (const name of [...new Set(Object.values(rest[1]))].filter(Boolean).sort()) answers.push([id, "class", name, name === now]);
    }
  }
  return answers;
}

export function rulersAt(story, picture, k, state = story.stateAt(k)) {
  const found = [];
  for (const [verb, id, fact, word] of picture.bind) {
    const name = verb === "ruler" ? choose(word, (one) => story.valueIn(state, one)) : "";
    if (name) found.push([id, fact, name]);
  }
  return found;
}

export function altAt(story, picture, k, state = story.stateAt(k)) {
  const fact = (name) => story.valueIn(state, name);
  return fill(choose(picture.alt, fact), (name) => [fact(name), story.kindOfFact(name)], story.scene.enums);
}

// ---- words and bytes ------------------------------------------------------------------------------------------------

const ADDRESS = new Set(["gva", "gpa", "spa", "iova"]);

// The fields of a word, high bit first, with what no field covers as reserved.
export function fieldsOf(fields, value, old, enums) {
  const rows = [], sorted = [...fields].sort((a, b) => b.lo - a.lo);
  const add = (field, lo, width, reserved) => {
    const mask = (1n << BigInt(width)) - 1n, shift = BigInt(lo);
    const here = (BigInt.asUintN(64, value) >> shift) & mask, before = (BigInt.asUintN(64, old) >> shift) & mask;
    const write = (bits) => meaning(field, bits, shift, width, enums);
    rows.push({
      name: field.name, doc: field.doc ?? "", lo, width, value: here, reserved, changed: here !== before,
      text: write(here), old: write(before), flagged: reserved && here !== 0n,
    });
  };
  let top = 63;
  for (const field of sorted) {
    const high = field.lo + field.width - 1;
    if (high > top || field.lo < 0) throw new BadStory(`Field ${field.name} overlaps another or leaves the word.`);
    if (high < top) add({ name: "reserved" }, high + 1, top - high, true);
    add(field, field.lo, field.width, Boolean(field.reserved));
    top = field.lo - 1;
  }
  if (top >= 0) add({ name: "reserved" }, 0, top + 1, true);
  return rows;
}

function meaning(field, bits, shift, width, enums) {
  const kind = field.enum ? `enum:${field.enum}` : field.kind ?? "";
  if (kind === "page") return `page ${grouped(bits, 1)}`;
  if (ADDRESS.has(kind)) return say(kind, bits << shift, enums);
  if (kind && kind !== "dec") return say(kind, bits, enums);
  return width > 8 ? say("hex", bits, enums) : String(bits);
}

// A field of a structure: its bytes as a number or a text.
export function readField(field, data, enums) {
  const bytes = data.subarray(field.offset, field.offset + field.size);
  const raw = [...bytes].map((byte) => byte.toString(16).padStart(2, "0")).join(" ");
  if (field.kind === "text") return { raw, text: [...bytes].map(letterOf).join("").replace(/\.+$/, "") };
  if (field.kind === "bytes" || field.size > 8) return { raw, text: bytes.some(Boolean) ? `${field.size} bytes` : "all zero" };
  let value = 0n;
  for (let i = bytes.length - 1; i >= 0; i--) value = (value << 8n) | BigInt(bytes[i]);
  return { raw, text: say(field.kind, value, enums), value };
}

export const letterOf = (byte) => (byte > 0x20 && byte < 0x7f ? String.fromCharCode(byte) : byte === 0x20 ? " " : ".");

// ---- gates ----------------------------------------------------------------------------------------------------------

export const CONFIDENCE = ["guess", "think", "sure"];
const WANTED_NUMBER = "wanted a whole number such as 24 or 0x18";
const WANTED_CHOICE = "wanted one of the choices";

function numberIn(text) {
  const word = String(text).trim().toLowerCase().replace(/[_ \u202f]/g, "");
  if (!/^(0x[0-9a-f]{1,20}|[0-9]{1,20})$/.test(word)) return undefined;
  const value = BigInt(word);
  return value >> 64n ? undefined : signed(value);
}

export function parse(gate, text) {
  if (gate.kind === "yes") {
    const word = String(text).trim().toLowerCase();
    return /^(yes|no|1|0)$/.test(word) ? { value: word === "yes" || word === "1" ? 1n : 0n } : { error: "wanted yes or no" };
  }
  const value = numberIn(text);
  if (gate.kind === "pick" || gate.kind === "subset") {
    const choice = gate.choices.find((one) => [String(one.value), one.label].includes(String(text).trim()));
    if (choice) return { value: BigInt(choice.value) };
    const all = gate.choices.reduce((sum, one) => sum + BigInt(one.value), 0n);
    return gate.kind === "subset" && value !== undefined && !(value & ~all) ? { value } : { error: WANTED_CHOICE };
  }
  return value === undefined ? { error: WANTED_NUMBER } : { value };
}

export function answerText(gate, value) {
  if (gate.kind === "yes") return value ? "yes" : "no";
  const chosen = gate.choices.filter((one) => (gate.kind === "pick" ? BigInt(one.value) === value : BigInt(one.value) & value));
  if (gate.kind === "pick") return chosen[0]?.label ?? String(value);
  if (gate.kind === "subset") return chosen.map((one) => one.label).join(", ") || "none of them";
  return say(gate.kind === "int" ? "dec" : gate.kind, value, {});
}

export function judge(gate, value, truth, confidence = "") {
  const model = gate.wrong.find((one) => signed(BigInt(one.value)) === value && value !== truth);
  return {
    right: value === truth,
    said: `You said ${answerText(gate, value)}${confidence ? ", " + confidence : ""}.`,
    truth: gate.tells.split("{value}").join(answerText(gate, truth)),
    model: model ? model.name : "",
    explains: model ? `${model.name}: ${model.says}` : "",
    frame: model?.frame ?? gate.at,
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

export function matches(story, filter, k) {
  const { columns } = story;
  if (filter.kind >= 0 && columns.kind[k] !== filter.kind) return false;
  if (filter.phase >= 0 && columns.phase[k] !== filter.phase) return false;
  if (filter.place >= 0 && columns.src[k] !== filter.place && columns.dst[k] !== filter.place) return false;
  return !filter.text || story.describe(k).toLowerCase().includes(filter.text.toLowerCase());
}

export function framesWhere(story, filter, limit) {
  const found = [];
  for (let k = 0; k <= limit; k++) if (matches(story, filter, k)) found.push(k);
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

export function csvOf(story, frames) {
  const quote = (text) => (/[",\n\r]/.test(text) ? `"${text.replaceAll('"', '""')}"` : text);
  const safe = (text) => quote(/^[=+\-@\t]/.test(text) ? "'" + text : text);
  const lines = frames.map((k) => Object.values(story.row(k)).map(safe).join(","));
  return ["number,time,phase,where,what,because of", ...lines].join("\r\n") + "\r\n";
}
