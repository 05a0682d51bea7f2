// Takes a picture of the status page once it shows figures, as whoever looks at it would wait for; says how long that took.
//   node photograph.mjs URL INTO WIDTH HEIGHT [CHROMIUM]
import puppeteer from "puppeteer-core";

const [url, path, width, height, chromium = "/usr/bin/chromium"] = process.argv.slice(2);
const browser = await puppeteer.launch({ executablePath: chromium, args: ["--no-sandbox", "--disable-gpu"] });
try {
  const page = await browser.newPage();
  await page.setViewport({ width: Number(width), height: Number(height) });
  const begun = performance.now();
  await page.goto(url);
  const loaded = performance.now() - begun;
  const filled = () => document.getElementById("live").dataset.state === "live" && document.querySelector("#rows tr")
    && !["recoveries", "reloads"].some((id) => document.getElementById(id).textContent.includes("waiting"));
  await page.waitForFunction(filled, { timeout: 15_000 });
  console.log(`the status page was loaded after ${loaded.toFixed(0)} ms, and showed figures after ${(performance.now() - begun).toFixed(0)} ms`);
  await page.screenshot({ path });
} finally {
  await browser.close();
}
