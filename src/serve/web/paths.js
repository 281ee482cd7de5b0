// SPDX-License-Identifier: MIT
// Paths of the archive. A name is bytes, not text, so it is kept as it stands in a URL: every
// byte but letters, digits and "-._~" as %XX. A path is an array of such names. What is shown
// of one is made by show(), and never used for anything else.

const encoder = new TextEncoder();

function escapeBytes(bytes) {
  let text = '';
  for (const byte of bytes) {
    const char = String.fromCharCode(byte);
    text += /[A-Za-z0-9\-._~]/.test(char) ? char
      : '%' + byte.toString(16).toUpperCase().padStart(2, '0');
  }
  return text;
}

function unescapeBytes(name) {
  const bytes = [];
  for (let i = 0; i < name.length; i++) {
    const escape = name[i] === '%';
    bytes.push(escape ? parseInt(name.slice(i + 1, i + 3), 16) : name.charCodeAt(i));
    i += escape ? 2 : 0;
  }
  return new Uint8Array(bytes);
}

function decodeBase64(text) {
  return Uint8Array.from(atob(text), (char) => char.charCodeAt(0));
}

// The bytes of a member that is text, or base64 if it is not UTF-8; null if there is none.
export function bytesOf(object, member) {
  if (object[member] !== undefined) return encoder.encode(object[member]);
  const base64 = object[member + '_base64'];
  return base64 === undefined ? null : decodeBase64(base64);
}

// The path that an entry has in its manifest.
export function pathOf(entry, member = 'path') {
  const escaped = escapeBytes(bytesOf(entry, member) ?? []);
  return escaped ? escaped.split('%2F') : [];
}

// A path out of "a/b%20c/", as join() made it; what else somebody typed is escaped.
export function parse(text) {
  return text.split('/').filter((name) => name)
    .map((name) => escapeBytes(unescapeBytes(name.replace(/[^\x21-\x7e]/g, encodeURIComponent))));
}

export function join(path) {
  return path.join('/');
}

// Characters that would be seen as nothing, or as another order of what is around them.
const UNSEEN = /[\u0000-\u001f\u007f-\u009f\u00ad\u061c\u200b-\u200f\u2028-\u202e\u2060-\u206f\ufeff]/g;

function showUnseen(char) {
  const code = char.charCodeAt(0);
  return code < 256 ? '\\x' + code.toString(16).padStart(2, '0')
    : '\\u' + code.toString(16).padStart(4, '0');
}

// Bytes for people: text where they are UTF-8, \xNN where not.
export function showBytes(bytes) {
  let text;
  try {
    text = new TextDecoder('utf-8', { fatal: true, ignoreBOM: true }).decode(bytes);
  } catch {
    text = Array.from(bytes, (byte) => (byte < 0x80 ? String.fromCharCode(byte)
      : '\\x' + byte.toString(16))).join('');
  }
  return text.replace(UNSEEN, showUnseen);
}

export function show(name) {
  return showBytes(unescapeBytes(name));
}

export function showPath(path) {
  return '/' + path.map(show).join('/');
}

export function extension(name) {
  const match = /\.([A-Za-z0-9]{1,5})$/.exec(name);
  return match ? match[1].toLowerCase() : '';
}
