/** A menu at a button: arrows move, Enter chooses, Escape closes. */

import { h } from "./dom.js";

let open = null;

/** Open a menu below a button; items are `{ text, checked, act }`. */
export function openMenu(button, label, items) {
  closeMenu();
  const entries = items.map((item) =>
    h(
      "button.menu-item",
      {
        type: "button",
        role: "menuitemradio",
        "aria-checked": String(Boolean(item.checked)),
        tabindex: -1,
        onclick: () => choose(item),
      },
      h("span.check", { "aria-hidden": "true" }, item.checked ? "\u2713" : ""),
      item.text,
    ),
  );
  const menu = h(
    "div.menu",
    { role: "menu", "aria-label": label },
    h("div.menu-title", { "aria-hidden": "true" }, label),
    entries,
  );
  document.body.append(menu);
  place(menu, button);
  open = { menu, button };
  button.setAttribute("aria-expanded", "true");
  menu.addEventListener("keydown", (event) => onKey(event, entries));
  menu.addEventListener("focusout", (event) => !menu.contains(event.relatedTarget) && closeMenu(false));
  (entries.find((_, index) => items[index].checked) ?? entries[0]).focus();
}

function choose(item) {
  closeMenu();
  item.act();
}

function closeMenu(back = true) {
  if (!open) return;
  const { menu, button } = open;
  open = null;
  button.setAttribute("aria-expanded", "false");
  if (back) button.focus();
  menu.remove();
}

function onKey(event, entries) {
  const at = entries.indexOf(document.activeElement);
  const to = { ArrowDown: at + 1, ArrowUp: at - 1, Home: 0, End: entries.length - 1 }[event.key];
  if (to !== undefined) entries[(to + entries.length) % entries.length].focus();
  else if (event.key === "Escape") closeMenu();
  else if (event.key === "Tab") return;
  else if (event.key !== "Enter" && event.key !== " ") return;
  if (event.key !== "Enter" && event.key !== " ") event.preventDefault();
  event.stopPropagation();
}

function place(menu, button) {
  const box = button.getBoundingClientRect();
  const size = menu.getBoundingClientRect();
  const left = Math.max(8, Math.min(box.right - size.width, innerWidth - size.width - 8));
  const below = box.bottom + size.height + 8 < innerHeight;
  menu.style.left = `${left + scrollX}px`;
  menu.style.top = `${(below ? box.bottom + 4 : Math.max(8, box.top - size.height - 4)) + scrollY}px`;
}
