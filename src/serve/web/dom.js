// SPDX-License-Identifier: MIT
// Elements, and values for people. Whatever comes from the archive becomes a text node or an
// attribute here; nothing in this page is ever parsed as HTML.

// element('a', {href: '...', class: '...', onclick: f}, children...): strings are text.
export function element(tag, attributes = {}, ...children) {
  const node = document.createElement(tag);
  set(node, attributes);
  node.append(...children.flat().filter((child) => child !== null && child !== undefined));
  return node;
}

function set(node, attributes) {
  for (const [name, value] of Object.entries(attributes)) {
    if (value === undefined || value === null || value === false) continue;
    if (name.startsWith('on')) node.addEventListener(name.slice(2), value);
    else node.setAttribute(name, value === true ? '' : value);
  }
}

const SVG = 'http://www.w3.org/2000/svg';

// Outlines of 24 by 24.
const SHAPES = {
  folder: 'M3 6.5A1.5 1.5 0 0 1 4.5 5h4.6l2 2.2h8.4A1.5 1.5 0 0 1 21 8.7v9.8a1.5 1.5 0 0 1-1.5 1.5h-15A1.5 1.5 0 0 1 3 18.5z',
  file: 'M6 3h8l5 5v13H6zM14 3v5h5',
  text: 'M6 3h8l5 5v13H6zM14 3v5h5M9 12h7M9 15h7M9 18h5',
  image: 'M4 5h16v14H4zM4 16l4.5-4.5 4 4 3-3L20 17M15.5 9.5h.01',
  audio: 'M9 18V6l10-2v12M9 18a2.5 2.5 0 1 1-5 0 2.5 2.5 0 0 1 5 0zM19 16a2.5 2.5 0 1 1-5 0 2.5 2.5 0 0 1 5 0z',
  video: 'M3 6h12v12H3zM15 10.5l6-3v9l-6-3',
  link: 'M10 14a4 4 0 0 0 6 .5l3-3a4 4 0 0 0-5.7-5.7l-1 1M14 10a4 4 0 0 0-6-.5l-3 3a4 4 0 0 0 5.7 5.7l1-1',
  other: 'M12 4l8 4.5v7L12 20l-8-4.5v-7zM4 8.5l8 4.5 8-4.5M12 13v7',
  archive: 'M4 8h16v12H4zM3 4h18v4H3zM10 12h4',
  download: 'M12 4v11M7 11l5 5 5-5M5 20h14',
  open: 'M14 4h6v6M20 4l-9 9M18 14v6H4V6h6',
  check: 'M5 12.5l4.5 4.5L19 7.5',
  clock: 'M12 7v5l3 2M21 12a9 9 0 1 1-18 0 9 9 0 0 1 18 0z',
  alert: 'M12 8v5M12 16.5h.01M12 3l10 18H2z',
  cross: 'M6 6l12 12M18 6L6 18',
  disk: 'M4 6c0-1.7 3.6-3 8-3s8 1.3 8 3v12c0 1.7-3.6 3-8 3s-8-1.3-8-3zM4 6c0 1.7 3.6 3 8 3s8-1.3 8-3M4 12c0 1.7 3.6 3 8 3s8-1.3 8-3',
};

export function icon(name) {
  const svg = document.createElementNS(SVG, 'svg');
  const path = document.createElementNS(SVG, 'path');
  svg.setAttribute('viewBox', '0 0 24 24');
  svg.setAttribute('class', 'icon icon-' + name);
  svg.setAttribute('aria-hidden', 'true');
  path.setAttribute('d', SHAPES[name]);
  svg.append(path);
  return svg;
}

// ---- values ----

const UNITS = ['KiB', 'MiB', 'GiB', 'TiB', 'PiB', 'EiB'];

// Bytes, a number or a decimal string; also beyond what a number holds exactly.
export function size(bytes) {
  let value = Number(bytes);
  if (value < 1024) return `${value} B`;
  let unit = -1;
  do {
    value /= 1024;
    unit++;
  } while (value >= 1024 && unit < UNITS.length - 1);
  return `${value < 10 ? value.toFixed(1) : Math.round(value)} ${UNITS[unit]}`;
}

export function count(number, one, many = one + 's') {
  return `${Number(number).toLocaleString('en')} ${Number(number) === 1 ? one : many}`;
}

// "1795286292.019372008", seconds with nanoseconds, or an ISO time.
export function dateOf(text) {
  return new Date(/^-?\d+(\.\d+)?$/.test(text) ? Number(text) * 1000 : text);
}

export function time(text) {
  const date = dateOf(text);
  if (Number.isNaN(date.getTime())) return element('span', {}, text);
  const iso = date.toISOString();
  return element('time', { datetime: iso, title: iso }, localTime(date));
}

function localTime(date) {
  const two = (number) => String(number).padStart(2, '0');
  return `${date.getFullYear()}-${two(date.getMonth() + 1)}-${two(date.getDate())} ` +
    `${two(date.getHours())}:${two(date.getMinutes())}`;
}

const AGES = [[60, 'second'], [60, 'minute'], [24, 'hour'], [30.4, 'day'], [12, 'month'],
  [Infinity, 'year']];

// "3 days ago"
export function age(text, now = Date.now()) {
  let value = Math.max(0, (now - dateOf(text).getTime()) / 1000);
  for (const [limit, unit] of AGES) {
    if (value < limit) return `${count(Math.floor(value), unit)} ago`;
    value /= limit;
  }
  return '';
}

// -rw-r--r--
export function mode(bits) {
  const letters = 'rwxrwxrwx';
  const shown = Array.from(letters, (char, i) => (bits & (256 >> i) ? char : '-'));
  if (bits & 0o4000) shown[2] = bits & 0o100 ? 's' : 'S';
  if (bits & 0o2000) shown[5] = bits & 0o010 ? 's' : 'S';
  if (bits & 0o1000) shown[8] = bits & 0o001 ? 't' : 'T';
  return shown.join('');
}
