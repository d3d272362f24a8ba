// What a notebook makes a module of for each player anew. A browser keeps every module for the life of a page, so this
// one is small, and the player itself is one module for all players of the page whose text is the same.
async function load(text) {
  const url = URL.createObjectURL(new Blob([text], { type: "text/javascript" }));
  try {
    return (await import(url)).default;
  } finally {
    URL.revokeObjectURL(url);
  }
}
function shared(model) {
  const text = model.get("_player"), made = (globalThis[Symbol.for("hvlab.players")] ??= new Map());
  if (!made.has(text)) made.set(text, load(text));
  return made.get(text);
}

export default {
  // Before there is a view; nobody waits for it here, and nothing is returned.
  initialize({ model }) {
    shared(model);
  },
  async render(given) {
    return (await shared(given.model)).render(given);
  },
};
