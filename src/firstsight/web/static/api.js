// Requests to the REST API of this server; nothing else is ever asked.
export class ApiError extends Error {}

async function request(path, options) {
  let answer;
  try {
    answer = await fetch(`/api${path}`, options);
  } catch {
    throw new ApiError("The server does not answer; start it again.");
  }
  if (answer.status === 401) throw new ApiError("The server has another token now: open the address it printed.");
  if (!answer.ok) {
    const content = await answer.json().catch(() => ({}));
    throw new ApiError(typeof content.error === "string" ? content.error : `The server refused this (${answer.status}).`);
  }
  return answer;
}

// Null of an anchor that was removed meanwhile.
export const get = async (path) => {
  const answer = await request(path);
  return answer.status === 204 ? null : answer.json();
};
export const getBytes = async (path) => new Uint8Array(await (await request(path)).arrayBuffer());
export const getAnswer = (path) => request(path);
export const remove = (path) => request(path, { method: "DELETE" });

export async function send(path, content, method = "POST") {
  const isFile = content instanceof Blob;
  const headers = { "content-type": isFile ? "application/octet-stream" : "application/json" };
  return (await request(path, { method, headers, body: isFile ? content : JSON.stringify(content ?? {}) })).json();
}
