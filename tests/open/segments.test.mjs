// Segments in the hands of another reader, npm apache-arrow: every column of every row against what the rows were made
// of (segment_files.c says it), and files of that library in our hands. docs/segments.md is what this holds to.
import assert from 'node:assert/strict';
import { execFileSync } from 'node:child_process';
import { mkdtempSync, readFileSync, readdirSync, rmSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { after, before, test } from 'node:test';
import { RecordBatchFileWriter, Type, tableFromArrays, tableFromIPC } from 'apache-arrow';
import { columnsOf, readRows } from './read.mjs';

const PROGRAM = process.env.SEGMENT_FILES;
const dir = mkdtempSync(join(tmpdir(), 'sightglass-open-'));
const names = () => readdirSync(dir).filter((n) => n.endsWith('.json')).map((n) => n.slice(0, -5));
const table = (name) => tableFromIPC(readFileSync(join(dir, `${name}.arrow`)));
const made = (name) => JSON.parse(readFileSync(join(dir, `${name}.json`), 'utf8'));
const opened = (path) => execFileSync(PROGRAM, ['--open', path], { encoding: 'utf8' }).trim();

before(() => execFileSync(PROGRAM, [dir]));
after(() => rmSync(dir, { recursive: true }));

// The type of a column, as one word.
function typeOf(field) {
  const { type } = field;
  if (type.typeId === Type.Dictionary) return `dictionary<${type.indices}, ${type.dictionary}>`;
  if (type.typeId === Type.List) return `list<${typeOf(type.children[0])}>`;
  if (type.typeId === Type.Struct) return `struct<${type.children.map((c) => `${c.name}: ${typeOf(c)}`).join(', ')}>`;
  return String(type) + (field.nullable ? '?' : '');
}

const CODED = 'dictionary<Int32, Utf8>';
const COLUMNS = {
  id: 'Utf8',
  id_hash: 'Uint64',
  same_id: 'Uint32',
  content: 'Uint64',
  time: 'Timestamp<MICROSECOND, UTC>',
  received: 'Timestamp<MICROSECOND, UTC>',
  seq: 'Uint64',
  index: 'Uint32',
  flags: 'Uint8',
  latency: 'Float64?',
  latency_bin: 'Uint16?',
  confidence: 'Float64?',
  confidence_bin: 'Uint16?',
  model: CODED,
  model_name: CODED,
  model_sha256: CODED,
  device: CODED,
  source: CODED,
  source_info: CODED,
  server: CODED,
  server_version: CODED,
  width: 'Uint32?',
  height: 'Uint32?',
  error: 'Utf8?',
  picture: 'FixedSizeBinary[32]?',
  detections:
    `list<struct<class: ${CODED}, class_id: Int64?, confidence: Float64?, confidence_bin: Uint16?, ` +
    'x: Float64?, y: Float64?, width: Float64?, height: Float64?, detection_id: Utf8?, other: Utf8?>>',
  history:
    `list<struct<field: ${CODED}, seq: Uint64, time: Timestamp<MICROSECOND, UTC>, key: Uint32, ` +
    `value: ${CODED}>>`,
};

test('every column of every row is what the row was made of', () => {
  let rows = 0;
  for (const name of names()) {
    const want = made(name).rows, got = readRows(table(name));
    assert.equal(got.length, want.length);
    want.forEach((row, i) => assert.deepStrictEqual(got[i], row, `${name}, row ${i}`));
    rows += got.length;
  }
  assert.ok(rows > 2000);
});

test('the columns have the types that docs/segments.md gives them', () => {
  for (const name of names()) {
    const { fields } = table(name).schema;
    const fixed = fields.filter((f) => !f.metadata.has('sightglass.field'));
    const want = { ...COLUMNS };
    if (made(name).rows.every((row) => row.picture === null)) delete want.picture;
    assert.deepEqual(Object.fromEntries(fixed.map((f) => [f.name, typeOf(f)])), want);
    assert.deepEqual(fields.slice(0, fixed.length), fixed);
  }
});

test('a metadata column is named after its field and kind, without ambiguity', () => {
  const { metadata } = columnsOf(table('many'));
  assert.equal(metadata.length, 36);
  for (const { name, field, kind } of metadata) {
    const plain = kind === 'text' && !/:(text|number|bool)$/.test(field);
    assert.equal(name, `metadata.${field}${plain ? '' : `:${kind}`}`);
  }
  assert.equal(new Set(metadata.map((m) => m.name)).size, metadata.length);
});

test('dictionaries are sorted behind a placeholder that no row has, and null slots point to it', () => {
  let nulls = 0;
  for (const name of names()) {
    const t = table(name);
    const vectors = t.schema.fields.map((_, i) => t.getChildAt(i));
    for (const list of ['detections', 'history']) {
      const item = t.getChild(list).getChildAt(0);
      vectors.push(...item.type.children.map((_, i) => item.getChildAt(i)));
    }
    for (const vector of vectors.filter((v) => v.type.typeId === Type.Dictionary)) {
      const [data] = vector.data;
      const [placeholder, ...texts] = data.dictionary.toArray();
      assert.match(placeholder, /^\0*$/);
      assert.ok(!texts.includes(placeholder));
      assert.deepEqual(texts, [...texts].sort((a, b) => Buffer.compare(Buffer.from(a), Buffer.from(b))));
      assert.equal(new Set(texts).size, texts.length);
      for (let i = 0; i < data.length; i++) {
        assert.equal(data.values[i] === 0, !data.getValid(i));
        nulls += data.values[i] === 0;
      }
    }
  }
  assert.ok(nulls > 1000);
});

test('no column of a bare segment has a value, and all its lists are empty', () => {
  const t = table('bare');
  const { fixed, metadata } = columnsOf(t);
  assert.equal(metadata.length, 0);
  for (const name of ['latency', 'confidence', 'confidence_bin', 'model', 'device', 'width', 'error'])
    assert.equal(fixed.get(name).nullCount, t.numRows, name);
  for (const name of ['detections', 'history']) assert.equal(fixed.get(name).getChildAt(0).length, 0);
});

test('the footer says which segment it is', () => {
  for (const name of names()) {
    const bytes = readFileSync(join(dir, `${name}.arrow`)).toString('latin1');
    for (const [key, value] of Object.entries(made(name).footer)) {
      const at = bytes.lastIndexOf(`${key}\0`), there = bytes.slice(at, at + 100);
      assert.ok(at > 0 && there.includes(`${value}\0`), `${name}: ${key} is not ${value}`);
    }
  }
});

test('what we wrote is sound', () => {
  for (const name of names()) assert.equal(opened(join(dir, `${name}.arrow`)), 'sound');
});

test('a file of another program is refused, and told from a damaged one', () => {
  const path = join(dir, 'theirs.arrow');
  const theirs = tableFromArrays({ id: ['a', 'b'], time: Int32Array.from([1, 2]) });
  writeFileSync(path, RecordBatchFileWriter.writeAll(theirs).toUint8Array(true));
  const why = 'the footer has no checksums: this is no file of Sightglass, or it was rewritten';
  assert.equal(opened(path), `segment ${path}: ${why}`);
  rmSync(path);
});

test('a segment that another program has rewritten is refused', () => {
  const path = join(dir, 'rewritten.arrow');
  for (const name of names()) {
    const again = RecordBatchFileWriter.writeAll(table(name)).toUint8Array(true);
    writeFileSync(path, again);
    assert.deepStrictEqual(readRows(tableFromIPC(again)), made(name).rows); // nothing is lost in it, but
    assert.match(opened(path), /the footer has no checksums/);
    rmSync(path);
  }
});
