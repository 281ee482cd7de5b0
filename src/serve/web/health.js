// SPDX-License-Identifier: MIT
// Whether the data is safe: one look at the top, then what it survives, when what was verified,
// and each volume as a row of its parts.
import * as api from './api.js';
import { age, count, dateOf, element, icon, size, time } from './dom.js';
import { showBytes, bytesOf } from './paths.js';

const DAY = 86400e3; // milliseconds

const VERDICTS = {
  safe: ['check', 'Safe', 'All of it was verified lately, and nothing is wrong.'],
  due: ['clock', 'A check is due', 'Nothing is known to be wrong, but not all of it is known.'],
  damaged: ['alert', 'Damaged', 'All that is damaged can be repaired.'],
  lost: ['cross', 'Lost', 'Something is beyond repair.'],
};

const PARTS = {
  fresh: 'verified lately',
  old: 'to be verified again',
  never: 'never verified',
  damaged: 'damaged, can be repaired',
  lost: 'lost',
};

function verdict(safety) {
  const [shape, name, text] = VERDICTS[safety.verdict];
  const title = safety.verdict === 'due' && !safety.next?.startsWith('health --')
    ? 'Something is due' : name; // copies, groups or volumes are missing
  return element('section', { class: 'verdict ' + safety.verdict },
    icon(shape),
    element('div', {}, element('h1', {}, title), element('p', {}, text),
      safety.next ? element('p', {}, 'Next: ',
        element('code', {}, 'blockframe ' + safety.next)) : null));
}

function tile(title, headline, ...lines) {
  return element('section', { class: 'card tile' }, element('h2', {}, title),
    element('p', { class: 'headline' }, headline),
    lines.filter((line) => line).map((line) => element('p', { class: 'muted' }, line)));
}

// What of the volumes may be lost, by copies or by the outer code ("4+2").
function losses({ copies, outer, ...safety }) {
  const lacks = Number(safety.segments_with_fewer_copies) + Number(safety.pages_with_fewer_copies);
  const kept = Number(safety.protected_against_volume_loss);
  const alone = Number(safety.unprotected_against_volume_loss);
  const parity = outer ? outer.split('+')[1] : 1;
  return [
    copies > 1 && (lacks ? `Not all has its ${copies} copies yet: ` +
      `${size(safety.bytes_with_fewer_copies)} of content have fewer.`
      : `The loss of any ${copies - 1} of its places.`),
    kept > 0 && (copies === 1 || outer) && `The loss of any ${count(parity, 'volume')}, for ${size(kept)}.`,
    alone > 0 && copies === 1 && `Not the loss of a volume: ${size(alone)} are on one volume each.`,
  ];
}

function survives(safety) {
  if (safety.margin === undefined)
    return tile('Survives now', 'Unknown', 'Nothing was verified yet.', ...losses(safety));
  return tile('Survives now', `Any ${safety.margin} pieces`, 'of every stripe that was verified.',
    ...losses(safety));
}

function verified(safety) {
  const done = safety.stripes - safety.stripes_unverified;
  const percent = safety.stripes > 0 ? Math.floor(done * 100 / safety.stripes) : 100;
  return tile('Verified', `${percent} %`, `${done} of ${count(safety.stripes, 'stripe')}`,
    safety.oldest_verification ? `The oldest check was ${age(safety.oldest_verification)}; it is ` +
      `due after ${count(safety.due_after_days, 'day')}.` : null);
}

function lastRun(safety) {
  const run = safety.last_run;
  if (!run) return tile('Last check', 'Never');
  return tile('Last check', age(run.started),
    run.ended ? `${size(run.verified)} verified${run.repair ? ', with repair' : ''}`
      : 'It was stopped, or goes on.',
    `${run.found} damaged, ${run.repaired} repaired, ${run.lost} lost`);
}

function reads(health) {
  const { leaves_verified, leaves_repaired, leaves_lost } = health.reads;
  return tile('Reads here', `${Number(leaves_repaired).toLocaleString('en')} repaired`,
    `${Number(leaves_verified).toLocaleString('en')} pieces of 64 KiB were verified, ` +
    `${leaves_lost} lost.`,
    `The server started ${age(new Date(Date.now() - health.uptime * 1000).toISOString())}.`);
}

// ---- volumes ----

function isOld(verification, safety) {
  return Date.now() - dateOf(verification) > safety.due_after_days * DAY;
}

function stateOf(part, safety) {
  if (Number(part.lost)) return 'lost';
  if (Number(part.damaged)) return 'damaged';
  if (Number(part.unverified)) return 'never';
  return isOld(part.oldest_verification, safety) ? 'old' : 'fresh';
}

function partTitle(part, state) {
  const when = part.oldest_verification ? `, ${age(part.oldest_verification)}` : '';
  return `${count(part.stripes, 'stripe')}: ${PARTS[state]}${when}`;
}

// A cell for each part; in words for who does not see them.
function partsMap(parts, safety) {
  const states = parts.map((part) => stateOf(part, safety));
  const summary = Object.keys(PARTS).filter((state) => states.includes(state))
    .map((state) => `${states.filter((one) => one === state).length} ${PARTS[state]}`).join('; ');
  return element('div', { class: 'parts', role: 'img',
    'aria-label': `${count(parts.length, 'part')}: ${summary}` },
  parts.map((part, i) => element('span', { class: 'part ' + states[i],
    title: partTitle(part, states[i]) })));
}

function volumeState(volume, safety) {
  if (volume.retired) return ['away', 'retired'];
  if (!volume.attached) return ['away', 'not attached'];
  if (Number(volume.lost)) return ['lost', 'lost'];
  if (Number(volume.damaged)) return ['damaged', 'damaged'];
  if (Number(volume.stripes_unverified) || !volume.oldest_verification ||
      isOld(volume.oldest_verification, safety))
    return ['due', 'due'];
  return ['safe', 'sound'];
}

function fill(volume, room) {
  if (volume.size === undefined) return null;
  const used = Number(volume.allocated);
  const most = Number(room.volume_max_size);
  if (volume.sealed) return element('p', { class: 'muted' }, `${size(used)}; full and sealed`);
  const meter = element('meter', { min: 0, max: 100, value: Math.min(100, used * 100 / most),
    title: `${size(used)} of ${size(most)}` });
  return element('p', { class: 'fill' }, meter,
    element('span', { class: 'muted' }, `${size(used)} of ${size(most)}`));
}

function volumeCard(volume, { safety, room }) {
  const [state, word] = volumeState(volume, safety);
  const label = showBytes(bytesOf(volume, 'label') ?? []) || `Volume ${volume.number}`;
  const map = element('div', { class: 'parts loading' });
  const card = element('section', { class: 'card volume', 'aria-label': label },
    element('header', {}, icon('disk'), element('h3', {}, element('bdi', {}, label)),
      element('span', { class: 'chip ' + state }, word)),
    fill(volume, room), map,
    element('p', { class: 'muted' }, `${size(volume.payload)} in ${count(volume.stripes, 'stripe')}`,
      volume.oldest_verification ? [', the oldest check on ', time(volume.oldest_verification)]
        : ', never verified'));
  return { card, map };
}

function room(health) {
  const { free, size: all } = health.room;
  return free === undefined ? null
    : element('p', { class: 'muted' }, `${size(free)} of ${size(all)} are free where new volumes are ` +
      'written.');
}

function legend() {
  return element('ul', { class: 'legend', 'aria-hidden': 'true' }, Object.entries(PARTS)
    .map(([state, text]) => element('li', {}, element('span', { class: 'part ' + state }), text)));
}

export async function showHealth({ main, signal }) {
  const health = await api.get('v1/health', {}, { signal });
  const { safety } = health;
  const volumes = safety.volumes.map((volume) => ({ volume, ...volumeCard(volume, health) }));

  document.title = 'Health · BlockFrame';
  main.replaceChildren(verdict(safety),
    element('div', { class: 'tiles' }, survives(safety), verified(safety), lastRun(safety),
      reads(health)),
    element('div', { class: 'bar' }, element('h2', {}, count(safety.volumes.length, 'volume')),
      legend()),
    room(health) ?? '', element('div', { class: 'volumes' }, volumes.map(({ card }) => card)));
  for (const { volume, map } of volumes) {
    try {
      const { parts } = await api.get('v1/volumes/' + volume.number, {}, { signal });
      map.replaceWith(partsMap(parts, safety));
    } catch (error) {
      if (signal.aborted || error.status === 401) throw error;
      map.replaceWith(element('p', { class: 'muted' }, error.message)); // the others may do
    }
  }
}
