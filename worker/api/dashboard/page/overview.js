// Overview: the first view: figures, what is connected, workers, and what happened lately.

import {card, el} from "./elements.js";
import {Events} from "./events.js";
import {Figures} from "./figures.js";
import {short} from "./numbers.js";
import {Workers} from "./workers.js";

const EVENTS_MAX = 5;

const KINDS = [
  ["Raw", "websockets_raw"], ["Pusher", "websockets_pusher"], ["Phoenix", "websockets_phoenix"],
  ["Centrifuge", "websockets_centrifuge"], ["Echo", "websockets_echo"], ["Event streams", "event_streams"],
  ["Long polls", "long_polls"], ["Lines", "lines"],
];

// Clients by what they speak, as shares of a bar and as numbers.
class Clients {
  constructor() {
    this.bar = el("div", {class: "shares", "aria-hidden": "true"});
    this.list = el("ul", {class: "legend"});
    this.parts = KINDS.map(([title], i) => {
      const share = el("span", {"data-kind": String(i)});
      const count = el("strong");
      const item = el("li", {"data-kind": String(i)}, el("span", {class: "swatch", "aria-hidden": "true"}), title, " ", count);
      this.bar.append(share);
      this.list.append(item);
      return {share, item, count};
    });
    this.nothing = el("p", {class: "empty"}, "No clients but those of plain HTTP.");
    this.element = el("div", {}, this.bar, this.list, this.nothing);
  }

  show(more) {
    const counts = KINDS.map(([, name]) => more[name]);
    const all = counts.reduce((total, count) => total + count, 0);
    this.bar.hidden = all === 0;
    this.nothing.hidden = all > 0;
    for (const [i, {share, item, count}] of this.parts.entries()) {
      share.style.flexGrow = counts[i];
      share.hidden = item.hidden = counts[i] === 0;
      count.textContent = short(counts[i]);
    }
  }
}

export class Overview {
  title = "Overview";

  constructor() {
    this.figures = new Figures();
    this.clients = new Clients();
    this.workers = new Workers();
    this.events = new Events(EVENTS_MAX);
    this.element = el("div", {}, el("h2", {class: "hidden", tabindex: "-1"}, this.title), this.figures.element,
      card("Workers", this.workers.element), card("Clients by protocol", this.clients.element), this.events.element);
  }

  show(overview) {
    this.figures.show(overview);
    this.clients.show(overview.more);
    this.workers.show(overview.workers);
    this.events.show(overview);
  }

  pause() {
    this.figures.pause();
  }
}
