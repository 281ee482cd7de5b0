// SPDX-License-Identifier: MIT
// What is shown is told by the address's fragment, which browsers do not send:
//
//   #files/a/b%20c?at=3     a folder or file, as it is now or was at a commit
//   #search?q=x             entries by name
//   #history, #health       only for who may read everything
import * as api from './api.js';
import { showFiles } from './files.js';
import { showHealth } from './health.js';
import { showHistory } from './history.js';
import { element, icon } from './dom.js';
import { showLogin } from './login.js';
import { parse } from './paths.js';
import { showSearch } from './search.js';

const main = document.getElementById('main');
const search = document.getElementById('search').elements.q;
const VIEWS = { files: showFiles, search: showSearch, health: showHealth, history: showHistory };

let session = null; // what /v1/session says
let current = null; // AbortController of what is shown

function readAddress() {
  const [, view, rest, query] = /^#?(\w*)\/?([^?]*)\??(.*)$/.exec(location.hash);
  const parameters = Object.fromEntries(new URLSearchParams(query));
  return { view: Object.hasOwn(VIEWS, view) ? view : 'files', path: parse(rest), parameters };
}

function mark(view) {
  for (const link of document.querySelectorAll('nav [data-view]')) {
    if (link.dataset.view === view) link.setAttribute('aria-current', 'page');
    else link.removeAttribute('aria-current');
    if ('whole' in link.dataset) link.hidden = !session?.whole;
  }
  document.getElementById('logout').hidden = !(session?.needed && session.open);
  search.form.hidden = Boolean(session?.needed && !session.open);
}

function showProblem(error) {
  main.replaceChildren(element('div', { class: 'problem', role: 'alert' }, icon('alert'),
    element('p', {}, error.message)));
}

// Show what the address says. A view that is not finished when the next one comes is cut off.
async function show() {
  const { view, path, parameters } = readAddress();
  current?.abort();
  current = new AbortController();
  const { signal } = current;
  main.setAttribute('aria-busy', 'true');
  try {
    session ??= await api.session();
    mark(view);
    if (session.needed && !session.open) {
      showLogin(main, restart);
      return;
    }
    search.value = view === 'search' ? parameters.q ?? '' : '';
    await VIEWS[view]({ main, path, parameters, signal, session });
  } catch (error) {
    if (signal.aborted) return;
    if (error.status === 401) {
      session = null;
      show(); // the session came to an end
      return;
    }
    showProblem(error);
  } finally {
    if (!signal.aborted) main.removeAttribute('aria-busy');
  }
}

function restart() {
  session = null;
  show();
}

// ---- keys ----

function moveFocus(step) {
  const rows = [...main.querySelectorAll('a.entry')];
  if (rows.length === 0) return false;
  const at = rows.indexOf(document.activeElement);
  rows[Math.min(Math.max(at + step, 0), rows.length - 1)].focus();
  return true;
}

function isTyping(target) {
  return target.closest('input, textarea, select, audio, video');
}

function onKey(event) {
  if (event.ctrlKey || event.metaKey || event.altKey || isTyping(event.target)) return;
  const step = { ArrowDown: 1, j: 1, ArrowUp: -1, k: -1 }[event.key];
  const up = event.key === 'Backspace' && main.querySelector('a.up');
  if (event.key === '/') search.focus();
  else if (up) up.click();
  else if (!step || !moveFocus(step)) return;
  event.preventDefault();
}

document.addEventListener('keydown', onKey);
search.form.addEventListener('submit', (event) => {
  event.preventDefault();
  if (search.value) location.hash = 'search?' + new URLSearchParams({ q: search.value });
});
document.querySelector('.skip').addEventListener('click', (event) => {
  event.preventDefault();
  main.focus();
});
document.getElementById('logout').addEventListener('click', async () => {
  await api.logOut().catch(showProblem);
  restart();
});
window.addEventListener('hashchange', () => {
  show();
  window.scrollTo(0, 0);
});
show();
