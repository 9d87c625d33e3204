/** Buttons of which one is chosen. */

import { h } from "./dom.js";

/** Return a group of buttons; `options` are `[value, text]`; `choose` is told of a change. */
export function choice(label, options, chosen, choose) {
  const buttons = options.map(([value, text]) =>
    h(
      "button",
      {
        type: "button",
        "aria-pressed": String(value === chosen),
        data: { value, key: `${label}-${value}` },
        onclick: () => pick(value),
      },
      text,
    ),
  );
  const pick = (value) => {
    for (const button of buttons) button.setAttribute("aria-pressed", String(button.dataset.value === value));
    choose(value);
  };
  return h("div.choice", { role: "group", "aria-label": label }, buttons);
}
