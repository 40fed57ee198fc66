// Runs the checks of one file, and tells what they found: `node run.mjs <file of checks>`.
//
// Started by campaigns/clients.py in a folder that holds these files and node_modules. A file of
// checks has PACKAGE, the name of what it asks through, and CHECKS, a function for each name; each
// gets the ground and the place to ask. Prints the version, then a JSON line for each check and
// place.

import { readFileSync } from "node:fs";

const { PROXY_URL, PROXY_KEY, WRONG_KEY, PROXY_ADMIN_KEY, PLACES } = process.env;
const { LEDGER_URL, LEDGER_KEY, SLOW_URL } = process.env;

const ground = {
  url: PROXY_URL,
  key: PROXY_KEY,
  wrongKey: WRONG_KEY,
  text: "Say this again, word for word, please.",
  maxTokens: 2000,
  thought: " Let me see what was", // of sim-echo@5thoughts
  picture:
    "iVBORw0KGgoAAAANSUhEUgAAAAEAAAABCAYAAAAfFcSJAAAADUlEQVR42mNk+M9QDwADhgGAWjR9awAAAABJ" +
    "RU5ErkJggg==", // of one pixel
  pictureSeen: "I see: image/png of 70 bytes.", // what sim-look says about it
  slow: "sim-echo@1s", // makes its client wait for a second
  // Returns the same at the proxy that soon says that an answer is still awaited.
  findSlow() {
    return { ...this, url: SLOW_URL };
  },
  // Returns how a provider's request ended that `call` has begun and left.
  async findEnding(call) {
    await ask("DELETE", `${LEDGER_URL}/ledger`, LEDGER_KEY);
    await call();
    const { entries } = JSON.parse(
      await ask("GET", `${LEDGER_URL}/ledger?ended=1&within_ms=10000`, LEDGER_KEY),
    );
    return entries.map((entry) => entry.outcome).join();
  },
};

async function ask(method, url, key) {
  const answer = await fetch(url, { method, headers: { Authorization: `Bearer ${key}` } });
  if (!answer.ok) throw new Error(`${method} was answered with ${answer.status}`);
  return answer.text();
}

function tell(line) {
  process.stdout.write(`${JSON.stringify(line)}\n`);
}

const checks = await import(`./${process.argv[2]}`);
const manifest = readFileSync(`node_modules/${checks.PACKAGE}/package.json`, "utf8");
tell({ package: checks.PACKAGE, version: JSON.parse(manifest).version });
for (const [name, check] of Object.entries(checks.CHECKS)) {
  for (const place of JSON.parse(PLACES)) {
    await ask("POST", `${PROXY_URL}/admin/breakers/*/reset`, PROXY_ADMIN_KEY);
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
