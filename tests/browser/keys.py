"""A learner without a mouse: focus moves by Tab, and wherever it lands it is measured."""

from typing import Any

MOST_TABS = 120
FOCUS = """() => {
  const node = document.activeElement, style = getComputedStyle(node), box = node.getBoundingClientRect();
  const player = node.closest('.hvlab'), sign = node.closest('label') ?? node;
  const name = node.ariaLabel || node.labels?.[0]?.textContent.trim() || node.textContent.trim() || node.type || '';
  return {
    tag: node.localName, type: node.type ?? '', name, value: node.value ?? '', group: node.name ?? '',
    player: player ? [...document.querySelectorAll('.hvlab')].indexOf(player) : -1,
    seen: node.matches(':focus-visible') && style.outlineStyle !== 'none' && parseFloat(style.outlineWidth) >= 3,
    inView: box.bottom > 0 && box.top < innerHeight && box.right > 0 && box.left < innerWidth && sign.checkVisibility(),
    gate: Boolean(node.closest('form.gate')), outline: `${style.outlineStyle} ${style.outlineWidth}`,
  };
}"""


class Keys:
    """The keyboard on a page, and the focus that it moves."""

    def __init__(self, page: Any, everywhere: bool = True) -> None:
        """`everywhere`: the focus is measured on the whole page, else in players only (the rest is not ours)."""
        self.page, self.everywhere = page, everywhere
        self.tabs = 0

    def press(self, *keys: str) -> None:
        for key in keys:
            self.page.keyboard.press(key)

    def type(self, text: str) -> None:
        self.page.keyboard.type(text)

    def focus(self) -> dict[str, Any]:
        found: dict[str, Any] = self.page.evaluate(FOCUS)
        return found

    def tab(self, key: str = "Tab") -> dict[str, Any]:
        """Move on; the focus must be seen wherever it lands on the page, and whatever is folded there opens."""
        self.press(key)
        self.tabs += 1
        found = self.focus()
        if found["tag"] == "summary" and key == "Tab" and self.everywhere:
            self.press("Enter")
        if found["tag"] != "body" and (self.everywhere or found["player"] >= 0):
            assert found["seen"], f"the focus is not seen on {found}"
            assert found["inView"], f"the focus is out of sight on {found}"
        return found

    def tab_to(self, key: str = "Tab", **wanted: Any) -> dict[str, Any]:
        """Move on until the focus is on what is wanted."""
        met = []
        for _ in range(MOST_TABS):
            found = self.tab(key)
            if all(found[name] == value for name, value in wanted.items()):
                return found
            met.append(found["name"][:24])
        raise AssertionError(f"Tab never reaches {wanted}; it met {met[:40]}")
