// Channels: those with subscribers, found by name, and what one of them is like.

import {card, el, empty, moment, pairs, Table} from "./elements.js";
import * as gateway from "./gateway.js";
import {short} from "./numbers.js";

const ROWS_MAX = 200;
const HISTORY_MAX = 20;
const TEXT_MAX = 400;

// Without a wildcard of its own a text may stand anywhere in the name.
const pattern_of = (text) => text === "" || /[*?]/.test(text) ? text : `*${text}*`;

const link = (name) => `#channels/${encodeURIComponent(name)}`;

export class Channels {
  title = "Channels";
  every_ms = 3_000;

  constructor() {
    this.search = el("input", {type: "search", id: "channel-search", placeholder: "Name, * and ? allowed", spellcheck: "false", autocapitalize: "none", oninput: () => this.refresh()});
    this.note = el("p", {class: "note"});
    this.table = new Table("Channels with subscribers", [
      {title: "Channel", cell: (row) => el("a", {href: link(row.name)}, row.name)},
      {title: "Subscribers", number: true, cell: (row) => short(row.clients)},
    ]);
    this.element = el("div", {}, el("h2", {tabindex: "-1"}, this.title),
      el("div", {class: "search"}, el("label", {for: "channel-search"}, "Find"), this.search),
      el("section", {class: "card"}, this.table.element, this.note));
  }

  async refresh() {
    const wanted = this.search.value;
    let rows = [];
    let note = "";
    try {
      const {channels} = await gateway.channels(pattern_of(wanted));
      rows = Object.entries(channels).map(([name, {num_clients}]) => ({name, clients: num_clients}));
      rows.sort((a, b) => b.clients - a.clients || a.name.localeCompare(b.name));
      if (rows.length === 0) note = wanted === "" ? "No channel has subscribers." : "No channel of that name has subscribers.";
      else if (rows.length > ROWS_MAX) note = `The ${ROWS_MAX} with most subscribers of ${rows.length}.`;
    } catch (error) {
      if (!(error instanceof gateway.Refused)) throw error;
      note = error.message;
    }
    if (wanted !== this.search.value) return;  // An answer that has been overtaken.
    this.table.element.hidden = rows.length === 0;
    this.table.show(rows.slice(0, ROWS_MAX), (row) => row.name);
    this.note.textContent = note;
  }
}

// Null where the channel's rules keep no such thing.
async function kept(question) {
  try {
    return await question;
  } catch (error) {
    if (error instanceof gateway.Refused) return null;
    throw error;
  }
}

// Of a publication: text as it is, anything else as JSON.
function text_of({data, b64data}) {
  const text = b64data !== undefined ? `(binary) ${b64data}` : typeof data === "string" ? data : JSON.stringify(data);
  return text.length > TEXT_MAX ? `${text.slice(0, TEXT_MAX)}…` : text;
}

// Users by their names; who has none is no user, and counted by connections.
function present_text(members) {
  const users = new Set(members.map((row) => row.user).filter(Boolean)).size;
  const nameless = members.filter((row) => !row.user).length;
  return nameless === 0 ? short(users) : `${short(users)}, and ${short(nameless)} without a name`;
}

export class Channel {
  every_ms = 2_000;

  constructor(name) {
    this.name = name;
    this.title = name;
    this.facts = el("div");
    this.present = new Table("Members", [
      {title: "User", cell: (row) => row.user || "–"},
      {title: "Connection", cell: (row) => el("a", {href: `#connections/${row.client}`}, row.client)},
      {title: "Info", wide: true, cell: (row) => row.conn_info === undefined ? "" : el("code", {}, JSON.stringify(row.conn_info))},
    ]);
    this.no_presence = empty("The channel’s rules keep no presence.");
    this.history = el("ol", {class: "events"});
    this.no_history = empty("The channel’s rules keep no history, or there is none.");
    this.element = el("div", {}, el("p", {class: "back"}, el("a", {href: "#channels"}, "All channels")),
      el("h2", {class: "name", tabindex: "-1"}, name), el("section", {class: "card"}, this.facts),
      card("Present", this.present.element, this.no_presence), card("Latest publications", this.history, this.no_history));
  }

  async refresh() {
    const [facts, presence, history] = await Promise.all([
      gateway.channel(this.name), kept(gateway.presence(this.name)), kept(gateway.history(this.name, HISTORY_MAX))]);
    this.facts.replaceChildren(pairs([
      ["Subscribers", short(facts.num_clients)], ["Users present", presence === null ? null : present_text(Object.values(presence.presence))],
      ["Publications so far", short(facts.offset)], ["Epoch", facts.epoch]]));
    const members = presence === null ? [] : Object.values(presence.presence);
    this.present.element.hidden = members.length === 0;
    this.no_presence.hidden = members.length > 0;
    this.no_presence.textContent = presence === null ? "The channel’s rules keep no presence." : "Nobody.";
    this.present.show(members, (row) => row.client);
    const publications = history?.publications ?? [];
    this.no_history.hidden = publications.length > 0;
    this.history.replaceChildren(...publications.map((publication) => el("li", {class: "event"},
      el("p", {class: "event-head"}, el("strong", {}, `№ ${publication.offset}`),
        publication.info?.user ? el("span", {class: "soft"}, publication.info.user) : null,
        publication.time ? moment(publication.time) : null),
      el("p", {class: "event-text"}, text_of(publication)))));
  }
}
