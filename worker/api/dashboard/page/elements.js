// Elements: the page's parts made of text, never of markup: whatever clients call themselves stays text.

import {duration, short} from "./numbers.js";

// attributes: of the element; "on..." are listeners.  Children: elements or text; null is left out.
export function el(tag, attributes = {}, ...children) {
  const element = document.createElement(tag);
  for (const [name, value] of Object.entries(attributes)) {
    if (name.startsWith("on")) element.addEventListener(name.slice(2), value);
    else if (value !== null && value !== false) element.setAttribute(name, value === true ? "" : value);
  }
  element.append(...children.filter((child) => child !== null && child !== undefined));
  return element;
}

export function bytes(value) {
  const units = ["B", "KiB", "MiB", "GiB", "TiB"];
  let unit = 0;
  for (; value >= 1024 && unit + 1 < units.length; ++unit) value /= 1024;
  return `${unit === 0 ? Math.round(value) : value.toFixed(value >= 100 ? 0 : 1)} ${units[unit]}`;
}

export const milliseconds = (us) => us < 950 ? `${(us / 1000).toFixed(1)} ms` : `${short(Math.round(us / 1000))} ms`;

export function moment(time_ms) {
  const date = new Date(time_ms);
  const time = el("time", {datetime: date.toISOString(), title: date.toString()});
  const today = date.toDateString() === new Date().toDateString();
  time.textContent = date.toLocaleTimeString("en-GB") + (today ? "" : `, ${date.toLocaleDateString("en-GB", {day: "numeric", month: "short"})}`);
  return time;
}

export const since = (text) => duration(Math.max(0, Math.floor((Date.now() - Date.parse(text)) / 1000)));

export function card(title, ...children) {
  const id = `card-${title.toLowerCase().replaceAll(/[^a-z]+/g, "-")}`;
  return el("section", {class: "card", "aria-labelledby": id}, el("h2", {id}, title), ...children);
}

export const empty = (text) => el("p", {class: "empty"}, text);

// A table whose rows are replaced while it stands.  columns: {title, cell(row), number?, wide?}: a number is set right, a
// wide column is not for phones.
export class Table {
  constructor(caption, columns) {
    this.columns = columns;
    const head = columns.map((column) => el("th", {scope: "col", class: this.class_of(column)}, column.title));
    this.body = el("tbody");
    const table = el("table", {}, el("caption", {class: "hidden"}, caption), el("thead", {}, el("tr", {}, ...head)), this.body);
    this.element = el("div", {class: "scroll", role: "region", "aria-label": caption, tabindex: "0"}, table);
  }

  class_of(column) {
    return [column.number ? "number" : "", column.wide ? "wide" : ""].join(" ").trim() || null;
  }

  // What has the focus keeps it: the element of the same place and name, of the rows that come.
  show(rows, name = (row) => row.id) {
    const focused = this.body.contains(document.activeElement) ? document.activeElement.closest("tr").dataset.name : null;
    this.body.replaceChildren(...rows.map((row) => {
      const cells = this.columns.map((column, i) => el(i === 0 ? "th" : "td", {scope: i === 0 ? "row" : null, class: this.class_of(column)}, column.cell(row)));
      const line = el("tr", {}, ...cells);
      line.dataset.name = name(row);
      return line;
    }));
    if (focused === null) return;
    for (const line of this.body.children) {
      if (line.dataset.name === focused) line.querySelector("a, button")?.focus();
    }
  }
}

// Names and values.
export function pairs(entries) {
  const shown = entries.filter(([, value]) => value !== null && value !== "");
  return el("dl", {class: "pairs"}, ...shown.map(([name, value]) => el("div", {}, el("dt", {}, name), el("dd", {}, value))));
}
