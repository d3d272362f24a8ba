// The browser's code against what Python wrote, and against itself.
import assert from "node:assert/strict";
import { readFileSync } from "node:fs";
import { test } from "node:test";
import { deflateSync } from "node:zlib";
import * as core from "../../hvlab/view/static/core.mjs";

const file = (name) => readFileSync(new URL(`../golden/${name}`, import.meta.url));
const golden = JSON.parse(file("story.json")), raw = new Uint8Array(file("story.bin")), scene = golden.scene;
const story = core.makeStory(scene, raw);
const plain = (value) => JSON.parse(JSON.stringify(value));

test("every value is written as Python writes it", () => {
  for (const [kind, value, text] of golden.said) assert.equal(core.say(kind, BigInt(value), scene.enums), text, `${kind} ${value}`);
});

test("facts, captions, rows, pictures and bytes at each golden frame are Python's", () => {
  for (const frame of golden.frames) {
    const { k } = frame, state = story.stateAt(k);
    const facts = Object.fromEntries(scene.facts.map((fact) => [fact.name, String(story.valueIn(state, fact.name))]));
    assert.deepEqual(facts, frame.facts);
    assert.deepEqual([...story.changedAt(k)].sort(), frame.changed);
    assert.deepEqual(story.row(k), frame.row);
    scene.pictures.forEach((picture, at) => {
      assert.deepEqual(plain(core.changesAt(story, picture, k)), frame.pictures[at].changes, `frame ${k}`);
      assert.equal(core.altAt(story, picture, k), frame.pictures[at].alt);
      assert.deepEqual(core.rulersAt(story, picture, k), frame.pictures[at].rulers);
    });
    frame.bytes.forEach((hex, page) => assert.equal(Buffer.from(story.bytesAt(page, k)).toString("hex"), hex));
  }
});

// Names and reasons are chosen, never typed: of an answer in words only the judgement has a twin.
function sameAnswer(gate, typed, told, truth) {
  if (["int", "spa"].includes(gate.kind)) assert.equal(core.numberIn(typed)?.toString(), told.value, `${gate.id} ${typed}`);
  if (told.error) return;
  const value = BigInt(told.value);
  assert.equal(core.answerText(gate, value), told.says);
  assert.deepEqual(core.judge(gate, value, truth, "think"), told.outcome);
}

test("every answer is read and judged as Python does", () => {
  for (const [id, typed, told] of golden.answers) {
    const gate = scene.gates.find((one) => one.id === id);
    sameAnswer(gate, typed, told, core.truthOf(gate, (fact) => story.value(fact, gate.at)));
  }
});

test("an order is a digit for each name, and judged as Python does", () => {
  const { gate, truth, answers } = golden.order;
  assert.equal(core.orderOf(["3", "1", "2"]), BigInt(truth));
  assert.equal(core.orderOf(["10", "1"]), 0xa1n);
  for (const [typed, told] of answers) sameAnswer(gate, typed, told, BigInt(truth));
});

test("a story in another language brings the browser's own words", () => {
  const t = core.wordsOf({ texts: { "You said {answer}.": "Gesagt: {answer}.", yes: "ja" } });
  const gate = { kind: "yes", choices: [], wrong: [], tells: "Es gilt: {value}.", at: 0 };
  assert.equal(core.judge(gate, 1n, 0n, "", t).said, "Gesagt: ja.");
  assert.equal(core.judge(gate, 1n, 0n, "", t).truth, "Es gilt: no.");
  assert.equal(t("{count} bytes", { count: 3 }), "3 bytes");
  assert.equal(core.wordsOf(undefined)("constructor"), "constructor");
});

test("the frames with a fact are those after which it is not 0", () => {
  const frames = story.framesWith("on2", scene.frames - 1), test = (k) => story.value("on2", k) !== 0n;
  assert.deepEqual(frames, [...Array(scene.frames).keys()].filter(test));
  assert.deepEqual(story.framesWith("on2", frames[1]), frames.slice(0, 2));
});

test("a seek is the same whatever came before it", () => {
  const fresh = core.makeStory(scene, raw);
  for (let i = 0; i < 100; i++) {
    const k = (i * 7919) % scene.frames;
    story.stateAt((i * 104729) % scene.frames);
    assert.deepEqual(story.stateAt(k), fresh.stateAt(k));
  }
});

test("the opening tells frame 0 without the columns", () => {
  const opening = core.openingOf(scene);
  assert.deepEqual(opening.stateAt(0), story.stateAt(0));
  assert.equal(opening.describe(0), story.describe(0));
});

test("packed bytes are inflated", async () => {
  const packed = new Uint8Array(deflateSync(raw));
  assert.deepEqual(await core.inflate({ bytes: { packed: true } }, packed), raw);
  assert.equal(await core.inflate({ bytes: { packed: false } }, raw), raw);
});

test("what does not hold together is refused with one sentence", () => {
  const broken = (change) => {
    const copy = structuredClone(scene);
    change(copy);
    return copy;
  };
  const poke = (group, name, at, value) => {
    const bytes = raw.slice(), sizes = { u2: 2, u4: 4, i4: 4, f8: 8 };
    let offset = 0;
    for (const [g, n, dtype, count] of scene.bytes.arrays) {
      if (g === group && n === name) new DataView(bytes.buffer)[sizes[dtype] === 2 ? "setUint16" : "setUint32"](offset + at * sizes[dtype], value, true);
      offset += sizes[dtype] * count;
    }
    return bytes;
  };
  const cases = [
    [scene, raw.slice(0, -1), /together: \d+ \/ \d+/], [scene, raw.slice(0, 100), /columns kind/], [scene, new Uint8Array([...raw, 0]), /\d+ \/ \d+/],
    [broken((s) => (s.schema = 2)), raw, /schema 2; this player reads schema 1/], [broken((s) => (s.frames = 0)), raw, /together: frames/],
    [broken((s) => (s.bytes.arrays[0][2] = "f4")), raw, /columns kind/], [broken((s) => (s.bytes.arrays[0][3] = 3)), raw, /./],
    [scene, poke("columns", "kind", 3, 500), /kind\[3\] = 500/], [scene, poke("columns", "src", 3, 500), /src\[3\] = 500/], [scene, poke("columns", "kind", 0, 0xffff), /kind\[0\]/],
    [scene, poke("columns", "cause", 5, 6), /cause\[5\] = 6/], [scene, poke("changes", "row", 5, 999), /row\[5\] = 999/], [scene, poke("changes", "frame", 0, 900), /frame\[0\] = 900/],
    [scene, poke("writes", "page", 0, 9), /page\[0\]/], [scene, poke("writes", "offset", 0, 9999), /page\[0\]/], [scene, poke("writes", "at", 0, 99999), /at\[0\]/],
  ];
  for (const [one, bytes, sentence] of cases) assert.throws(() => core.makeStory(one, bytes), (error) => error instanceof core.BadStory && sentence.test(error.message), String(sentence));
});

test("a name such as __proto__ is a name and nothing else", () => {
  assert.equal(core.say("enum:__proto__", 1n, scene.enums), "0x1");
  assert.equal(core.say("constructor", 7n, scene.enums), "7");
  assert.equal(core.openGate({ gates: [{ id: "constructor" }] }, {}).id, "constructor");
});

test("a word is all its bits, high first, with what nobody declared as reserved", () => {
  const rows = core.fieldsOf(scene.words.Register, (1n << 63n) | (1n << 60n) | (0x1dc4n << 12n) | 2n, 1n, scene.enums);
  assert.equal(rows.reduce((sum, row) => sum + row.width, 0), 64);
  assert.deepEqual(rows.map((row) => row.name), ["overflow", "reserved", "page", "reserved", "high", "middle", "low"]);
  assert.deepEqual(rows.map((row) => row.flagged), [false, true, false, false, false, false, false]);
  assert.deepEqual([rows[2].text, rows[6].old, rows[6].text, rows[6].changed], ["page 0x1dc4", "1", "2", true]);
  assert.throws(() => core.fieldsOf([{ name: "a", lo: 0, width: 2 }, { name: "b", lo: 1, width: 2 }], 0n, 0n, {}), core.BadStory);
});

test("a field of bytes reads as its kind says, and knows its last writer", () => {
  const data = story.bytesAt(0, 40), [low] = scene.pages[0].fields, note = scene.pages[0].fields[3];
  assert.equal(core.readField(low, data, scene.enums).text, String(story.value("digit0", 40)));
  assert.match(core.readField(note, data, scene.enums).text, /^tick/);
  const last = story.writerOf(0, { offset: 16, size: 1 }, 40);
  assert.notDeepEqual(story.bytesAt(0, last), story.bytesAt(0, last - 1));
  assert.deepEqual(story.bytesAt(0, 40).slice(16, 32), story.bytesAt(0, last).slice(16, 32));
  assert.equal(story.writerOf(0, { offset: 63, size: 1 }, 40), -1);
});

test("an open gate closes every later frame", () => {
  assert.equal(core.lastOpen(scene, {}), scene.gates[0].frame);
  const all = Object.fromEntries(scene.gates.map((gate) => [gate.id, { value: "1" }]));
  assert.equal(core.lastOpen(scene, all), scene.frames - 1);
});

test("stops are met where they say", () => {
  const at = (stop) => core.nextWhere(story, 0, 1, scene.frames - 1, (k) => core.stopsAt(story, stop, k));
  const row = scene.facts.findIndex((fact) => fact.name === "count"), cleared = scene.kinds.findIndex((kind) => kind.name === "digit_cleared");
  assert.equal(story.kindOf(at({ what: "kind", at: cleared })).name, "digit_cleared");
  assert.equal(story.value("count", at({ what: "fact", at: row, op: "=", value: 7n })), 7n);
  assert.equal(story.value("count", at({ what: "fact", at: row, op: ">", value: 9n })), 10n);
  assert.equal(at({ what: "fact", at: row, op: "changes" }), 1);
  assert.equal(at({ what: "place", at: 2 }), 1);
});

test("filters and CSV tell the same rows as the table", () => {
  const kind = scene.kinds.findIndex((one) => one.name === "tick_begun"), none = { kind: -1, phase: -1, place: -1, text: "" };
  const found = core.framesWhere(story, { ...none, kind }, scene.frames - 1);
  assert.equal(found.length, 90);
  assert.deepEqual(core.framesWhere(story, { ...none, text: "ASKS FOR tick 3 " }, 50).map((k) => story.row(k).what.slice(0, 27)), ["User code asks for tick 3 a"]);
  assert.equal(core.csvOf(story, found, ["number", "what"]).split("\r\n").length, 92);
  const hostile = { row: () => ({ a: "=1+1", b: 'say "x", y' }) };
  assert.match(core.csvOf(hostile, [0], ["a", "b"]), /'=1\+1,"say ""x"", y"/);
});
