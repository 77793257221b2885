// Tables as CSV (RFC 4180), for spreadsheets: text that a spreadsheet would take for a formula gets an apostrophe.

export type Cell = string | number | boolean | null;

function cell(v: Cell): string {
  if (v === null) return "";
  if (typeof v !== "string") return String(v);
  const numeric = /^-?\d+(\.\d+)?$/.test(v);
  const safe = !numeric && /^[=+\-@\t\r]/.test(v) ? `'${v}` : v;
  return /[",\r\n]/.test(safe) ? `"${safe.replace(/"/g, '""')}"` : safe;
}

export function toCsv(head: string[], rows: Cell[][]): string {
  return [head, ...rows].map(r => r.map(cell).join(",") + "\r\n").join("");
}
