// DuckDB as a peer: loads the rows that `loadgen rows` wrote, and answers questions.
//
//   node run.mjs load DATABASE CSV
//   node run.mjs ask DATABASE FILE ROUNDS  a statement a line; one JSON object a line: ms of each round, and the rows
//
// Two threads, as the machine of the goals has cores. No network, no extensions.
import { readFileSync } from 'node:fs';
import { DuckDBInstance } from '@duckdb/node-api';

const [what, database, source, rounds = '1'] = process.argv.slice(2);
const instance = await DuckDBInstance.create(database, {
  threads: '2',
  autoinstall_known_extensions: 'false',
  autoload_known_extensions: 'false',
});
const connection = await instance.connect();

// Detections as lists and metadata as columns of their inference: the best case for a scan (a table of detections joined
// to it takes three times as long), though nothing could then be attached by id at rate.
async function load() {
  const started = performance.now();
  const csv = source.replaceAll("'", "''");
  const first = "{number: 'BIGINT', id: 'UUID', time_us: 'BIGINT', model: 'UTINYINT', device: 'UTINYINT', " +
    "latency_s: 'DOUBLE', classes: 'UTINYINT[]', confidences: 'DOUBLE[]'}";
  await connection.run(`CREATE TABLE ev AS FROM read_csv('${csv}', header = true, types = ${first})`);
  await connection.run('CHECKPOINT');
  console.log(JSON.stringify({ work: 'load', seconds: (performance.now() - started) / 1000 }));
}

async function ask() {
  for (const sql of readFileSync(source, 'utf8').split('\n').filter(Boolean)) {
    const ms = [];
    let rows;
    for (let round = 0; round < Number(rounds); round++) {
      const started = performance.now();
      rows = (await connection.runAndReadAll(sql)).getRowsJson();
      ms.push(performance.now() - started);
    }
    console.log(JSON.stringify({ ms, rows }));
  }
}

await { load, ask }[what]();
connection.closeSync();
