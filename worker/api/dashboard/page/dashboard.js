// Dashboard: which view is shown, and when it is brought up to date: once a second, while somebody looks at it.

import {Channel, Channels} from "./channels.js";
import {Connection, Connections} from "./connections.js";
import {el} from "./elements.js";
import {Events} from "./events.js";
import * as gateway from "./gateway.js";
import {duration} from "./numbers.js";
import {Overview} from "./overview.js";

const POLL_MS = 1_000;

class EventsView {
  title = "Events";

  constructor() {
    this.events = new Events();
    this.element = el("div", {}, el("h2", {tabindex: "-1"}, this.title), this.events.element);
  }

  show(overview) {
    this.events.show(overview);
  }
}

const $ = (id) => document.getElementById(id);
const main = $("main");
const overview = new Overview();  // Its rates go on while another view is shown.
let view = null;
let view_due_ms = 0;

// "#channels/NAME" and the like.
function view_of(hash) {
  const slash = hash.indexOf("/");
  const kind = slash < 0 ? hash.slice(1) : hash.slice(1, slash);
  const name = slash < 0 ? "" : decodeURIComponent(hash.slice(slash + 1));
  if (kind === "channels") return name === "" ? new Channels() : new Channel(name);
  if (kind === "connections") return name === "" ? new Connections() : new Connection(name);
  if (kind === "events") return new EventsView();
  return overview;
}

function go({focus}) {
  if (location.hash === "#main") return;
  view = view_of(location.hash);
  view_due_ms = 0;
  main.replaceChildren(view.element);
  document.title = `${view.title} · BeamGate dashboard`;
  const kind = location.hash.slice(1).split("/")[0] || "overview";
  for (const link of document.querySelectorAll("nav a")) {
    if (link.hash === `#${kind}`) link.setAttribute("aria-current", "page");
    else link.removeAttribute("aria-current");
  }
  if (focus) {
    view.element.querySelector("h2").focus({preventScroll: true});
    scrollTo(0, 0);
  }
  refresh_view();
}

// A live region is only written to when it says something else.
function tell(state, text) {
  if ($("state").dataset.state !== state) $("state").dataset.state = state;
  if ($("state-text").textContent !== text) $("state-text").textContent = text;
}

function complain(error) {
  if (!(error instanceof gateway.Refused || error instanceof gateway.Unreachable)) throw error;
  tell("lost", error.message);
}

async function refresh_view() {
  if (view.refresh === undefined || Date.now() < view_due_ms) return;
  view_due_ms = Date.now() + view.every_ms;
  try {
    await view.refresh();
  } catch (error) {
    complain(error);
  }
}

async function refresh_overview() {
  try {
    const now = await gateway.overview();
    overview.show(now);
    if (view !== overview) view.show?.(now);
    const workers = now.status.workers;
    $("node").textContent = `${now.status.version} · ${workers} ${workers === 1 ? "worker" : "workers"} · up ${duration(now.status.uptime)}`;
    $("logout").hidden = !now.session;
    tell("live", "Live");
  } catch (error) {
    overview.pause();
    complain(error);
  }
}

// One look at a time; a page that nobody sees asks nothing.
async function poll() {
  if (document.hidden) overview.pause();
  else await Promise.all([refresh_overview(), refresh_view()]);
  setTimeout(poll, POLL_MS);
}

addEventListener("hashchange", () => go({focus: true}));
go({focus: false});
poll();
