// Events: the node's starts, reloads and upgrades, and what the error log says from warn on.

import {card, el, empty, moment} from "./elements.js";

const GOOD = new Set(["ready", "reloaded", "upgraded", "reattached", "worker_repaired"]);

// Texts and links to the connections that are named.
function parts_of(text) {
  return text.split(/(?<=connection=)([0-9a-f]{16})/).map((part, i) => i % 2 ? el("a", {href: `#connections/${part}`}, part) : part);
}

// "event key=value ..." apart, so that the event stands out.
function line(row, kind) {
  const space = row.text.indexOf(" ");
  const name = space < 0 ? row.text : row.text.slice(0, space);
  const rest = space < 0 ? "" : row.text.slice(space + 1);
  const who = row.slot === undefined ? null : row.slot === null ? "master" : `worker ${row.slot}`;
  const state = kind === "history" ? (GOOD.has(name) ? "good" : "bad") : row.level === "warn" ? "warn" : "bad";
  return el("li", {class: "event", "data-state": state},
    el("p", {class: "event-head"}, el("span", {class: "dot", "aria-hidden": "true"}), el("strong", {}, name.replaceAll("_", " ")),
      kind === "troubles" ? el("span", {class: "soft"}, row.level) : null,
      who === null ? null : el("span", {class: "soft"}, `${who}, pid ${row.pid}`), moment(row.time_ms)),
    rest === "" ? null : el("p", {class: "event-text"}, ...parts_of(rest)));
}

// A list that is made anew only when there is something new.
class EventList {
  constructor(title, kind, nothing, most) {
    Object.assign(this, {kind, nothing, most, shown: null});
    this.place = el("div");
    this.element = card(title, this.place);
  }

  show(rows) {
    const now = JSON.stringify(rows.slice(0, this.most));
    if (now === this.shown) return;
    this.shown = now;
    if (rows.length === 0) return this.place.replaceChildren(empty(this.nothing));
    const more = rows.length > this.most ? el("p", {class: "more"}, el("a", {href: "#events"}, `All ${rows.length}`)) : null;
    this.place.replaceChildren(el("ol", {class: "events"}, ...rows.slice(0, this.most).map((row) => line(row, this.kind))), ...(more === null ? [] : [more]));
  }
}

export class Events {
  constructor(most = Infinity) {
    this.history = new EventList("Reloads and upgrades", "history", "Nothing yet.", most);
    this.troubles = new EventList("Latest errors", "troubles", "None, as far as the error log’s level tells.", most);
    this.element = el("div", {class: "columns"}, this.history.element, this.troubles.element);
  }

  show({history, troubles}) {
    this.history.show(history);
    this.troubles.show(troubles);
  }
}
