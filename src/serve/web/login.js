// SPDX-License-Identifier: MIT
// Exchanges a token for a cookie that scripts can't read. The token is kept nowhere.
import * as api from './api.js';
import { element } from './dom.js';

export function showLogin(main, done) {
  document.title = 'Log in · BlockFrame';
  const token = element('input', {
    type: 'password', name: 'token', id: 'token', autocomplete: 'current-password', required: true,
  });
  const problem = element('p', { class: 'error', role: 'alert' });
  const button = element('button', { class: 'primary', type: 'submit' }, 'Log in');

  async function submit(event) {
    event.preventDefault();
    button.disabled = true;
    problem.textContent = '';
    try {
      await api.logIn(token.value.trim());
      done();
    } catch (error) {
      problem.textContent = error.status === 401 ? 'This token is not known.' : error.message;
      token.select();
    } finally {
      button.disabled = false;
    }
  }

  main.replaceChildren(element('form', { class: 'card login', onsubmit: submit },
    element('h1', {}, 'Log in'),
    element('p', { class: 'muted' }, 'This archive is shown to who has one of its tokens.'),
    element('label', { for: 'token' }, 'Token'), token, problem, button));
  token.focus();
}
