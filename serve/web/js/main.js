/** The page's frame: what stands on every page, which page is open, and when it is refreshed. */

import { alertHref, brief, groupName } from "./alerts.js";
import { get, send, whenSignedOut } from "./api.js";
import { fill, h, icon } from "./dom.js";
import { count, zone } from "./format.js";
import { lang, setLang, t } from "./i18n.js";
import { listenToKeys, openHelp } from "./keys.js";
import { liveState, on, startLive } from "./live.js";
import { desk, has, loadMeta, may } from "./meta.js";
import { openMenu } from "./menu.js";
import { theme, toggleTheme } from "./prefs.js";
import { problemView } from "./problems.js";
import { route } from "./router.js";
import { askForToken } from "./signin.js";
import { setFiring, setTitle } from "./title.js";
import { toast } from "./toast.js";

const SETTLE_MS = 1_000;
const LOOK_MS = { live: 5_000, other: 15_000 };
const NAV = [
  ["overview", "#/", "grid"],
  ["alerts", "#/alerts", "bell"],
  ["live", "#/live", "pulse"],
  ["labels", "#/labels", "tag", "/v1/labels/queue", "labeller"],
  ["monitors", "#/monitors", "sliders", "/v1/monitors", "viewer"],
];
const known = new Map();
let sections = NAV.slice(0, 3);
let page = null;
let due = 0;

whenSignedOut(askForToken);
await begin();

async function begin() {
  const main = document.querySelector("main");
  try {
    await loadMeta();
  } catch (error) {
    fill(
      main,
      problemView(error, () => location.reload()),
    );
    return;
  }
  drawFrame();
  openPage();
  addEventListener("hashchange", openPage);
  listenToKeys({ "/": focusSearch, "?": openHelp, t: changeTheme, i: changeLang }, () => page?.keys ?? {});
  on("alert", takeAlert);
  on("state", () => (drawState(), refreshSoon()));
  look();
  document.addEventListener("visibilitychange", () => document.visibilityState === "visible" && refreshSoon());
  startLive();
  await offerSections();
}

/** Offer the pages that this desk has the routes for, and the reader the role. */
async function offerSections() {
  const there = await Promise.all(NAV.map(([, , , path, role]) => !path || (may(role) && has("get", path))));
  sections = NAV.filter((_, index) => there[index]);
  if (sections.length > 3) drawFrame();
  markSection();
}

/** Draw what stands on every page, in the language that is chosen. */
function drawFrame() {
  document.querySelector(".skip").textContent = t("skip");
  fill(
    document.querySelector("header.top"),
    h("a.brand", { href: "#/", "aria-label": t("brand.home") }, icon("mark"), h("span", null, "streamwatch")),
    h(
      "nav.sections",
      { "aria-label": t("nav") },
      sections.map(([name, href, glyph]) =>
        h(
          "a",
          { href, data: { section: name } },
          icon(glyph),
          h("span", null, t(`nav.${name}`)),
          name === "alerts" ? h("span.pill.num", { hidden: true }) : null,
        ),
      ),
    ),
    h(
      "form.search",
      { role: "search", onsubmit: (event) => (event.preventDefault(), goToEntity(event.target)) },
      h("input", {
        type: "search",
        name: "entity",
        list: "entities",
        autocomplete: "off",
        placeholder: t("search"),
        "aria-label": t("search"),
      }),
      h("kbd", { "aria-hidden": "true" }, "/"),
    ),
    h("span.state", { role: "status" }, h("span.dot", { "aria-hidden": "true" }), h("span.state-text")),
    h(
      "div.top-tools",
      null,
      h(
        "button.tool",
        {
          type: "button",
          data: { key: "language" },
          lang: lang() === "zh" ? "en" : "zh",
          "aria-label": t("language.other"),
          title: `${t("language.other")} (I)`,
          onclick: changeLang,
        },
        lang() === "zh" ? "EN" : "\u4e2d",
      ),
      h(
        "button.tool",
        {
          type: "button",
          data: { key: "theme" },
          "aria-label": t("theme.other"),
          title: `${t("theme.other")} (T)`,
          onclick: changeTheme,
        },
        icon(theme() === "dark" ? "sun" : "moon"),
      ),
      h(
        "button.tool.wide-only",
        { type: "button", "aria-label": t("keys.title"), title: `${t("keys.title")} (?)`, onclick: openHelp },
        "?",
      ),
      h(
        "button.tool.me",
        {
          type: "button",
          "aria-haspopup": "menu",
          title: `${desk.me.name}, ${t(`role.${desk.me.role}`)}`,
          "aria-label": t("me", { name: desk.me.name }),
          onclick: (event) =>
            openMenu(
              event.currentTarget,
              `${desk.me.name} \u00b7 ${t(`role.${desk.me.role}`)} \u00b7 ${desk.me.tenant}`,
              [{ text: t("signout"), act: signOut }],
            ),
        },
        desk.me.name.slice(0, 2),
      ),
    ),
  );
  const { name, offset } = zone();
  fill(
    document.querySelector("body > footer"),
    h("span", null, t("zone", { zone: name, offset })),
    h("span.faint", null, `streamwatch ${desk.about.version}`),
  );
  drawState();
  drawCount();
}

function openPage() {
  const found = route(location.hash || "#/");
  page?.close?.();
  const main = document.querySelector("main");
  if (!found) {
    page = null;
    fill(
      main,
      h("div.page", null, h("h1", null, t("nowhere")), h("p", null, h("a", { href: "#/" }, t("nav.overview")))),
    );
    return;
  }
  page = found.open();
  setTitle(page.title);
  fill(main, page.element);
  scrollTo(0, 0);
  for (const link of document.querySelectorAll(".sections a")) {
    if (link.dataset.section === found.section) link.setAttribute("aria-current", "page");
    else link.removeAttribute("aria-current");
  }
  refresh();
}

/** Look again and again, while somebody sees the page: what has not changed is not sent again. */
function look() {
  if (document.visibilityState === "visible") refreshSoon();
  setTimeout(look, liveState() === "live" ? LOOK_MS.live : LOOK_MS.other);
}

async function refresh() {
  due = 0;
  await Promise.all([page?.refresh?.(), drawCount()]).catch((error) => console.warn(error));
}

/** Refresh once for all that happens within a moment. */
function refreshSoon() {
  due ||= setTimeout(refresh, SETTLE_MS);
}

async function drawCount() {
  const { alerts, next_cursor: more } = await get("/v1/alerts", { status: "firing", limit: 100 });
  const pill = document.querySelector(".sections .pill");
  setFiring(alerts.length);
  pill.hidden = !alerts.length;
  pill.textContent = `${count(alerts.length)}${more ? "+" : ""}`;
  pill.setAttribute("aria-label", t("firing.n", { n: alerts.length }));
}

function takeAlert(alert) {
  if (
    alert.status === "firing" &&
    known.get(alert.fingerprint) !== "firing" &&
    !location.hash.endsWith(alert.fingerprint)
  ) {
    toast(`${groupName(alert)}: ${brief(alert)}`, "alert", alertHref(alert.fingerprint));
  }
  known.set(alert.fingerprint, alert.status);
  refreshSoon();
}

function drawState() {
  const element = document.querySelector(".state");
  element.dataset.state = liveState();
  element.title = t(`state.${liveState()}.why`);
  element.querySelector(".state-text").textContent = t(`state.${liveState()}`);
}

function changeTheme() {
  toggleTheme();
  drawFrame();
  markSection();
}

function changeLang() {
  setLang(lang() === "zh" ? "en" : "zh");
  drawFrame();
  openPage();
}

function markSection() {
  const section = route(location.hash || "#/")?.section;
  document.querySelector(`.sections a[data-section="${section}"]`)?.setAttribute("aria-current", "page");
}

function focusSearch() {
  document.querySelector(".search input").focus();
}

function goToEntity(form) {
  const name = form.elements.entity.value.trim();
  if (!name) return;
  form.reset();
  document.activeElement.blur();
  location.hash = `#/entity/${encodeURIComponent(name)}`;
}

async function signOut() {
  await send("DELETE", "/v1/session");
  location.reload();
}

document.addEventListener("focusin", loadNames, { once: true });

/** Offer the names of the entities that were written about, once somebody may look for one. */
async function loadNames() {
  const { rows } = await get("/v1/aggregates", { group_by: "entity", measure: "count", order: "-count", limit: 300 });
  fill(
    document.querySelector("#entities"),
    rows.map((row) => h("option", { value: row.entity })),
  );
}
