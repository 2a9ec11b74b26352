// Talks to the server: JSON calls, and streams of events. Knows nothing of what they mean.

export class Failure extends Error {}

async function checked(response) {
  if (response.ok) return response;
  let text = `${response.status} ${response.statusText}`;
  try {
    text = (await response.json()).error ?? text;
  } catch {
    // not JSON: the status says it
  }
  throw new Failure(text);
}

async function reach(path, options) {
  try {
    return await checked(await fetch(path, options));
  } catch (error) {
    if (error.name === "AbortError" || error instanceof Failure) throw error;
    throw new Failure("the server does not answer: is mailsleuth still running?");
  }
}

export async function get(path, params = {}, signal = undefined) {
  const query = new URLSearchParams(Object.entries(params).filter(([, value]) => value !== null && value !== undefined));
  return (await reach(`${path}?${query}`, { signal })).json();
}

function sent(body) {
  return { method: "POST", headers: { "Content-Type": "application/json" }, body: JSON.stringify(body) };
}

export async function post(path, body) {
  return (await reach(path, sent(body))).json();
}

/** Post `body` and call `onEvent(name, data)` for every event of the answer. */
export async function stream(path, body, onEvent, signal) {
  const response = await reach(path, { ...sent(body), signal });
  const reader = response.body.pipeThrough(new TextDecoderStream()).getReader();
  let buffer = "";
  for (;;) {
    let chunk;
    try {
      chunk = await reader.read();
    } catch (error) {
      if (error.name === "AbortError") throw error;
      throw new Failure("the connection was lost");
    }
    if (chunk.done) return;
    buffer += chunk.value;
    let end;
    while ((end = buffer.indexOf("\n\n")) >= 0) {
      const lines = buffer.slice(0, end).split("\n");
      buffer = buffer.slice(end + 2);
      const field = (name) => lines.find((line) => line.startsWith(name + ": "))?.slice(name.length + 2);
      if (field("event")) onEvent(field("event"), JSON.parse(field("data")));
    }
  }
}
