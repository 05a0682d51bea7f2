// Writes every dashboard as TypeScript literals of @grafana/schema's types: tsc then finds what Grafana does not know.
// Run by `make dashboards-types`, in a folder that holds the packages of package-lock.json.
import { readFileSync, readdirSync, writeFileSync } from "node:fs";
import { join } from "node:path";

const [from, to] = process.argv.slice(2);
// String enums are written as their words in JSON.
const lines = [
  'import type { Dashboard } from "@grafana/schema";',
  'import type * as Series from "@grafana/schema/dist/esm/raw/composable/timeseries/panelcfg/x/TimeSeriesPanelCfg_types.gen";',
  'import type * as States from "@grafana/schema/dist/esm/raw/composable/statetimeline/panelcfg/x/StateTimelinePanelCfg_types.gen";',
  "type Plain<T> = T extends string ? `${T}` : T extends (infer U)[] ? Plain<U>[]",
  "  : T extends object ? { [K in keyof T]: Plain<T[K]> } : T;",
];
const room = { timeseries: "Series", "state-timeline": "States" };
let count = 0;
for (const file of readdirSync(from).filter((name) => name.endsWith(".json"))) {
  const board = JSON.parse(readFileSync(join(from, file), "utf8"));
  for (const mark of board.annotations.list) {
    // What Prometheus' own annotations add, which Dashboard does not describe.
    for (const own of ["expr", "step", "titleFormat", "textFormat", "useValueForTime"]) delete mark[own];
  }
  lines.push(`export const d${count++}: Plain<Dashboard> = ${JSON.stringify(board)};`);
  for (const panel of board.panels) {
    const types = room[panel.type];
    if (!types) throw new Error(`${file}: no types are known for panels of type ${panel.type}`);
    lines.push(`export const o${count++}: Plain<${types}.Options> = ${JSON.stringify(panel.options)};`);
    const custom = panel.fieldConfig.defaults.custom;
    lines.push(`export const c${count++}: Plain<${types}.FieldConfig> = ${JSON.stringify(custom)};`);
  }
}
writeFileSync(join(to, "boards.ts"), lines.join("\n") + "\n");
console.log(`${count} literals`);
