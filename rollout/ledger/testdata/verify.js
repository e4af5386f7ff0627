// Verifies a bundle of evidence as its README.txt describes: node verify.js DIR
const { createHash, createPublicKey, verify } = require("crypto");
const { readFileSync, existsSync, readdirSync } = require("fs");
const { join } = require("path");

const dir = process.argv[2];
const read = (name) => readFileSync(join(dir, name));
const sha256 = (...parts) => parts.reduce((h, p) => h.update(p), createHash("sha256")).digest();
const fail = (why) => { console.error("bundle: " + why); process.exit(1); };

// The sums of all files.
const sums = read("SHA256SUMS").toString().trimEnd().split("\n");
for (const line of sums) {
  const [sum, name] = [line.slice(0, 64), line.slice(66)];
  if (!existsSync(join(dir, name))) fail(name + " is missing");
  if (sha256(read(name)).toString("hex") !== sum) fail(name + " was altered");
}

// A chain: each line ends with its hash, and names the hash of the line before it.
function chain(name) {
  const lines = read(name).toString("latin1").split("\n").slice(0, -1);
  let prev = "", rollout = "";
  lines.forEach((line, i) => {
    const end = line.match(/,"hash":"([0-9a-f]{64})"}$/);
    if (!end) fail(`${name} line ${i + 1} has no hash`);
    const body = Buffer.from(line.slice(0, line.length - end[0].length), "latin1");
    if (sha256(body, "}").toString("hex") !== end[1]) fail(`${name} line ${i + 1} was altered`);
    const entry = JSON.parse(Buffer.from(line, "latin1").toString());
    if (entry.rollout !== rollout) prev = "";
    if ((entry.prev || "") !== prev) fail(`${name} line ${i + 1} does not follow line ${i}`);
    [prev, rollout] = [end[1], entry.rollout];
  });
  return lines.map((line) => Buffer.from(line, "latin1"));
}

// The root of the Merkle tree of RFC 6962.
function root(lines) {
  if (lines.length === 0) return sha256("");
  if (lines.length === 1) return sha256(Buffer.from([0]), lines[0]);
  let k = 1;
  while (k * 2 < lines.length) k *= 2;
  return sha256(Buffer.from([1]), root(lines.slice(0, k)), root(lines.slice(k)));
}

// A checkpoint: size, root and signature.
function checkpoint(name, lines) {
  const text = read(name).toString();
  const at = text.indexOf("\n\n") + 1;
  const [origin, size, want] = text.slice(0, at).split("\n");
  if (Number(size) !== lines.length) fail(`${name}: ${origin} has ${lines.length} lines, ${size} were signed`);
  if (root(lines).toString("base64") !== want) fail(`${name}: ${origin} has another root`);
  const key = Buffer.from(read("keys.txt").toString().trim().split("+").slice(2).join("+"), "base64");
  const publicKey = createPublicKey({ key: Buffer.concat([Buffer.from("302a300506032b6570032100", "hex"), key.subarray(1)]), format: "der", type: "spki" });
  const signature = Buffer.from(text.slice(at + 1).trim().split(" ")[2], "base64").subarray(4);
  if (!verify(null, Buffer.from(text.slice(0, at)), publicKey, signature)) fail(`${name}: the signature is wrong`);
  return Buffer.from(want, "base64");
}

// A proof that a line is in the tree (RFC 9162, section 2.1.3.2).
function proven(name, want) {
  const p = JSON.parse(read(name).toString());
  let [fn, sn, hash] = [p.seq - 1, p.size - 1, sha256(Buffer.from([0]), p.line)];
  for (const step of p.path || []) {
    const other = Buffer.from(step, "base64");
    if (sn === 0) fail(name + " is too long");
    if (fn % 2 === 1 || fn === sn) {
      hash = sha256(Buffer.from([1]), other, hash);
      while (fn % 2 === 0 && fn !== 0) [fn, sn] = [fn >> 1, sn >> 1];
    } else {
      hash = sha256(Buffer.from([1]), hash, other);
    }
    [fn, sn] = [fn >> 1, sn >> 1];
  }
  if (sn !== 0 || !hash.equals(want)) fail(name + " does not prove its line");
}

if (existsSync(join(dir, "events.jsonl"))) checkpoint("events.checkpoint.txt", chain("events.jsonl"));
const signed = checkpoint("ledger.checkpoint.txt", chain("ledger.jsonl"));
for (const name of existsSync(join(dir, "proofs")) ? readdirSync(join(dir, "proofs")) : []) proven("proofs/" + name, signed);
console.log("the bundle is sound");
