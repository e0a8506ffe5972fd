// Numbers and spans of time as the reports write them. What is not known is an en dash.
export const NOTHING = "–";

const plain = new Intl.NumberFormat("en", { maximumSignificantDigits: 3 });
const whole = new Intl.NumberFormat("en", { maximumFractionDigits: 0 });

export const number = (value) => {
  if (value === null || value === undefined || !Number.isFinite(value)) return NOTHING;
  return Math.abs(value) >= 1000 ? whole.format(value) : plain.format(value);
};

export const count = (value) => (value === null || value === undefined ? NOTHING : whole.format(value));

export const share = (value) => {
  if (value === null || value === undefined) return NOTHING;
  // 99.97 % must not read as 100 %.
  const points = value * 100;
  return points > 99 && points < 100 ? (Math.floor(points * 100) / 100).toFixed(2) : plain.format(points);
};

export const span = (seconds) => {
  if (seconds === null || seconds === undefined) return NOTHING;
  const s = Math.max(0, Math.round(seconds));
  if (s < 100) return `${s} s`;
  const two = (n) => String(n).padStart(2, "0");
  const minutes = Math.floor(s / 60);
  return minutes < 60
    ? `${minutes}:${two(s % 60)} min`
    : `${Math.floor(minutes / 60)}:${two(minutes % 60)}:${two(s % 60)} h`;
};
