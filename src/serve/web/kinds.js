// SPDX-License-Identifier: MIT
// What can be shown of a file, told by the end of its name, as the server tells its type.
import { extension } from './paths.js';

const KINDS = [
  ['image', 'jpg jpeg jpe png gif webp avif bmp ico svg'],
  ['audio', 'mp3 m4a ogg oga opus flac wav'],
  ['video', 'mp4 m4v webm mkv mov ogv'],
  ['pdf', 'pdf'],
  ['text', 'txt log md rst csv tsv conf cfg ini toml yaml yml json xml xsl html htm xhtml css js ' +
    'mjs ts c h cc cpp hpp rs go py sh pl rb java diff patch tex srt vtt sql cmake meson'],
  ['packed', 'zip gz tgz zst xz txz bz2 tbz2 7z tar iso img'],
];
const ICONS = { image: 'image', audio: 'audio', video: 'video', pdf: 'text', text: 'text',
  packed: 'archive', none: 'file' };

const byExtension = new Map();
for (const [kind, extensions] of KINDS)
  for (const one of extensions.split(' ')) byExtension.set(one, kind);

export function kindOf(name) {
  const kind = byExtension.get(extension(name)) ?? 'none';
  return { kind, icon: ICONS[kind] };
}
