// One step of the OPAQUE client: node client.mjs STEP, parameters as JSON on standard input, result as JSON on
// standard output. The package's state objects are strings, so that every step can be a process of its own.
import { readFileSync } from "node:fs";
import * as opaque from "@serenity-kit/opaque";

// The canonical phrase as docs/passphrase-key-exchange.md gives it to clients.
const fold = (s) => s.normalize("NFKC").toLowerCase().normalize("NFKC");
const canonical = (s) =>
  fold(fold(s).replace(/\p{White_Space}+/gu, " ").replace(/[\p{P}\p{C}]/gu, "")).replace(/ +/g, " ").trim();

const steps = {
  canonical: ({ phrases }) => phrases.map(canonical),
  "start-registration": opaque.client.startRegistration,
  "finish-registration": opaque.client.finishRegistration,
  "start-login": opaque.client.startLogin,
  "finish-login": opaque.client.finishLogin,
  "public-key": ({ serverSetup }) => opaque.server.getPublicKey(serverSetup),
};

const step = steps[process.argv[2]];
if (step === undefined) {
  console.error(`usage: node client.mjs ${Object.keys(steps).join("|")} < parameters.json`);
  process.exit(64);
}
await opaque.ready;
// A login that the client itself sees to be wrong is undefined.
process.stdout.write(JSON.stringify(step(JSON.parse(readFileSync(0, "utf8"))) ?? null));
