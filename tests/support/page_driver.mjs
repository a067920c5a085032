// Drives a page of the gateway in a real Chromium for a test (pages.py).
//
//   node SCRIPT.mjs URL DIRECTORY SCENARIO       screenshots go to DIRECTORY
//
// Any surprise ends it with a message and status 1.

import assert from "node:assert/strict";
import {launch} from "./browser.mjs";

export {ask, ok} from "./dialogue.mjs";

export const [, , base, directory, scenario] = process.argv;
export const DESKTOP = {viewport: {width: 1280, height: 800}};

const browser = await launch();

// A page that notes in `faults` whatever a good page doesn't do.
export async function new_page(options, faults) {
  const context = await browser.newContext(options);
  const page = await context.newPage();
  page.setDefaultTimeout(40_000);
  page.on("pageerror", (error) => faults.push(`exception: ${error.message}`));
  page.on("console", (message) => {
    if (message.type() === "error" || message.type() === "warning") faults.push(`console: ${message.text()}`);
  });
  page.on("request", (request) => {
    if (new URL(request.url()).origin !== base) faults.push(`asked elsewhere: ${request.url()}`);
  });
  return page;
}

export async function no_overflow(page) {
  assert(await page.evaluate(() => document.documentElement.scrollWidth <= innerWidth), "wider than the screen");
}

// scenarios: name to function.
export async function run(scenarios) {
  try {
    await scenarios[scenario]();
  } catch (error) {
    console.error(error);
    process.exitCode = 1;
  } finally {
    await browser.close();
    process.stdin.destroy();
  }
}
