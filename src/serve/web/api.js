// SPDX-License-Identifier: MIT
// Asking the server. Targets are relative to the page, so that a path in front of it, behind a
// proxy, makes no difference. The cookie of a session goes along by itself.
import { join } from './paths.js';

const base = new URL('.', document.baseURI);

// What the server says against an answer (RFC 9457).
export class Problem extends Error {
  constructor(status, detail) {
    super(detail);
    this.status = status;
  }
}

export function url(target, parameters = {}) {
  const result = new URL(target, base);
  for (const [name, value] of Object.entries(parameters))
    if (value !== undefined && value !== null && value !== '')
      result.searchParams.set(name, value);
  return result.href;
}

// Where the content of a path is, as it is now or was.
export function contentUrl(path, { at, version } = {}) {
  return url('v1/stream/' + join(path), { at, version });
}

export function tarUrl(path, { at } = {}) {
  return url('v1/tar/' + join(path), { at });
}

async function problemOf(response) {
  let detail = '';
  try {
    detail = (await response.json()).detail;
  } catch {
    // a proxy's page, or nothing
  }
  return new Problem(response.status, detail || `The server answered ${response.status}.`);
}

async function request(address, options) {
  let response;
  try {
    response = await fetch(address, { cache: 'no-cache', credentials: 'same-origin', ...options });
  } catch (error) {
    if (error.name === 'AbortError') throw error;
    throw new Problem(0, 'The server does not answer.');
  }
  if (!response.ok) throw await problemOf(response);
  return response;
}

export async function get(target, parameters, options) {
  return (await request(url(target, parameters), options)).json();
}

// Lines of JSON.
export async function getLines(target, parameters, options) {
  const text = await (await request(url(target, parameters), options)).text();
  return text.split('\n').filter((line) => line).map((line) => JSON.parse(line));
}

// The first bytes of some content.
export async function getStart(address, size, options) {
  const response = await request(address, {
    ...options, headers: { Range: `bytes=0-${size - 1}` },
  });
  return new Uint8Array(await response.arrayBuffer());
}

// ---- the session ----

export function session() {
  return get('v1/session');
}

// The token stands in a header, never in an address.
export function logIn(token) {
  return request(url('v1/session'), {
    method: 'POST', headers: { Authorization: 'Bearer ' + token },
  });
}

export function logOut() {
  return request(url('v1/session'), { method: 'DELETE' });
}
