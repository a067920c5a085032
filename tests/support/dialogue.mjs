// How a script talks with the test that has started it (node_script.py): it prints "ok ..." for what it has seen, and
// "do ACTION" where the test has to act, whose answer is the line that comes back.

import assert from "node:assert/strict";
import {createInterface} from "node:readline";

const answers = createInterface({input: process.stdin})[Symbol.asyncIterator]();

export const ok = (what) => console.log(`ok ${what}`);

export async function ask(action) {
  console.log(`do ${action}`);
  const {done, value} = await answers.next();
  assert(!done, "the test has gone");
  return value;
}
