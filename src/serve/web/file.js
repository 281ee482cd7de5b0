// SPDX-License-Identifier: MIT
// One file: what can be shown of it, what is known of it, its versions.
import * as api from './api.js';
import { address } from './entries.js';
import { count, element, icon, mode, size, time } from './dom.js';
import { crumbs, pastNote } from './files.js';
import { kindOf } from './kinds.js';
import { bytesOf, join, show, showBytes, showPath } from './paths.js';

const TEXT_SHOWN = 256 << 10; // bytes
const SNIFFED = 4096; // bytes that tell whether something without a known end is text

// ---- the content ----

function looksLikeText(bytes) {
  if (bytes.some((byte) => byte < 32 && ![9, 10, 12, 13, 27].includes(byte))) return false;
  try {
    new TextDecoder('utf-8', { fatal: true }).decode(bytes, { stream: true });
  } catch {
    return false;
  }
  return true;
}

function showText(bytes, whole) {
  const text = new TextDecoder().decode(bytes);
  return element('div', { class: 'preview text' },
    element('pre', { tabindex: 0 }, text),
    whole ? null : element('p', { class: 'muted' }, `The first ${size(bytes.length)}.`));
}

async function textPreview(address, total, limit, signal) {
  if (total === 0) return element('p', { class: 'muted empty' }, 'The file is empty.');
  const bytes = await api.getStart(address, limit, { signal });
  return looksLikeText(bytes) || limit === TEXT_SHOWN ? showText(bytes, bytes.length >= total)
    : null;
}

function noPreview(text = 'This kind of file can’t be shown here.') {
  return element('div', { class: 'preview none' }, icon('file'), element('p', {}, text));
}

// A picture, film or sound that the browser refuses says so in the place of nothing.
function media(tag, attributes) {
  const node = element(tag, attributes);
  const frame = element('div', { class: 'preview ' + tag }, node);
  node.addEventListener('error', () => {
    frame.className = '';
    frame.replaceChildren(noPreview('This browser can’t show this file.'));
  });
  return frame;
}

async function preview(entry, name, address, signal) {
  const total = Number(entry.size);
  switch (total === 0 ? 'none' : kindOf(name).kind) {
    case 'image':
      return media('img', { src: address, alt: show(name) });
    case 'audio':
      return media('audio', { src: address, controls: true, preload: 'metadata' });
    case 'video':
      return media('video', { src: address, controls: true, preload: 'metadata', playsinline: true });
    case 'pdf':
      return element('div', { class: 'preview pdf' },
        element('iframe', { src: address, title: show(name) }));
    case 'text':
      return textPreview(address, total, TEXT_SHOWN, signal);
    case 'packed':
      return noPreview();
    default:
      return await textPreview(address, total, SNIFFED, signal) ? textPreview(address, total,
        TEXT_SHOWN, signal) : noPreview();
  }
}

// ---- what is known ----

function fact(name, ...value) {
  return element('div', {}, element('dt', {}, name), element('dd', {}, ...value));
}

function owner(entry) {
  return `${entry.user ?? entry.uid}:${entry.group ?? entry.gid}`;
}

function xattrs(entry) {
  const names = (entry.xattrs ?? []).map((one) => showBytes(bytesOf(one, 'name') ?? []));
  return names.length ? fact('Attributes', names.join(', ')) : null;
}

function facts(entry) {
  return element('dl', { class: 'facts' },
    entry.size === undefined ? null
      : fact('Size', entry.size < 1024 ? count(entry.size, 'byte') : size(entry.size),
        entry.size < 1024 ? '' : element('span', { class: 'muted' },
          ` ${count(entry.size, 'byte')}`)),
    fact('Modified', time(entry.mtime)),
    entry.type === 'file' ? null : fact('Type', entry.type),
    entry.type === 'symlink' ? fact('Leads to', element('bdi', {},
      showBytes(bytesOf(entry, 'target') ?? []))) : null,
    fact('Mode', element('code', {}, mode(entry.mode))),
    fact('Owner', owner(entry)),
    fact('Version', String(entry.version)),
    entry.link === undefined ? null
      : fact('Also known as', element('bdi', {}, showBytes(bytesOf(entry, 'link')))),
    xattrs(entry),
    entry.hash ? fact('BLAKE3', element('code', { class: 'hash' }, entry.hash)) : null);
}

// ---- versions ----

// The commits that have it.
function commits({ first, end }) {
  if (end === undefined) return `since commit ${first}`;
  const last = String(end - 1);
  return first === last ? `commit ${first}` : `commits ${first} to ${last}`;
}

function versionItem(path, one, shown) {
  const current = one.end === undefined;
  const here = one.version === shown;
  return element('li', {},
    element('a', { href: address(path, current ? {} : { version: one.version }),
      'aria-current': here ? 'true' : null },
    element('strong', {}, `Version ${one.version}`),
    element('span', {}, one.manifest.size === undefined ? '' : size(one.manifest.size)),
    time(one.manifest.mtime),
    element('span', { class: 'muted' }, commits(one))));
}

async function versions(path, shown, signal) {
  const found = [];
  let cursor;
  do {
    const page = await api.get('v1/versions/' + join(path), { cursor }, { signal });
    found.push(...page.versions);
    cursor = page.cursor;
  } while (cursor);
  return element('section', { 'aria-label': 'Versions' },
    element('h2', {}, count(found.length, 'version')),
    element('ol', { class: 'versions' },
      found.reverse().map((one) => versionItem(path, one, shown))));
}

// ---- the page ----

function buttons(path, entry, address) {
  if (entry.type !== 'file') return null;
  return element('div', { class: 'buttons' },
    element('a', { class: 'button primary', href: address, download: show(path.at(-1)) },
      icon('download'), element('span', {}, 'Download')),
    element('a', { class: 'button', href: address, target: '_blank', rel: 'noopener noreferrer' },
      icon('open'), element('span', {}, 'Open')));
}

export async function showFile({ main, path, parameters, signal }, entry) {
  const { at, version } = parameters;
  const content = api.contentUrl(path, { at, version });
  const shown = element('div', { class: 'shown' });
  const side = element('aside', {}, buttons(path, entry, content), facts(entry));

  document.title = `${showPath(path)} · BlockFrame`;
  main.replaceChildren(element('div', { class: 'bar' }, crumbs(path, at)),
    pastNote(path, at, false) ?? (version ? element('p', { class: 'past' }, icon('clock'),
      element('span', {}, `Version ${version}.`),
      element('a', { href: address(path) }, 'Show it as it is now')) : ''),
    element('div', { class: 'file' }, shown, side));
  const [picture, list] = await Promise.allSettled([
    entry.type === 'file' ? preview(entry, path.at(-1), content, signal)
      : Promise.resolve(noPreview('There is no content here.')),
    versions(path, entry.version, signal),
  ]);
  if (signal.aborted) return;
  shown.append(picture.status === 'fulfilled' ? picture.value : noPreview(picture.reason.message));
  if (list.status === 'fulfilled') side.append(list.value);
}
