// SPDX-License-Identifier: MIT
// Entries in a list: of a folder, or of what was found.
import { element, icon, size, time } from './dom.js';
import { kindOf } from './kinds.js';
import { bytesOf, join, pathOf, show, showBytes, showPath } from './paths.js';

export function address(path, { at, version, folder } = {}) {
  const query = new URLSearchParams();
  if (at) query.set('at', at);
  if (version) query.set('version', version);
  const text = query.toString();
  return '#files/' + join(path) + (folder && path.length ? '/' : '') + (text ? '?' + text : '');
}

function iconOf(entry) {
  if (entry.type === 'directory') return icon('folder');
  if (entry.type === 'symlink') return icon('link');
  return icon(entry.type === 'file' ? kindOf(pathOf(entry).at(-1)).icon : 'other');
}

function note(entry) {
  if (entry.type === 'symlink') return ' → ' + showBytes(bytesOf(entry, 'target') ?? []);
  return entry.type === 'file' || entry.type === 'directory' ? '' : ` (${entry.type})`;
}

// One row: the name, or with @whole its whole path.
export function row(entry, { at, whole = false } = {}) {
  const path = pathOf(entry);
  const folder = entry.type === 'directory';
  const name = element('bdi', {}, whole ? showPath(path) : show(path.at(-1)));
  return element('li', {},
    element('a', { class: 'entry', href: address(path, { at, folder }) }, iconOf(entry),
      element('span', { class: 'name' }, name,
        note(entry) ? element('span', { class: 'muted' }, note(entry)) : null),
      element('span', { class: 'size' }, entry.size === undefined ? '' : size(entry.size)),
      element('span', { class: 'time' }, time(entry.mtime))));
}

// A list that gets its next part when its end comes into sight, or by a button.
// @load(cursor) gives {entries, cursor}.
export async function pagedList(load, { signal, at, whole, label }) {
  const list = element('ul', { class: 'entries', 'aria-label': label });
  const more = element('button', { type: 'button', class: 'more' }, 'Show more');
  let cursor;
  let total = 0;
  let busy = false;
  let failed = false; // then only the button goes on

  async function next() {
    if (busy || signal.aborted) return;
    busy = true;
    failed = false;
    try {
      const page = await load(cursor);
      cursor = page.cursor;
      total += page.entries.length;
      list.append(...page.entries.map((entry) => row(entry, { at, whole })));
      more.hidden = !cursor;
      more.textContent = 'Show more';
    } catch (error) {
      if (total === 0 || signal.aborted) throw error;
      failed = true;
      more.textContent = `${error.message} Try again`;
    } finally {
      busy = false;
    }
  }

  // Told once for each part: who is still in sight behind it gets the next one, too.
  const sight = new IntersectionObserver(async (seen) => {
    if (!cursor || !seen.some((one) => one.isIntersecting)) return;
    sight.unobserve(more);
    await next().catch(() => {});
    if (!failed && !signal.aborted) sight.observe(more);
  }, { rootMargin: '400px' });
  signal.addEventListener('abort', () => sight.disconnect());
  more.addEventListener('click', () => next().catch(() => {}));
  await next();
  sight.observe(more);
  return { list, more, isEmpty: total === 0 };
}
