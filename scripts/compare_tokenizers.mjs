#!/usr/bin/env node
// Compares ane-train's tokenizers with Hugging Face's library on a text that is meant to be difficult: see
// compare_tokenizers.sh.
//   compare_tokenizers.mjs PROGRAM DIRECTORY MEGABYTES ROUNDS     DIRECTORY: as fetch_tokenizers.sh makes it
import { execFileSync, spawnSync } from 'child_process';
import { createRequire } from 'module';
import fs from 'fs';
import path from 'path';

const [program, directory, megabytes, rounds] = process.argv.slice(2);
const { Tokenizer } = createRequire(path.join(path.resolve(directory), 'x.js'))('@anush008/tokenizers');

// Numbers that are the same in every run (mulberry32).
let state = 42;
function random(below) {
  state = (state + 0x6d2b79f5) | 0;
  let t = Math.imul(state ^ (state >>> 15), 1 | state);
  t = (t + Math.imul(t ^ (t >>> 7), 61 | t)) ^ t;
  return ((t ^ (t >>> 14)) >>> 0) % below;
}
const pick = (list) => list[random(list.length)];
const times = (count, make) => Array.from({ length: count }, make).join('');

// Ranges of letters and marks of ten scripts besides Latin, all in Unicode since long ago.
const scripts = [[0x391, 0x3c9], [0x410, 0x44f], [0x5d0, 0x5ea], [0x621, 0x64a], [0x905, 0x94d], [0xe01, 0xe3a], [0x10d0, 0x10f0],
                 [0x3041, 0x3096], [0x30a1, 0x30fa], [0x4e00, 0x9fa5], [0xac00, 0xd7a3]]
  .map(([first, last]) => () => {
    const code = first + random(last - first + 1);
    return code === 0x3a2 ? 'σ' : String.fromCodePoint(code);  // the only unassigned one
  });
const latin = () => pick('etaoinshrdlucmfwypvbgkjqxzéüßñçåøEATRSÄÖÉ');
const word = () => { const letter = random(3) ? latin : pick(scripts); return times(1 + random(10), letter); };
const space = () => pick([' ', ' ', ' ', ' ', '  ', '   ', '\n', '\n\n', '\t', ' \n', '\r\n', ' ', '　', ' ', '']);
const sources = process.env.ANE_SOURCES ? process.env.ANE_SOURCES.split('\n').filter(Boolean) : [];
const code = () => {
  if (!sources.length) return 'for (int i = 0; i < n; ++i) { x[i] += y; }\n';
  const text = fs.readFileSync(pick(sources), 'utf8');
  const start = random(Math.max(1, text.length - 400));
  return text.slice(start, start + 400);
};
const parts = [
  () => times(1 + random(20), () => word() + space()),
  () => times(1 + random(20), () => word() + space()),
  code,
  () => times(1 + random(12), () => pick(['0', '1', '42', '1999', '3.14', '1e-9', '٣', '½', '²', 'Ⅳ', ','])),
  () => times(1 + random(6), () => pick(['😀', '👨‍👩‍👧', '🇩🇪', '❤️', '🏳️‍🌈', '👍🏽', '✨'])),
  () => times(1 + random(6), () => pick(["'s", "'LL", "'ve", "don't", '!', '...', '?!', '(', ')', '"', '--', '#', '$', '%', '@x', '~'])),
  () => String.fromCodePoint(random(32)) + pick(['\x7f', '\x85', '​', '﻿', '‮', '', '']),
  () => latin() + times(1 + random(4), () => String.fromCodePoint(0x300 + random(0x6f))),
  () => pick(['ﬁ', 'Ａ', 'Å', '가', 'ế', '̀', '①', '㎏', '﷽']),
  () => pick(['<s>', '</s>', '<unk>', '<|endoftext|>', '<|im_start|>', '<|eot_id|>', '<|begin_of_text|>', '<0x0A>', '▁', 'Ġ']),
  () => times(random(30), () => ' ') + times(random(5), () => '\n') + times(random(10), () => 'a'),
];
function makeText(bytes) {
  let text = '';
  while (Buffer.byteLength(text) < bytes) text += times(50, () => pick(parts)());
  return text.toWellFormed ? text.toWellFormed() : Buffer.from(text).toString();
}

const median = (list) => [...list].sort((a, b) => a - b)[list.length >> 1];
const text = makeText(megabytes * 1e6);
const file = path.join(directory, 'mixed.txt');
fs.writeFileSync(file, text);
const size = Buffer.byteLength(text) / 1e6;

async function theirs(json) {
  const tokenizer = await Tokenizer.fromFile(json);
  const start = process.hrtime.bigint();
  const encoding = await tokenizer.encode(text, null, { addSpecialTokens: true });
  return { seconds: Number(process.hrtime.bigint() - start) / 1e9, ids: encoding.getIds(), tokenizer };
}
function ours(model) {
  const out = path.join(directory, 'mixed.bin');
  const run = spawnSync(program, ['tokenize', file, '--tokenizer', model, '--special', '--ids', '--out', out],
                        { encoding: 'utf8', maxBuffer: 1 << 30 });
  if (run.status !== 0) throw new Error(run.stderr);
  return { seconds: Number(/ in ([0-9.]+) s/.exec(run.stderr)[1]), ids: run.stdout.trim().split(' ').map(Number) };
}

let failed = false;
for (const name of ['qwen3', 'llama3', 'llama2']) {
  const model = path.join(directory, name);
  const speeds = { theirs: [], ours: [] };
  let last;
  for (let round = 0; round < rounds; ++round) {
    last = { theirs: await theirs(path.join(model, 'tokenizer.json')), ours: ours(model) };
    for (const side of ['theirs', 'ours']) speeds[side].push(size / last[side].seconds);
  }
  const [expected, found] = [last.theirs.ids, last.ours.ids];
  let at = 0;
  while (at < expected.length && expected[at] === found[at]) ++at;
  const same = at === expected.length && at === found.length;
  const decoded = execFileSync(program, ['tokenize', '--decode', '--tokenizer', model],
                               { input: expected.join(' '), encoding: 'utf8', maxBuffer: 1 << 30 });
  const sameText = decoded === await last.theirs.tokenizer.decode(Array.from(expected), false);
  failed ||= !same || !sameText;
  console.log(`${name}: ${size.toFixed(2)} MB, ${expected.length} tokens, ` +
              (same ? 'equal ids' : `ids differ from token ${at} on (${expected.slice(at, at + 8)} | ${found.slice(at, at + 8)})`) +
              `, ${sameText ? 'equal' : 'DIFFERENT'} text; median of ${rounds}: ${median(speeds.ours).toFixed(1)} MB/s, ` +
              `Hugging Face's library ${median(speeds.theirs).toFixed(1)} MB/s`);
}
process.exitCode = failed ? 1 : 0;
