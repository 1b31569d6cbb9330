// Masks by transformers.js: node transformers.mjs <package> <models> <output>, with jobs as JSON on standard input.
// A job is { task, model, pictures }; the answer has an entry for each picture, in the same order.
import { writeFile } from "node:fs/promises";
import { join } from "node:path";
import { text } from "node:stream/consumers";

const [packagePath, localModelPath, output] = process.argv.slice(2);
const { LogLevel, env, pipeline } = await import(packagePath);
// only the files in the folder: nothing is downloaded, cached or logged
const quiet = { useFSCache: false, useWasmCache: false, logLevel: LogLevel.NONE };
Object.assign(env, { allowRemoteModels: false, localModelPath, ...quiet });

let written = 0;
async function saved(label, { width, height, data }) {
  const file = join(output, `${written++}.raw`);
  await writeFile(file, data);
  return { label, width, height, file };
}

async function masks(task, run, picture) {
  const result = await run(picture);
  if (task !== "background-removal") return Promise.all(result.map(({ label, mask }) => saved(label, mask)));
  return [await saved("", { ...result, data: result.data.filter((_, index) => index % 4 === 3) })]; // alpha of RGBA
}

const answers = [];
for (const { task, model, pictures } of JSON.parse(await text(process.stdin))) {
  const session_options = { intraOpNumThreads: 1 }; // the other test worker has the other core
  const run = await pipeline(task, model, { dtype: "fp32", device: "cpu", session_options });
  for (const picture of pictures) {
    try {
      answers.push({ masks: await masks(task, run, picture) });
    } catch (error) {
      answers.push({ error: error.message });
    }
  }
  await run.dispose();
}
console.log(JSON.stringify(answers));
