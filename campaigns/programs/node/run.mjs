// Runs the checks of one file, and tells what they found: `node run.mjs <file of checks>`.
//
// Started by campaigns/clients.py in a folder that holds these files and node_modules. A file of
// checks has PACKAGE, the name of what it asks through, and CHECKS, a function for each name; each
// gets the ground and the place to ask. Prints the version, then a JSON line for each check and
// place.

import { readFileSync } from "node:fs";

const { PROXY_URL, PROXY_KEY, WRONG_KEY, PROXY_ADMIN_KEY, PLACES } = process.env;

const ground = {
  url: PROXY_URL,
  key: PROXY_KEY,
  wrongKey: WRONG_KEY,
  text: "Say this again, word for word, please.",
  maxTokens: 2000,
};

async function closeBreakers() {
  const headers = { Authorization: `Bearer ${PROXY_ADMIN_KEY}` };
  const answer = await fetch(`${PROXY_URL}/admin/breakers/*/reset`, { method: "POST", headers });
  if (!answer.ok) throw new Error(`the breakers were not closed: ${answer.status}`);
  await answer.arrayBuffer();
}

function tell(line) {
  process.stdout.write(`${JSON.stringify(line)}\n`);
}

const checks = await import(`./${process.argv[2]}`);
const manifest = readFileSync(`node_modules/${checks.PACKAGE}/package.json`, "utf8");
tell({ package: checks.PACKAGE, version: JSON.parse(manifest).version });
for (const [name, check] of Object.entries(checks.CHECKS)) {
  for (const place of JSON.parse(PLACES)) {
    await closeBreakers();
    let verdict = "ok";
    try {
      await check(ground, place);
    } catch (error) {
      console.error(error);
      verdict = `${error?.name ?? "Error"}: ${error?.message ?? error}`;
    }
    tell({ check: name, place, verdict });
  }
}
