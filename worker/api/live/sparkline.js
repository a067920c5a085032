// Sparkline: the last minute of one figure as a small chart; the number beside it says what it shows.

const POINTS_MAX = 60;
const HEIGHT = 28;
const SVG = "http://www.w3.org/2000/svg";

export class Sparkline {
  constructor() {
    this.points = [];
    this.element = document.createElementNS(SVG, "svg");
    this.element.setAttribute("class", "spark");
    this.element.setAttribute("viewBox", `0 0 ${POINTS_MAX - 1} ${HEIGHT}`);
    this.element.setAttribute("preserveAspectRatio", "none");
    this.element.setAttribute("aria-hidden", "true");
    this.area = document.createElementNS(SVG, "polygon");
    this.line = document.createElementNS(SVG, "polyline");
    this.element.append(this.area, this.line);
  }

  get peak() {
    return Math.max(0, ...this.points);
  }

  push(value) {
    this.points.push(value);
    if (this.points.length > POINTS_MAX) this.points.shift();
    const top = Math.max(1, ...this.points);
    const first = POINTS_MAX - this.points.length;
    const path = this.points.map((point, i) => `${first + i},${(HEIGHT - 1.5 - point / top * (HEIGHT - 4)).toFixed(1)}`);
    this.line.setAttribute("points", path.join(" "));
    this.area.setAttribute("points", `${first},${HEIGHT} ${path.join(" ")} ${POINTS_MAX - 1},${HEIGHT}`);
  }
}
