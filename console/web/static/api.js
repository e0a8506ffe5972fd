// The service's API from a page of its own: one way to ask, one way to fail.

export class Refused extends Error {
  /** `errors`: a line for each fault, each with its place; `status` 0 where no answer came. */
  constructor(status, detail, errors = []) {
    super(detail);
    this.status = status;
    this.errors = errors;
  }
}

export const ask = async (path, { method = "GET", body, signal } = {}) => {
  let answer;
  try {
    answer = await fetch(path, {
      method,
      signal,
      credentials: "same-origin",
      headers: body === undefined ? { accept: "application/json" } : { "content-type": "application/json", accept: "application/json" },
      body: body === undefined ? undefined : JSON.stringify(body),
    });
  } catch (e) {
    if (e.name === "AbortError") throw e;
    throw new Refused(0, "The service does not answer. It may have been stopped; nothing that runs is lost by it.");
  }
  if (answer.status === 401) {
    location.assign("/ui/login");
    throw new Refused(401, "Signing in is needed.");
  }
  const text = await answer.text();
  let found = null;
  try {
    found = text ? JSON.parse(text) : null;
  } catch {
    throw new Refused(answer.status, `The service answered with something that is no JSON (status ${answer.status}).`);
  }
  if (answer.ok) return found;
  const detail = typeof found?.detail === "string" ? found.detail : `The service answered with status ${answer.status}.`;
  throw new Refused(answer.status, detail, found?.errors ?? []);
};
