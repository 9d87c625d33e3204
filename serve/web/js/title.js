/** The tab's title: the page, and before it how many alerts fire. */

let name = "";
let firing = 0;

/** Name the page. */
export function setTitle(text) {
  name = text;
  write();
}

/** Say how many alerts fire. */
export function setFiring(number) {
  firing = number;
  write();
}

function write() {
  document.title = `${firing ? `(${firing}) ` : ""}${name} \u00b7 streamwatch`;
}
