// SPDX-License-Identifier: MIT
// A folder, or what the path is otherwise.
import * as api from './api.js';
import { address, pagedList } from './entries.js';
import { element, icon } from './dom.js';
import { showFile } from './file.js';
import { join, parse, show, showPath } from './paths.js';

const PAGE = 300; // entries

// The way to a path; its last part is where we are.
export function crumbs(path, at) {
  const items = [element('li', {}, path.length
    ? element('a', { href: address([], { at }) }, 'Archive')
    : element('h1', { 'aria-current': 'page' }, 'Archive'))];
  path.forEach((name, i) => {
    const text = element('bdi', {}, show(name));
    const last = i === path.length - 1;
    items.push(element('li', {}, last ? element('h1', { 'aria-current': 'page' }, text)
      : element('a', { href: address(path.slice(0, i + 1), { at, folder: true }),
        class: i === path.length - 2 ? 'up' : null }, text)));
  });
  if (path.length === 1) items[0].firstChild.classList.add('up');
  return element('nav', { class: 'crumbs', 'aria-label': 'Path' }, element('ol', {}, items));
}

// A line that says that this is the past.
export function pastNote(path, at, folder) {
  if (!at) return null;
  return element('p', { class: 'past' }, icon('clock'),
    element('span', {}, `As of commit ${at}.`),
    element('a', { href: address(path, { folder }) }, 'Show it as it is now'));
}

async function showFolder({ main, path, parameters, signal, session }) {
  const { at } = parameters;
  const isOurs = path.length >= parse(session.prefix).length; // else it only leads there
  const load = (cursor) => api.get('v1/tree', { path: '/' + join(path), at, cursor, limit: PAGE },
    { signal });
  const { list, more, isEmpty } = await pagedList(load, { signal, at, label: 'Entries' });

  document.title = `${showPath(path)} · BlockFrame`;
  main.replaceChildren(
    element('div', { class: 'bar' }, crumbs(path, at),
      !isOurs ? null : element('a', { class: 'button', href: api.tarUrl(path, { at }), download: '' },
        icon('download'), element('span', {}, 'Download folder (tar)'))),
    pastNote(path, at, true) ?? '',
    isEmpty ? element('p', { class: 'muted empty' }, 'There is nothing in this folder.') : list,
    more);
}

export async function showFiles(view) {
  const { path, parameters, signal } = view;
  if (path.length === 0 || location.hash.replace(/\?.*/, '').endsWith('/')) {
    await showFolder(view);
    return;
  }
  const { at, version } = parameters;
  const entry = await api.get('v1/manifest/' + join(path), { at, version }, { signal });
  await (entry.type === 'directory' ? showFolder(view) : showFile(view, entry));
}
