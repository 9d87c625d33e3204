/** Elements, made without markup: whatever is data becomes a text node or an attribute, never HTML. */

const ICONS = new URL("../icons/icons.svg", import.meta.url).pathname;

/**
 * Make an element: `h("a.link.wide", { href, onclick }, child, ...)`.
 * Properties beginning with `on` are listeners; `data` and `style` are objects; null and false are left out.
 */
export function h(kind, props, ...children) {
  const [tag, ...classes] = kind.split(".");
  const element = document.createElement(tag || "div");
  if (classes.length) element.classList.add(...classes);
  setProps(element, props ?? {});
  append(element, children);
  return element;
}

/** As `h`, for SVG. */
export function svg(kind, props, ...children) {
  const [tag, ...classes] = kind.split(".");
  const element = document.createElementNS("http://www.w3.org/2000/svg", tag);
  if (classes.length) element.classList.add(...classes);
  setProps(element, props ?? {});
  append(element, ...children);
  return element;
}

function setProps(element, props) {
  for (const [name, value] of Object.entries(props)) {
    if (value === null || value === undefined || value === false) continue;
    if (name.startsWith("on")) element.addEventListener(name.slice(2), value);
    else if (name === "data") Object.assign(element.dataset, value);
    else if (name === "style") for (const [key, text] of Object.entries(value)) element.style.setProperty(key, text);
    else if (name === "class") element.classList.add(...value.split(" ").filter(Boolean));
    else element.setAttribute(name, value === true ? "" : value);
  }
}

/** Append children: elements, strings, numbers, and lists of them. */
export function append(parent, ...children) {
  for (const child of children.flat(Infinity)) {
    if (child === null || child === undefined || child === false) continue;
    parent.append(child instanceof Node ? child : String(child));
  }
  return parent;
}

/** Put children in the place of those that are there; focus stays on the element with the same `data-key`. */
export function fill(parent, ...children) {
  const active = document.activeElement;
  const key = parent.contains(active) ? active.dataset.key : undefined;
  parent.replaceChildren();
  append(parent, children);
  if (key) parent.querySelector(`[data-key="${CSS.escape(key)}"]`)?.focus({ preventScroll: true });
  return parent;
}

/** An icon of the sprite sheet, silent to screen readers. */
export function icon(name) {
  return svg(
    "svg.icon",
    { "aria-hidden": "true", viewBox: "0 0 16 16" },
    svg("use", { href: `${ICONS}#${name}` }),
  );
}

/** A string in which what stands between backticks is a command. */
export function withCode(text) {
  return text.split("`").map((part, index) => (index % 2 ? h("code", null, part) : part));
}

/** A link to another site. */
export function outward(href, ...children) {
  const safe = /^https?:\/\//i.test(href);
  return safe
    ? h("a", { href, target: "_blank", rel: "noopener noreferrer nofollow" }, ...children)
    : h("span", null, ...children);
}
