// A scenario as YAML: mappings, lists, strings, numbers, truth values. Short lists and mappings go on one line, as people write them.
const PLAIN = /^[A-Za-z_/][\w ./@+-]*$/;
const WORDS = /^(true|false|yes|no|on|off|null|none|~|y|n)$/i;
const AMOUNT = /^\d+(\.\d+)?(ns|us|ms|s|min|m|h|d|%|\/s|\/min|\/h|MB|kB|GB|B)$/;
const URL = /^https?:\/\/[\w./:@-]+$/;

const scalar = (value, inline) => {
  if (typeof value !== "string") return JSON.stringify(value);
  const quiet = (PLAIN.test(value) && !WORDS.test(value) && value.trim() === value) || AMOUNT.test(value);
  return quiet || (URL.test(value) && !inline && !value.endsWith(":")) ? value : JSON.stringify(value);
};

const simple = (value) => typeof value !== "object" || value === null;

const inline = (value) => {
  if (simple(value)) return scalar(value, true);
  if (Array.isArray(value)) return `[${value.map(inline).join(", ")}]`;
  return `{${Object.entries(value).map(([k, v]) => `${scalar(k, true)}: ${inline(v)}`).join(", ")}}`;
};

const fits = (value, indent) => inline(value).length + indent <= 100;

const lines = (value, indent) => {
  const pad = " ".repeat(indent);
  if (Array.isArray(value)) {
    return value.flatMap((item) => {
      if (simple(item) || fits(item, indent + 2)) return [`${pad}- ${inline(item)}`];
      const [first, ...rest] = lines(item, indent + 2);
      return [`${pad}- ${first.trimStart()}`, ...rest];
    });
  }
  return Object.entries(value).flatMap(([name, inner]) => {
    const head = `${pad}${scalar(name)}:`;
    if (simple(inner)) return [`${head} ${scalar(inner)}`];
    const manySteps = Array.isArray(inner) && inner.length && inner.every((item) => !simple(item));
    if (!manySteps && fits(inner, head.length + 1)) return [`${head} ${inline(inner)}`];
    return [head, ...lines(inner, indent + 2)];
  });
};

export const yaml = (scenario) => `${lines(scenario, 0).join("\n")}\n`;
