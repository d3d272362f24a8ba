// Run in the page by test_layout.py; gives a list of what is wrong.
() => {
  const root = document.querySelector('.hvlab[data-measured]') ?? document.querySelector('.hvlab'), found = [];
  const seen = (node) => node.checkVisibility({ checkOpacity: true, checkVisibilityCSS: true }) && !node.closest('.sr, .off, option, [aria-hidden=true] .icon');
  const hidden = (node) => { for (; node && node !== root; node = node.parentElement) if (getComputedStyle(node).clipPath !== 'none') return true; return false; };
  const texts = [];
  const walker = document.createTreeWalker(root, NodeFilter.SHOW_TEXT);
  for (let node = walker.nextNode(); node; node = walker.nextNode()) {
    const parent = node.parentElement;
    if (!node.textContent.trim() || !seen(parent) || hidden(parent) || /^(title|desc|style|option)$/i.test(parent.tagName)) continue;
    const range = document.createRange();
    range.selectNodeContents(node);
    const frame = parent.closest('.region, .scroll')?.getBoundingClientRect();
    const out = (box) => frame && (box.bottom < frame.top + 1 || box.top > frame.bottom - 1 || box.right < frame.left || box.left > frame.right);
    // Of a line that is half scrolled away, only the half that is seen can lie on anything.
    const part = (box) => (frame ? { left: Math.max(box.left, frame.left), right: Math.min(box.right, frame.right), top: Math.max(box.top, frame.top), bottom: Math.min(box.bottom, frame.bottom) } : box);
    const fitted = parent.hasAttribute('textLength');  // the rectangles of a range do not know that it is drawn narrower
    for (const box of fitted ? [parent.getBoundingClientRect()] : range.getClientRects()) if (box.width > 0 && !out(box)) texts.push({ node, parent, box, part: part(box) });
  }
  const scale = (node) => (node.ownerSVGElement ? node.ownerSVGElement.getBoundingClientRect().width / node.ownerSVGElement.viewBox.baseVal.width : 1);
  // The box of a text is the smallest one whose ground it begins, centres or ends on; marks and bars may have words beside them.
  const boxes = [...root.querySelectorAll('.picture :is(.box, .cell, .plain, .hollow)')].filter((one) => one.localName === 'rect' && seen(one)).map((one) => one.getBoundingClientRect());
  function boxOf(parent, box) {
    if (!parent.ownerSVGElement) return undefined;
    const x = (box.left + box.right) / 2, y = (box.top + box.bottom) / 2;
    const around = boxes.filter((one) => x > one.left && x < one.right && y > one.top && y < one.bottom);
    return around.sort((a, b) => a.width * a.height - b.width * b.height)[0];
  }
  for (const { parent, box, node } of texts) {
    const size = parseFloat(getComputedStyle(parent).fontSize) * scale(parent), glyph = parent.closest('.glyph');
    if (size < (root.classList.contains('full') ? 15.9 : 11.99) && !glyph) found.push(`small: ${size.toFixed(1)} px "${node.textContent.trim().slice(0, 30)}"`);
    const svg = parent.ownerSVGElement?.getBoundingClientRect(), edge = svg && [svg.left - box.left, box.right - svg.right, svg.top - box.top, box.bottom - svg.bottom];
    if (edge && Math.max(...edge) > 0.5) found.push(`out of the picture by ${Math.max(...edge).toFixed(1)} px: "${node.textContent.trim().slice(0, 30)}"`);
    const own = boxOf(parent, box);
    if (own && (box.left < own.left - 0.5 || box.right > own.right + 0.5)) found.push(`out of its box by ${Math.max(own.left - box.left, box.right - own.right).toFixed(1)} px: "${node.textContent.trim().slice(0, 30)}"`);
    const region = parent.closest('.region, .scroll');
    if (!region && (box.left < -0.5 || box.right > innerWidth + 0.5)) found.push(`cut: "${node.textContent.trim().slice(0, 30)}" ends at ${box.right}`);
    for (let up = parent; up && up !== root; up = up.parentElement) {
      const style = getComputedStyle(up), frame = up.getBoundingClientRect();
      if (style.overflowX === 'hidden' && (box.right > frame.right + 1 || box.left < frame.left - 1)) found.push(`clipped: "${node.textContent.trim().slice(0, 30)}"`);
    }
  }
  const size = (one) => (one.right - one.left) * (one.bottom - one.top);
  for (let i = 0; i < texts.length; i++) {
    for (let j = i + 1; j < texts.length; j++) {
      const a = texts[i].part, b = texts[j].part;
      const wide = Math.min(a.right, b.right) - Math.max(a.left, b.left), high = Math.min(a.bottom, b.bottom) - Math.max(a.top, b.top);
      if (wide <= 1 || high <= 3 || texts[i].node === texts[j].node) continue;
      const share = (wide * high) / Math.min(size(a), size(b));
      const stuck = [texts[i], texts[j]].some((one) => one.parent.closest('thead'));
      if (share > 0.15 && !stuck) found.push(`overlap: "${texts[i].node.textContent.trim().slice(0, 20)}" and "${texts[j].node.textContent.trim().slice(0, 20)}"`);
    }
  }
  if (document.documentElement.scrollWidth > innerWidth) found.push(`the page scrolls sideways: ${document.documentElement.scrollWidth}`);
  for (const node of root.querySelectorAll('button, select, input')) {
    if (!seen(node) || hidden(node)) continue;
    const label = node.matches('[type=radio], [type=checkbox]') ? node.closest('label') : node, box = label.getBoundingClientRect();
    if (box.width < 23.9 || box.height < 23.9) found.push(`target: ${box.width}x${box.height} ${node.textContent || node.type}`);
    if (!(node.textContent.trim() || node.ariaLabel || node.getAttribute('aria-labelledby') || node.labels?.length)) found.push(`no name: ${node.outerHTML.slice(0, 80)}`);
  }
  return found;
}
