// The running program's segments in the hands of npm apache-arrow: once everything is sealed and folded, the files that
// MANIFEST names have, row by row and value by value, what the API answers.
import assert from 'node:assert/strict';
import { spawn } from 'node:child_process';
import { mkdtempSync, readFileSync, rmSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { after, before, test } from 'node:test';
import { setTimeout as sleep } from 'node:timers/promises';
import { tableFromIPC } from 'apache-arrow';
import { readRows } from './read.mjs';

const KEY = 'sg_open_tests_key_0123456789abcdef';
const ROWS = 64; // of a full segment, and as many writes as one takes before it is folded
const SEGMENTS = 4;
const data = mkdtempSync(join(tmpdir(), 'sightglass-open-'));
let server, origin;

before(async () => {
  const settings = { SIGHTGLASS_API_KEY: KEY, SIGHTGLASS_SEGMENT_ROWS: String(ROWS), SIGHTGLASS_FOLD_SHARE: '1' };
  server = spawn(process.env.SIGHTGLASS_BIN, ['serve', '--data', data, '--listen', '127.0.0.1:0', '--workspace', 'demo'], {
    env: { ...process.env, ...settings },
    stdio: ['ignore', 'pipe', 'inherit'],
  });
  let out = '';
  for await (const chunk of server.stdout) {
    out += chunk;
    origin = /^listening on (http:\/\/\S+)$/m.exec(out)?.[1];
    if (origin) break;
  }
  assert.ok(origin, 'the program ended before it was ready');
});

after(async () => {
  const ended = new Promise((done) => server.once('exit', done));
  if (server.exitCode === null && server.kill('SIGTERM')) await ended;
  rmSync(data, { recursive: true });
});

async function call(path, body, method = body === undefined ? 'GET' : 'POST') {
  const headers = { Authorization: `Bearer ${KEY}`, 'Content-Type': 'application/json' };
  const answer = await fetch(origin + path, { method, headers, body: body === undefined ? undefined : JSON.stringify(body) });
  const text = await answer.text();
  assert.ok(answer.ok, `${method} ${path}: ${answer.status} ${text}`);
  return JSON.parse(text);
}

// Something of everything: members there and not there, several rows of an id, failures, metadata of all types.
function inference(i, time) {
  const predictions = Array.from({ length: i % 4 }, (_, k) => ({
    class: ['bottle', 'cap', '\u00e4'][(i + k) % 3],
    confidence: ((i * 37 + k * 11) % 1000) / 1000,
    ...(k !== 1 && { x: i + 0.25, y: 1e-3 * k, width: 100, height: 80 }),
    ...(k === 2 && { class_id: i, detection_id: `d-${i}` }),
  }));
  return {
    inference_id: `part-${Math.floor(i / 1.5)}`,
    model_id: `line/${i % 3}`,
    time: new Date(time + i * 1000).toISOString(),
    predictions,
    ...(i % 5 && { latency_s: i / 1000 }),
    ...(i % 7 === 0 && { error: `no light ${i}` }),
    ...(i % 2 && { device_id: `edge-${i % 6}`, source: 'plc', source_info: 'cam 1', server_id: 's', server_version: '1' }),
    ...(i % 3 && { image: { width: 1920, height: 1080 } }),
    ...(i % 11 === 0 && { model_name: 'A name', model_sha256: '00ff', index: 3 }),
    ...(i % 4 && { metadata: { serial_number: `SN-${i}`, torque: i / 7, ok: i % 8 > 3, 'shift:number': i % 3 ? 'late' : 3 } }),
  };
}

// The rows of the files that count now; undefined when one went away meanwhile.
function sealedRows() {
  const rows = [];
  try {
    for (const line of readFileSync(join(data, 'MANIFEST'), 'utf8').split('\n')) {
      const [word, number, version] = line.split(' ');
      if (word !== 'segment') continue;
      rows.push(...readRows(tableFromIPC(readFileSync(join(data, `workspaces/1/segments/${number}.${version}.arrow`)))));
    }
  } catch (e) {
    if (e.code !== 'ENOENT') throw e;
    return undefined;
  }
  return rows;
}

const stamp = (us) => new Date(Number(BigInt(us) / 1000n)).toISOString().replace('Z', '') + us.slice(-3) + 'Z';

// A row of a file in the API's words.
function answered(row, history) {
  const predictions = row.detections.map(({ confidence_bin, other, ...d }) => ({
    ...d,
    class_id: d.class_id === null ? null : Number(d.class_id),
    ...(other && JSON.parse(other)),
  }));
  return {
    inference_id: row.id,
    model_id: row.model,
    model_name: row.model_name,
    model_sha256: row.model_sha256,
    index: row.index,
    time: stamp(row.time),
    received: stamp(row.received),
    latency_s: row.latency,
    device_id: row.device,
    source: row.source,
    source_info: row.source_info,
    server_id: row.server,
    server_version: row.server_version,
    partial: (row.flags & 2) !== 0,
    clock_suspect: (row.flags & 16) !== 0,
    image: { width: row.width, height: row.height, url: null, thumbnail_url: null, annotation_url: null, uploads: [] },
    predictions,
    metadata: row.metadata,
    error: row.error,
    metadata_history: history.map((h) => ({ field: h.field, value: h.value, time: stamp(h.time), removed: h.value === null })),
  };
}

// What the API says of a row, without what no file has: who wrote, what the value was before, what else the id has.
async function asked(row) {
  const path = `/api/v1/demo/inferences/${row.id}?index=${row.index}&model=${encodeURIComponent(row.model)}`;
  const { siblings, incomplete, metadata_history, ...rest } = await call(path);
  assert.deepEqual(incomplete, []);
  const history = metadata_history.map(({ field, value, time, removed }) => ({ field, value, time, removed })).reverse();
  return { ...rest, metadata_history: history };
}

test('the files have what the API answers', { timeout: 120_000 }, async () => {
  const all = Array.from({ length: ROWS * SEGMENTS }, (_, i) => inference(i, Date.now() - 3_600_000));
  const next = { inference_id: 'next', model_id: 'line/0' }; // with it the last segment is known to be full
  const sent = [...all, next];
  for (let i = 0; i < sent.length; i += 50) await call('/api/v1/demo/inferences', sent.slice(i, i + 50));
  const ids = [...new Set(all.map((x) => x.inference_id))];
  let rows;
  while ((rows = sealedRows())?.length !== all.length) await sleep(20);

  // Onto sealed rows: changed, of another type, removed, new; and last one that all ids get at once, which has each
  // segment folded when all else is in it.
  for (let i = 0; i < ids.length; i += 3) {
    const field = ['serial_number', 'torque', 'new one'][i % 9 / 3];
    const path = `/api/v1/demo/inferences/${ids[i]}/metadata/${encodeURIComponent(field)}`;
    await call(path, { value: i % 2 ? `changed "${i}"\n` : i / 3 }, 'PUT');
    if (i % 4 === 0) await call(path, undefined, 'DELETE');
  }
  const done = { inference_ids: ids, field_name: 'done', field_value: 'yes' };
  await call('/demo/inference-stats/metadata', { data: [done] });
  while (!(rows = sealedRows()) || rows.some((r) => r.metadata.done !== 'yes')) await sleep(20);

  assert.equal(rows.length, all.length);
  const histories = new Map();
  for (const row of rows) if (row.history.length) histories.set(row.id, row.history);
  for (const row of rows) assert.deepStrictEqual(answered(row, histories.get(row.id) ?? []), await asked(row));
});
