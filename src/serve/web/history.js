// SPDX-License-Identifier: MIT
// The commits, the newest first, each of which can be looked at as it was.
import * as api from './api.js';
import { age, element, time } from './dom.js';
import { address } from './entries.js';

const PAGE = 50; // commits

function item(head) {
  return element('li', {},
    element('a', { class: 'entry commit', href: address([], { at: head.sequence }) },
      element('strong', {}, `Commit ${head.sequence}`),
      element('span', { class: 'name' }, element('bdi', {}, head.message ?? '')),
      element('span', { class: 'muted' }, age(head.time)),
      element('span', { class: 'time' }, time(head.time))));
}

// An answer may end early: go on until all are there.
async function load(from, until, signal) {
  const heads = [];
  while (from <= until) {
    const more = await api.getLines('v1/commits', { from, until }, { signal });
    if (more.length === 0) break;
    heads.push(...more);
    from = Number(more.at(-1).sequence) + 1;
  }
  return heads.filter((head) => head.sequence !== '0').reverse();
}

export async function showHistory({ main, signal }) {
  let until = Number((await api.get('v1/head', {}, { signal })).sequence);
  const list = element('ul', { class: 'entries', 'aria-label': 'Commits' });
  const more = element('button', { type: 'button', class: 'more' }, 'Show more');

  async function next() {
    const from = Math.max(1, until - PAGE + 1);
    list.append(...(await load(from, until, signal)).map(item));
    until = from - 1;
    more.hidden = until < 1;
  }

  async function onMore() {
    more.disabled = true; // or it would get them twice
    try {
      await next();
      more.textContent = 'Show more';
    } catch (error) {
      more.textContent = `${error.message} Try again`;
    }
    more.disabled = false;
  }

  document.title = 'History · BlockFrame';
  await next();
  more.addEventListener('click', onMore);
  main.replaceChildren(element('div', { class: 'bar' }, element('h1', {}, 'History')),
    list.childElementCount ? list
      : element('p', { class: 'muted empty' }, 'Nothing was committed yet.'), more);
}
