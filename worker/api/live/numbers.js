// Numbers: figures and durations as people read them.

const COMPACT = new Intl.NumberFormat("en", {notation: "compact", maximumFractionDigits: 1});

export function short(value) {
  if (value >= 10_000) return COMPACT.format(value);
  return value >= 100 || Number.isInteger(value) ? String(Math.round(value)) : value.toFixed(1);
}

// Of seconds, in its two largest units.
export function duration(seconds) {
  const days = Math.floor(seconds / 86400);
  const hours = Math.floor(seconds / 3600) % 24;
  const minutes = Math.floor(seconds / 60) % 60;
  if (days) return `${days} d ${hours} h`;
  if (hours) return `${hours} h ${minutes} min`;
  return minutes ? `${minutes} min` : `${seconds} s`;
}
