// The demo models after conversion against their originals: ONNX Runtime against TensorFlow.js, both on the
// sample photos of the Debian package darknet. Run it by run.sh.
import assert from 'node:assert/strict';
import { execFileSync, spawnSync } from 'node:child_process';
import fs from 'node:fs';
import { createRequire } from 'node:module';
import os from 'node:os';
import path from 'node:path';
import { after, before, test } from 'node:test';
import { fileURLToPath } from 'node:url';
import '@tensorflow/tfjs-backend-cpu';
import { loadGraphModel } from '@tensorflow/tfjs-converter';
import * as tf from '@tensorflow/tfjs-core';

const MODELS = fileURLToPath(new URL('../../models/', import.meta.url));
const PACKAGE = path.join(MODELS, 'node_modules/@vladmandic/human');
const SOURCE = path.join(PACKAGE, 'models/centernet.json');
const PHOTOS = process.env.PHOTOS ?? '/usr/share/darknet/data';
const PYTHON = '/usr/bin/python3'; // Debian's: it has onnx, numpy and PIL
// Of a score; of a box side in input pixels, or in thousandths of it where it is longer than one: float32 leaves
// 3e-3 px of noise in sides of 100 to 300 px, as much as between ONNX Runtime's own optimization levels.
const TOLERANCE = 1e-3;

// What the photos show, as [class, left, top, right, bottom] in the 512 x 512 input. The truck is seen as a car too.
const SEEN = {
  dog: [['dog', 83, 184, 208, 482], ['bicycle', 74, 113, 376, 395], ['truck', 315, 72, 456, 147]],
  person: [['person', 150, 134, 221, 453], ['dog', 54, 319, 161, 420]],
  horses: [['horse', 287, 209, 399, 346], ['horse', 0, 188, 208, 413]],
  giraffe: [['giraffe', 166, 26, 463, 454], ['zebra', 314, 209, 433, 459]],
  eagle: [['bird', 86, 84, 408, 444]],
  kite: [['kite', 223, 45, 253, 88], ['kite', 104, 133, 116, 159], ['person', 80, 395, 104, 483]],
};

const description = JSON.parse(fs.readFileSync(path.join(MODELS, 'coco-centernet/model.json')));
const ort = createRequire(path.join(MODELS, 'package.json'))('onnxruntime-node');
const folder = fs.mkdtempSync(path.join(os.tmpdir(), 'sightglass-models-'));
let original, session;

/** Runs the converter in a folder of its own. */
function convert(name, desc = description, source = SOURCE) {
  const dir = path.join(folder, name);
  fs.mkdirSync(dir);
  fs.writeFileSync(path.join(dir, 'model.json'), JSON.stringify(desc));
  const run = spawnSync(PYTHON, [path.join(MODELS, 'convert.py'), source, dir], { encoding: 'utf8' });
  return { dir, file: path.join(dir, 'model.onnx'), status: run.status, error: run.stderr };
}

/** A photo as the server feeds it: RGB 0..255, stretched to the input size. */
function pixels(photo, { width, height } = description.input) {
  const program = `import sys; from PIL import Image
image = Image.open(sys.argv[1]).convert("RGB").resize((${width}, ${height}), Image.BILINEAR)
sys.stdout.buffer.write(image.tobytes())`;
  const file = path.join(PHOTOS, `${photo}.jpg`);
  assert(fs.existsSync(file), `no ${file}: install the Debian package darknet, or set PHOTOS to a folder with its photos`);
  return Float32Array.from(execFileSync(PYTHON, ['-c', program, file], { maxBuffer: 1 << 24 }));
}

async function loadOriginal(source = SOURCE) {
  tf.env().set('IS_TEST', true); // no banner
  await tf.setBackend('cpu');
  const { modelTopology, signature, weightsManifest: [group] } = JSON.parse(fs.readFileSync(source));
  const data = Buffer.concat(group.paths.map((p) => fs.readFileSync(path.join(path.dirname(source), p))));
  const weightData = data.buffer.slice(data.byteOffset, data.byteOffset + data.length);
  return loadGraphModel({ load: async () => ({ modelTopology, signature, weightSpecs: group.weights, weightData }) });
}

/** The decoder as models/README.md gives it: [class, score, left, top, right, bottom], best first. */
function decode(scores, boxes, least) {
  const { stride, classes, input } = description;
  const w = input.width / stride, h = input.height / stride, n = classes.length;
  const score = (x, y, c) => (x < 0 || y < 0 || x >= w || y >= h ? -1 : scores[(y * w + x) * n + c]);
  const found = [];
  for (let y = 0; y < h; y++) for (let x = 0; x < w; x++) for (let c = 0; c < n; c++) {
    const s = score(x, y, c);
    if (s < least) continue;
    const beaten = [-1, 0, 1].some((dy) => [-1, 0, 1].some((dx) => score(x + dx, y + dy, c) > s));
    if (beaten) continue;
    const [l, t, r, b] = boxes.slice((y * w + x) * 4);
    found.push([classes[c], s, x * stride - l, y * stride - t, x * stride + r, y * stride + b]);
  }
  return found.sort((a, b) => b[1] - a[1]);
}

function overlap([, ...a], [, , ...b]) {
  const area = ([l, t, r, u]) => Math.max(0, r - l) * Math.max(0, u - t);
  const both = area([Math.max(a[0], b[0]), Math.max(a[1], b[1]), Math.min(a[2], b[2]), Math.min(a[3], b[3])]);
  return both / (area(a) + area(b) - both);
}

/** Largest |got - want| / max(1, |want|). */
function largestDifference(got, want) {
  assert.equal(got.length, want.length);
  let largest = 0;
  for (let i = 0; i < got.length; i++) {
    const d = Math.abs(got[i] - want[i]) / Math.max(1, Math.abs(want[i]));
    if (Number.isNaN(d)) return NaN; // within no tolerance
    if (d > largest) largest = d;
  }
  return largest;
}

before(async () => {
  const made = convert('made');
  assert.equal(made.status, 0, made.error);
  original = await loadOriginal();
  session = await ort.InferenceSession.create(made.file, { intraOpNumThreads: 2 });
});
after(() => fs.rmSync(folder, { recursive: true }));

for (const photo of Object.keys(SEEN)) {
  test(`${photo}: same outputs, same detections, the right things seen`, async (t) => {
    const { input, outputs, confidence } = description;
    const x = pixels(photo), shape = [1, input.height, input.width, 3];
    const start = performance.now();
    const got = await session.run({ [input.name]: new ort.Tensor('float32', x, shape) });
    const ms = performance.now() - start;
    const names = [outputs.scores, outputs.boxes, 'tower_0/detections'];
    const [scores, boxes, detections] = original.execute({ [input.name]: tf.tensor(x, shape) }, names);

    for (const [name, want] of [[outputs.scores, scores], [outputs.boxes, boxes]]) {
      assert.deepEqual([...got[name].dims], want.shape, name);
      const largest = largestDifference(got[name].data, want.dataSync());
      t.diagnostic(`${name} differs by ${largest.toExponential(1)} at most`);
      assert(largest < TOLERANCE, `${name}: differs by ${largest}`);
    }

    // The original also decodes, in the part that is cut off: left, top, right, bottom, score, class.
    const least = 0.1;
    const found = decode(got[outputs.scores].data, got[outputs.boxes].data, least - TOLERANCE);
    const wanted = detections.arraySync()[0].map(([l, u, r, b, s, c]) => [description.classes[c], s, l, u, r, b]);
    const among = (list) => (a) => a[1] < least
      || list.some((b) => a[0] === b[0] && largestDifference(a.slice(1), b.slice(1)) < TOLERANCE);
    assert.deepEqual(wanted.filter((d) => !among(found)(d)), [], 'the original finds these');
    assert.deepEqual(found.filter((d) => !among(wanted)(d)), [], 'the original does not find these');

    const sure = found.filter((d) => d[1] >= confidence);
    t.diagnostic(`${ms.toFixed(0)} ms: ${sure.map((d) => `${d[0]} ${d[1].toFixed(2)}`).join(', ')}`);
    for (const thing of SEEN[photo]) {
      assert(sure.some((d) => d[0] === thing[0] && overlap(thing, d) > 0.7), `no ${thing[0]} where it is`);
    }
  });
}

test('movenet-lightning: the same keypoints as the original', async (t) => {
  const source = path.join(PACKAGE, 'models/movenet-lightning.json');
  const desc = JSON.parse(fs.readFileSync(path.join(MODELS, 'movenet-lightning/model.json')));
  const made = convert('movenet', desc, source);
  assert.equal(made.status, 0, made.error);
  const network = await ort.InferenceSession.create(made.file), first = await loadOriginal(source);
  for (const photo of Object.keys(SEEN)) {
    const x = pixels(photo, desc.input), shape = [1, desc.input.height, desc.input.width, 3];
    const got = (await network.run({ input: new ort.Tensor('float32', x, shape) })).Identity;
    const want = first.execute({ 'input': tf.tensor(x, shape, 'int32') });
    assert.deepEqual([...got.dims], want.shape);
    const largest = largestDifference(got.data, want.dataSync());
    t.diagnostic(`${photo} differs by ${largest.toExponential(1)} at most`);
    assert(largest < TOLERANCE, `${photo}: differs by ${largest}`);
  }
  assert(fs.readFileSync(convert('movenet-again', desc, source).file).equals(fs.readFileSync(made.file)));
});

test('the class names are those of the package, in its order', () => {
  const labels = fs.readFileSync(path.join(PACKAGE, 'src/object/labels.ts'), 'utf8');
  assert.deepEqual(description.classes, [...labels.matchAll(/label: '([^']+)'/g)].map((m) => m[1]));
});

test('converting again gives the same bytes', () => {
  const again = convert('again');
  assert.equal(again.status, 0, again.error);
  assert(fs.readFileSync(again.file).equals(fs.readFileSync(path.join(folder, 'made/model.onnx'))));
});

test('an unknown operator is refused by node and name, and leaves no file', () => {
  const outputs = { ...description.outputs, boxes: 'tower_0/detections' };
  const { status, error, file } = convert('unknown', { ...description, outputs });
  assert.equal(status, 1);
  assert.match(error, /node tower_0\/max_pooling2d\/MaxPool \(MaxPool\): this operator is not supported/);
  assert(!fs.existsSync(file));
});

test('a description that does not fit the network is refused', () => {
  const few = convert('few', { ...description, classes: ['person'] });
  assert.equal(few.status, 1);
  assert.match(few.error, /names 1 classes, the network has 80/);
  const small = convert('small', { ...description, input: { ...description.input, width: 256 } });
  assert.equal(small.status, 1);
  assert.match(small.error, /the network has/);
});

test('weights that end early are refused', () => {
  const cut = path.join(folder, 'cut.json');
  fs.copyFileSync(SOURCE, cut);
  const data = fs.readFileSync(SOURCE.replace('.json', '.bin'));
  fs.writeFileSync(path.join(folder, 'centernet.bin'), data.subarray(0, data.length - 2));
  const { status, error } = convert('cut', description, cut);
  assert.equal(status, 1);
  assert.match(error, /weight files end before/);
});
