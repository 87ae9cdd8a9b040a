// node onnx_run.js RUNTIME MODEL X.npy [MODEL X.npy]...: run each model on its f32
// array; prints a JSON list of {dims, data}.
const fs = require('fs');
const path = require('path');
const [runtime, ...work] = process.argv.slice(2);
const ort = require(path.resolve(runtime, 'ort.node.min.js'));
ort.env.wasm.numThreads = 1;
ort.env.logLevel = 'error';

function npy(file) {
  const b = fs.readFileSync(file);
  const length = b.readUInt16LE(8);
  const header = b.toString('latin1', 10, 10 + length);
  const shape = header.match(/'shape': *\(([^)]*)\)/)[1].split(',').filter((s) => s.trim()).map(Number);
  const data = b.buffer.slice(b.byteOffset + 10 + length, b.byteOffset + b.length);
  return new ort.Tensor('float32', new Float32Array(data), shape);
}

(async () => {
  const results = [];
  for (let i = 0; i < work.length; i += 2) {
    const session = await ort.InferenceSession.create(fs.readFileSync(work[i]));
    const out = await session.run({[session.inputNames[0]]: npy(work[i + 1])});
    const t = out[session.outputNames[0]];
    results.push({dims: t.dims, data: Array.from(t.data)});
  }
  console.log(JSON.stringify(results));
})().catch((e) => { console.error(e.message || e); process.exit(1); });
