// SPDX-License-Identifier: MIT
// Entries by a part of their name, or a pattern.
import * as api from './api.js';
import { element } from './dom.js';
import { pagedList } from './entries.js';

const PAGE = 100; // entries

export async function showSearch({ main, parameters, signal }) {
  const q = parameters.q ?? '';
  const load = (cursor) => api.get('v1/search', { q, cursor, limit: PAGE }, { signal });

  document.title = `${q} · BlockFrame`;
  main.replaceChildren(element('div', { class: 'bar' },
    element('h1', {}, 'Search: ', element('bdi', {}, q))),
  element('p', { class: 'muted' }, 'Looking …'));
  const { list, more, isEmpty } = await pagedList(load, { signal, whole: true, label: 'Found' });
  main.lastChild.replaceWith(isEmpty
    ? element('p', { class: 'muted empty' }, 'No name has this in it. * and ? stand for anything.')
    : list);
  main.append(more);
}
