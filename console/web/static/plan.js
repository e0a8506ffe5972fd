// What a plan comes to, as elements: totals, what each step asks, what to be careful of.
import { count, span } from "./words.js";

const make = (tag, text, className) => {
  const element = document.createElement(tag);
  if (text !== undefined) element.textContent = text;
  if (className) element.className = className;
  return element;
};

const OPEN = "as the target decides";
const told = (value, say) => (value === null || value === undefined ? OPEN : say(value));

const money = (usd) => `about $${usd < 0.01 ? usd.toPrecision(2) : usd.toFixed(2)}`;

/** Plan of POST /plan → a fragment. */
export const planned = ({ plan: { plan, needs, cost }, warnings }) => {
  const all = document.createDocumentFragment();
  const facts = make("dl");
  const pairs = [
    ["Steps", count(plan.steps.length)],
    ["Requests", told(needs.requests, count)],
    ["Time", told(needs.duration_s, span)],
    ["Tokens in", told(needs.input_tokens, count)],
    ["Tokens out", told(needs.output_tokens, count)],
    ["Cost", told(cost.usd ?? undefined, money).replace(OPEN, "not known: no price")],
  ];
  for (const [name, value] of pairs) facts.append(make("dt", name), make("dd", value));
  all.append(facts);
  if (warnings.length) {
    const box = make("div", undefined, "banner careful");
    box.append(make("p", warnings.length === 1 ? "A warning of the plan:" : `${warnings.length} warnings of the plan:`));
    const items = make("ul");
    for (const warning of warnings) items.append(make("li", warning));
    box.append(items);
    all.append(box);
  }
  return all;
};
