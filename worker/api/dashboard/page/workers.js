// Workers: who serves, each with its load.

import {bytes, el, milliseconds, Table} from "./elements.js";
import {duration, short} from "./numbers.js";

const LAG_WARN_US = 50_000;

// A share of the busiest worker's connections, beside the number.
function load(row, most) {
  const bar = el("span", {class: "bar-fill"});
  bar.style.width = `${most === 0 ? 0 : Math.round(row.connections / most * 100)}%`;
  return el("span", {class: "load"}, el("span", {class: "bar-track", "aria-hidden": "true"}, bar), short(row.connections));
}

export class Workers {
  constructor() {
    this.most = 0;
    this.table = new Table("Workers", [
      {title: "Worker", cell: (row) => el("span", {}, String(row.slot), el("small", {class: "wide"}, ` pid ${row.pid}`))},
      {title: "Connections", number: true, cell: (row) => load(row, this.most)},
      {title: "WebSockets", number: true, wide: true, cell: (row) => short(row.websockets)},
      {title: "Loop lag", number: true, cell: (row) =>
        el("span", {class: row.loop_lag_us >= LAG_WARN_US ? "alarm" : null}, milliseconds(row.loop_lag_us))},
      {title: "Memory", number: true, cell: (row) => bytes(row.memory)},
      {title: "Generation", number: true, wide: true, cell: (row) => String(row.generation)},
      {title: "Age", number: true, wide: true, cell: (row) => duration(row.uptime)},
    ]);
    this.element = this.table.element;
  }

  show(rows) {
    this.most = Math.max(0, ...rows.map((row) => row.connections));
    this.table.show(rows, (row) => row.slot);
  }
}
