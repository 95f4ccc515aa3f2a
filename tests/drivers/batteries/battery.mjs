// What the Node batteries share: the login, sections, and printing what a program can see.

import { appendFileSync } from "node:fs";
import { createRequire } from "node:module";
import { inspect } from "node:util";

export const require = createRequire(process.env.NODE_MODULES + "/");
export const [CONNECTS, CYCLES] = [10, 40];
export const login = {
  host: "127.0.0.1", port: Number(process.env.PORT), user: process.env.DB_USER, password: process.env.DB_PASSWORD,
};

// Begins a feature. Through the proxy, the metrics of this moment are kept beside its name.
export const section = async (name) => {
  console.log(`== ${name}`);
  if (!process.env.MARKS) return;
  const metrics = await (await fetch(`http://${process.env.ADMIN}/metrics`)).text();
  appendFileSync(process.env.MARKS, `== ${name}\n${metrics}`);
};

const plain = (value) => JSON.parse(JSON.stringify(value, (_, v) => (typeof v === "bigint" ? `${v}n` : v)) ?? "null");
export const show = (name, value) =>
  console.log(`${name}: ${inspect(plain(value), { depth: 9, breakLength: Infinity, compact: true, maxArrayLength: 300, maxStringLength: 300 })}`);
