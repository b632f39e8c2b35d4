// Builds the page into perdure/server/page/: index.html, one script, one style sheet, one font.
import { readFile, rm, writeFile } from "node:fs/promises";
import { basename, dirname, join } from "node:path";
import { fileURLToPath } from "node:url";
import esbuild from "esbuild";

const here = dirname(fileURLToPath(import.meta.url));
const out = join(here, "..", "perdure", "server", "page");

/** index.html, with the names that the built files got: they carry a hash, so a browser never mixes two builds. */
const page = {
  name: "page",
  setup(build) {
    build.onEnd(async ({ metafile }) => {
      if (!metafile) return;
      const built = (ending) => basename(Object.keys(metafile.outputs).find((name) => name.endsWith(ending)));
      const html = await readFile(join(here, "src", "index.html"), "utf8");
      await writeFile(join(out, "index.html"), html.replace("main.js", built(".js")).replace("main.css", built(".css")));
    });
  },
};

await rm(out, { recursive: true, force: true });
const options = {
  entryPoints: [join(here, "src", "main.ts")],
  outdir: out,
  entryNames: "[name]-[hash]",
  assetNames: "[name]-[hash]",
  bundle: true,
  minify: true,
  format: "esm",
  target: "es2022",
  loader: { ".woff2": "file" },
  metafile: true,
  logLevel: "warning",
  plugins: [page],
};
if (process.argv.includes("--watch")) await (await esbuild.context(options)).watch();
else await esbuild.build(options);
