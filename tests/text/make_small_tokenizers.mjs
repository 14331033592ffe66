// Makes golden/small_tokenizers.json: small tokenizers with every normalizer, pre-tokenizer, decoder and option that is supported,
// and the ids and texts that Hugging Face's library gives for them.
//   node make_small_tokenizers.mjs DIRECTORY     DIRECTORY: as scripts/fetch_tokenizers.sh makes it
import { createRequire } from 'module';
import fs from 'fs';
import path from 'path';
import { fileURLToPath } from 'url';

const directory = path.resolve(process.argv[2]);
const { Tokenizer } = createRequire(path.join(directory, 'x.js'))('@anush008/tokenizers');

// --- Models: a list of tokens, whose ids are their places, and a list of merges.
function merged(alphabet, merges) {
  const tokens = [...alphabet];
  for (const [left, right] of merges) if (!tokens.includes(left + right)) tokens.push(left + right);
  return { tokens, merges };
}
const letters = [];
for (let byte = 0, other = 0x100; byte < 256; ++byte) {
  const printable = (byte >= 0x21 && byte <= 0x7e) || (byte >= 0xa1 && byte <= 0xac) || byte >= 0xae;
  letters.push(String.fromCodePoint(printable ? byte : other++));
}
const byteMerges = 'Ġ t,h e,i n,r e,Ġ a,Ġt he,o n,Ġ w,l l,Ġ Ġ,ĠĠ ĠĠ,1 2,Ã ©,a n,an d,Ġ and,Ċ Ċ,l o,lo w,e r,low er,Ġ low,Ġlow er,\' s,Ġ 1,n e,w e,ne we'
  .split(',').map((merge) => merge.split(' '));
const words = ['the', 'in', 'lower', 'newer', 'don', 'Ä', '一二'];
const hex = Array.from({ length: 256 }, (_, byte) => `<0x${byte.toString(16).toUpperCase().padStart(2, '0')}>`);
const charMerges = '▁ t,h e,▁t he,i n,r e,▁ ▁,▁▁ ▁▁,o n,l o,lo w,▁ low,▁low er,e r,low er,a n,an d,▁ and,1 2,é é,世 界,▁ 世,n e,ne w,▁ new'
  .split(',').map((merge) => merge.split(' '));
const plain = [...'▁ abcdefghijklmnopqrstuvwxyzABCDEFGH0123456789.,!?\'-_éäß世界你'];
const models = {
  bytes: merged(letters, byteMerges),
  fallback: merged(['<unk>', '<s>', '</s>', ...hex, ...plain], charMerges),
  // Only some bytes have tokens: characters with others are unknown.
  partial: merged(['<unk>', ...hex.filter((_, byte) => byte % 16 !== 3), ...plain], charMerges),
  unknown: merged(['<unk>', ...plain], charMerges),
};
models.bytes.tokens.push('Ġ1!', 'Hello', 'ĠHello');  // words that no merge makes, for ignore_merges

const texts = ['', ' ', '   ', 'the lower and the newer', ' leading', 'trailing  ', 'Hello world', "I'm the Lower's ÉTÉ, don't",
  'a1b22 c333\t4444', '12 12.5 ½ ²٣', 'line\r\nline\n\n  next\n', 'été e\u0301te\u0301 \u00c5 A\u030a', '世界 你好 ▁世', 'ﬁ Ⅳ ㎏ İß',
  '😀👍🏽', '\u0000\u001f\u007f', 'a\u200bb\u00a0c\u3000d', '<s>the</s>', ' <mask> the<mask>lower', 'word Words words wordless',
  'x  <left>  y  <right>  z  <both>  ', '<both><left><right>', '--a--b-', 'a,b,,c', 'the_lower', 'THE LOWER', '?!?!', 'Straße STRASSE',
  'sstab<|end|>and', '\u180e\u2028\u0085', 'aaaaaaaaaaaaaaaa', 'the<|end', 'mask', 'ſ\'S \u212a', 'क्षि', 'z世', '日本'];

const added = (content, options = {}) =>
  ({ content, single_word: false, lstrip: false, rstrip: false, normalized: false, special: false, ...options });
const byteLevel = (options = {}) => ({ type: 'ByteLevel', add_prefix_space: false, trim_offsets: true, use_regex: true, ...options });
const silent = byteLevel({ use_regex: false });
const split = (pattern, behavior, invert = false) => ({ type: 'Split', pattern, behavior, invert });
const sequence = (key, ...steps) => ({ type: 'Sequence', [key]: steps });
const metaspace = (prepend_scheme, isSplit) => ({ type: 'Metaspace', replacement: '▁', prepend_scheme, split: isSplit });
const llama2Decoder = sequence('decoders', { type: 'Replace', pattern: { String: '▁' }, content: ' ' }, { type: 'ByteFallback' },
                               { type: 'Fuse' }, { type: 'Strip', content: ' ', start: 1, stop: 0 });
const llama2Normalizer = sequence('normalizers', { type: 'Prepend', prepend: '▁' },
                                  { type: 'Replace', pattern: { String: ' ' }, content: '▁' });
const template = (single, ids) => ({
  type: 'TemplateProcessing', single: single.map((id) => (id === 'A' ? { Sequence: { id, type_id: 0 } } : { SpecialToken: { id, type_id: 0 } })),
  pair: [{ Sequence: { id: 'A', type_id: 0 } }, { Sequence: { id: 'B', type_id: 1 } }],
  special_tokens: Object.fromEntries(Object.entries(ids).map(([id, list]) => [id, { id, ids: list, tokens: list.map(() => id) }])) });
const llama3Words = "(?i:'s|'t|'re|'ve|'m|'ll|'d)|[^\\r\\n\\p{L}\\p{N}]?\\p{L}+|\\p{N}{1,3}| ?[^\\s\\p{L}\\p{N}]+[\\r\\n]*|\\s*[\\r\\n]+|\\s+(?!\\S)|\\s+";
const bytes = { model: 'bytes', decoder: byteLevel() };
const space = { Regex: '\\s+' };

const tokenizers = {
  'byte-level': { ...bytes, pre_tokenizer: byteLevel(), post_processor: byteLevel() },
  'byte-level with a space in front': { ...bytes, pre_tokenizer: byteLevel({ add_prefix_space: true }) },
  'byte-level without words': { ...bytes, pre_tokenizer: silent },
  'words of Llama 3': { ...bytes, options: { ignore_merges: true }, pairs: true,
    added_tokens: [added('<|end|>', { special: true })], pre_tokenizer: sequence('pretokenizers', split({ Regex: llama3Words }, 'Isolated'), silent),
    post_processor: sequence('processors', byteLevel(), template(['<|end|>', 'A'], { '<|end|>': [models.bytes.tokens.length] })) },
  'digits one by one': { ...bytes, pre_tokenizer: sequence('pretokenizers', { type: 'Digits', individual_digits: true }, byteLevel()) },
  'digits together': { ...bytes, pre_tokenizer: sequence('pretokenizers', { type: 'Digits', individual_digits: false }, byteLevel()) },
  'letters before digits': { ...bytes, pre_tokenizer: sequence('pretokenizers', byteLevel(), { type: 'Digits', individual_digits: true }) },
  'byte-level twice': { ...bytes, pre_tokenizer: sequence('pretokenizers', silent, byteLevel()) },
  'unicode properties': { ...bytes, pre_tokenizer: sequence('pretokenizers',
    split({ Regex: '[\\p{Han}\\p{Hiragana}]+|\\p{Lu}+|[^\\P{L}a-e]|\\w{2,3}|\\d|\\u00e9|[\\x{1F600}-\\x{1F64F}]|(?<=a)b|\\S(?=\\s)|\\x41' }, 'Isolated'), silent) },
  'word characters': { ...bytes, pre_tokenizer: sequence('pretokenizers', split({ Regex: '\\w' }, 'Removed'), silent) },
  'word characters in a class': { ...bytes, pre_tokenizer: sequence('pretokenizers', split({ Regex: '[\\w]' }, 'Removed'), silent) },
  'no word characters': { ...bytes, pre_tokenizer: sequence('pretokenizers', split({ Regex: '\\W' }, 'Removed'), silent) },
  'fallback of Llama 2': { model: 'fallback', options: { byte_fallback: true, fuse_unk: true, unk_token: '<unk>' }, normalizer: llama2Normalizer,
    added_tokens: ['<unk>', '<s>', '</s>'].map((name) => added(name, { special: true })), decoder: llama2Decoder,
    post_processor: template(['<s>', 'A', '</s>'], { '<s>': [1], '</s>': [2] }) },
  'some bytes, unknown fused': { model: 'partial', options: { byte_fallback: true, fuse_unk: true, unk_token: '<unk>' }, decoder: llama2Decoder },
  'some bytes, unknown apart': { model: 'partial', options: { byte_fallback: true, fuse_unk: false, unk_token: '<unk>' }, decoder: llama2Decoder },
  'unknown fused': { model: 'unknown', options: { fuse_unk: true, unk_token: '<unk>' } },
  'unknown apart': { model: 'unknown', options: { fuse_unk: false, unk_token: '<unk>' } },
  'unknown dropped': { model: 'unknown' },
  'NFC': { ...bytes, normalizer: { type: 'NFC' }, pre_tokenizer: silent },
  'NFKC': { ...bytes, normalizer: { type: 'NFKC' }, pre_tokenizer: silent },
  'lower case': { ...bytes, normalizer: { type: 'Lowercase' }, pre_tokenizer: byteLevel() },
  'replaced by an expression': { ...bytes, pre_tokenizer: silent,
    normalizer: sequence('normalizers', { type: 'Replace', pattern: { Regex: '[aeiou]+|\\s{2,}' }, content: '$0' }, { type: 'Prepend', prepend: 'x' }) },
  'whitespace': { model: 'unknown', options: { unk_token: '<unk>' }, pre_tokenizer: { type: 'Whitespace' } },
  'added tokens': { model: 'unknown', options: { unk_token: '<unk>' }, normalizer: { type: 'Lowercase' },
    added_tokens: [added('<mask>', { lstrip: true, special: true }), added('<left>', { lstrip: true }), added('<right>', { rstrip: true }),
      added('<both>', { lstrip: true, rstrip: true, special: true }), added('word', { single_word: true }),
      added('words', { single_word: true, normalized: true }), added('THE', { normalized: true }), added('the'), added('the lower', { normalized: true }),
      added('mask', { special: true }), added('STRASSE', { normalized: true }), added('s', { single_word: true })] },
  'decoder strips both ends': { model: 'unknown', decoder: sequence('decoders',
    // The library panics if nothing is left to strip.
    { type: 'Strip', content: 'r', start: 0, stop: 1 }, { type: 'Strip', content: 'e', start: 1, stop: 0 },
    { type: 'Replace', pattern: { Regex: '[an]+' }, content: '*' }) },
};
for (const behavior of ['Removed', 'Isolated', 'MergedWithPrevious', 'MergedWithNext', 'Contiguous'])
  for (const [what, pattern] of Object.entries({ expression: space, string: { String: '-' } }))
    for (const invert of [false, true])
      tokenizers[`${what} ${behavior}${invert ? ' inverted' : ''}`] =
        { ...bytes, pre_tokenizer: sequence('pretokenizers', split(pattern, behavior, invert), silent) };
for (const scheme of ['always', 'first', 'never'])
  for (const isSplit of [true, false])
    tokenizers[`metaspace ${scheme}${isSplit ? ' split' : ''}`] =
      { model: 'unknown', options: { unk_token: '<unk>' }, pre_tokenizer: metaspace(scheme, isSplit), decoder: metaspace(scheme, isSplit),
        added_tokens: [added('<s>', { special: true })] };

// --- The file that a tokenizer stands for; small_tokenizers_test.cpp makes the same.
function fileOf({ model, options = {}, pairs = false, added_tokens = [], ...steps }) {
  const { tokens, merges } = models[model];
  let next = tokens.length;
  const withIds = added_tokens.map((token) => ({ id: tokens.includes(token.content) ? tokens.indexOf(token.content) : next++, ...token }));
  return { version: '1.0', truncation: null, padding: null, added_tokens: withIds, normalizer: null, pre_tokenizer: null, post_processor: null,
    decoder: null, ...steps, model: { type: 'BPE', dropout: null, unk_token: null, continuing_subword_prefix: null, end_of_word_suffix: null,
      fuse_unk: false, byte_fallback: false, ...options, vocab: Object.fromEntries(tokens.map((token, id) => [token, id])),
      merges: pairs ? merges : merges.map((pair) => pair.join(' ')) } };
}

const result = { models, texts, tokenizers: [] };
for (const [name, description] of Object.entries(tokenizers)) {
  const tokenizer = Tokenizer.fromString(JSON.stringify(fileOf(description)));
  const cases = [];
  for (const text of texts) {
    const ids = async (addSpecialTokens) => (await tokenizer.encode(text, null, { addSpecialTokens })).getIds();
    const decode = async (list, skip) => (list.length ? tokenizer.decode(list, skip) : '');
    const plainIds = await ids(false);
    const special = await ids(true);
    const row = { ids: plainIds, decoded: await decode(plainIds, false) };
    if (String(special) !== String(plainIds)) row.with_special = special;
    const without = await decode(special, true);
    if (without !== row.decoded) row.decoded_without_special = without;
    cases.push(row);
  }
  result.tokenizers.push({ name, ...description, cases });
}
const lines = result.tokenizers.map(({ cases, ...rest }) =>
  `  ${JSON.stringify(rest).slice(0, -1)},\n   "cases": [\n${cases.map((row) => '    ' + JSON.stringify(row)).join(',\n')}]}`);
const out = path.join(path.dirname(fileURLToPath(import.meta.url)), 'golden/small_tokenizers.json');
fs.writeFileSync(out, `{"models": {\n${Object.entries(models).map(([name, model]) => `  "${name}": ${JSON.stringify(model)}`).join(',\n')}},\n` +
  `"texts": ${JSON.stringify(texts)},\n"tokenizers": [\n${lines.join(',\n')}]}\n`);
