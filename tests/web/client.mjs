// Drives the public endpoints with Gradio's own client: node client.mjs <package> <url> <task> <picture>...
import { readFile } from "node:fs/promises";
import { basename } from "node:path";

const [packagePath, url, task, ...pictures] = process.argv.slice(2);
const { Client, handle_file } = await import(packagePath);
const client = await Client.connect(url, { events: ["data", "status"] });
const files = pictures.map(async (path) => handle_file(new File([await readFile(path)], basename(path))));
const images = await Promise.all(files);

const tasks = {
  async models() {
    return (await client.predict("/models")).data;
  },
  async endpoints() {
    return Object.keys((await client.view_api()).named_endpoints);
  },
  async segment() {
    const { data } = await client.predict("/segment", { images, model: "bright.onnx", alpha_matting: false });
    const [cutouts, report] = data;
    const first = new Uint8Array(await (await fetch(cutouts[0].url)).arrayBuffer());
    return { names: cutouts.map((file) => file.orig_name), signature: [...first.slice(1, 4)], report };
  },
  async progress() {
    const said = [];
    for await (const event of client.submit("/segment", { images, alpha_matting: false })) {
      for (const { desc } of event.progress_data ?? []) said.push(desc);
    }
    return said;
  },
  async cancel() {
    const job = client.submit("/segment", { images, alpha_matting: false });
    let finished = 0;
    for await (const event of job) {
      if (event.type === "data") finished = event.data[1].length;
      if (finished > 0) {
        await job.cancel();
        break;
      }
    }
    return finished;
  },
  async error() {
    try {
      await client.predict("/segment", { images, model: "nothing" });
    } catch (error) {
      return error.message;
    }
  },
};
console.log(JSON.stringify(await tasks[task]()));
process.exit(0); // an open event stream would keep Node waiting
