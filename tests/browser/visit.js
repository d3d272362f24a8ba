// Run once in a page: `visit` then goes through its players as a reader would, by their own controls.
() => {
  const players = () => [...document.querySelectorAll('.hvlab')], painted = () => new Promise((done) => setTimeout(done, 0));
  const named = (player, name) => [...player.querySelectorAll('button')].find((one) => one.textContent.trim() === name);
  const last = (player) => Number(player.querySelector('.slider').max), asked = (player) => player.querySelector('form.gate');
  const title = (player) => `player ${players().indexOf(player)}, ${player.querySelector('.title').textContent}`;
  const go = (player, k) => {
    const field = player.querySelector('.number');
    field.value = k;
    field.dispatchEvent(new Event('change'));
    return Number(field.value);
  };
  // As far as it goes: to the end, or to a question. A story that is still being unpacked is waited for.
  const end = async (player) => {
    for (let tries = 0; tries < 2000; tries++) {
      if (go(player, last(player)) === last(player) || asked(player)) return;
      await painted();
    }
    throw new Error(`${title(player)} neither ends nor asks`);
  };
  const answer = (player) => {
    const form = asked(player);
    for (const one of form.querySelectorAll('input[type=text]')) one.value = '1';
    for (const name of new Set([...form.querySelectorAll('input[type=radio], input[type=checkbox]')].map((one) => one.name))) {
      const group = [...form.querySelectorAll('input')].filter((one) => one.name === name);
      if (!group.some((one) => one.checked)) group[0].checked = true;
    }
    form.requestSubmit();
    if (asked(player) === form) throw new Error(`${title(player)} does not take an answer: ${form.textContent}`);
  };
  // The first frame, the first of each kind of fault or exit, the middle and the last.
  const moments = (player) => {
    const odd = [], told = new Set();
    for (let k = 0; k <= last(player) && k < 200; k++) {
      go(player, k);
      const letter = player.querySelector('.says .letter').textContent;
      if ('✕XM'.includes(letter) && !told.has(letter) && told.add(letter)) odd.push(k);
    }
    return [...new Set([0, ...odd, Math.floor(last(player) / 2), last(player)])].sort((a, b) => a - b);
  };
  const tabs = (player) => [...player.querySelectorAll('.tab')];
  // Every player, every picture, every moment, with each question and the table; `tests` list what is wrong in
  // the player that is marked as measured.
  const all = async (tests, least) => {
    const found = [];
    let seen = 0;
    const look = (player, what) => {
      seen++;
      for (const test of tests) for (const wrong of test()) found.push(`${title(player)}, ${what}: ${wrong}`);
    };
    for (const player of players()) {
      player.dataset.measured = '';
      player.scrollIntoView();
      for (await end(player); asked(player); await end(player)) look(player, 'question'), answer(player);
      const frames = moments(player);
      for (const tab of tabs(player).length ? tabs(player) : [null]) {
        tab?.click();
        for (const k of frames) {
          if (go(player, k) !== k) found.push(`${title(player)}: frame ${k} is closed`);
          await painted();
          look(player, `${tab?.textContent ?? 'picture'}, frame ${k}`);
        }
      }
      named(player, 'Table').click();
      look(player, 'table');
      named(player, 'Table').click();
      delete player.dataset.measured;
    }
    if (seen < least) found.push(`only ${seen} looks`);
    return found;
  };
  window.visit = { players, go, end, asked, answer, moments, tabs, title, all };
}
