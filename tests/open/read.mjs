// A segment as npm apache-arrow reads it: rows as plain objects, every column in them.
import assert from 'node:assert/strict';

const KINDS = { text: 'string', number: 'number', bool: 'boolean' };

// The columns by their names; those of metadata by field and kind, as their own metadata says, in order.
export function columnsOf(t) {
  const fixed = new Map(), metadata = [];
  t.schema.fields.forEach((field, i) => {
    const { name } = field, values = t.getChildAt(i);
    const of = field.metadata.get('sightglass.field'), kind = field.metadata.get('sightglass.kind');
    if (of === undefined) fixed.set(name, values);
    else metadata.push({ name, field: of, kind, values });
  });
  return { fixed, metadata };
}

// Timestamps as they stand in the file: the library's own getter makes milliseconds of them.
function rawTimes(vector) {
  const words = ({ values, length }) => new BigInt64Array(values.buffer, values.byteOffset, length);
  return vector.data.flatMap((d) => Array.from(words(d), String));
}

const hex = (bytes) => (bytes === null ? null : Buffer.from(bytes).toString('hex'));
const text = (v) => (typeof v === 'bigint' ? String(v) : v);

// A list column as plain objects, with the times put back in microseconds.
function listRows(vector, times) {
  const offsets = vector.data[0].valueOffsets;
  return Array.from({ length: vector.length }, (_, row) => {
    const list = vector.get(row);
    assert.notEqual(list, null);
    return Array.from(list, (item, i) => {
      const o = {};
      for (const [key, value] of Object.entries(item.toJSON())) o[key] = text(value);
      if (times) o.time = times[offsets[row] + i];
      return o;
    });
  });
}

export function readRows(t) {
  const { fixed, metadata } = columnsOf(t);
  const times = { time: rawTimes(fixed.get('time')), received: rawTimes(fixed.get('received')) };
  const history = fixed.get('history');
  const entryTimes = rawTimes(history.getChildAt(0).getChildAt(2));
  const lists = { detections: listRows(fixed.get('detections')), history: listRows(history, entryTimes) };
  return Array.from({ length: t.numRows }, (_, row) => {
    const r = { picture: null };
    for (const [name, values] of fixed) r[name] = name === 'picture' ? hex(values.get(row)) : text(values.get(row));
    for (const name of Object.keys(times)) r[name] = times[name][row];
    for (const name of Object.keys(lists)) r[name] = lists[name][row];
    r.history = r.history.map((h) => ({ ...h, value: h.value === null ? null : JSON.parse(h.value) }));
    r.metadata = {};
    for (const { field, kind, values } of metadata) {
      const value = values.get(row);
      if (value === null) continue;
      assert.ok(!(field in r.metadata), `row ${row} has two values of ${field}`);
      assert.equal(typeof value, KINDS[kind]);
      r.metadata[field] = value;
    }
    return r;
  });
}
