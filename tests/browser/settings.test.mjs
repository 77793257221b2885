// The settings and the metadata page: what they show is the API's, what they change is stored.
import assert from "node:assert/strict";
import { before, test } from "node:test";
import { beginSignedIn, digits, fill, settled, until, visit } from "./support.mjs";

let server, origin, page, tab;

before(async () => ({ server, origin, tab, page } = await beginSignedIn(fill)));

const api = (what, init) => server.api(`/api/v1/demo/${what}`, init);

test("a key is made, shown once, works, and is revoked with a second press", async () => {
  await visit(page, origin, "/ui/settings/keys");
  await page.getByLabel("Name of a new key").fill("line 3");
  await page.keyboard.press("Enter");
  const dialog = page.getByRole("dialog", { name: "The key “line 3”" });
  const key = await dialog.locator("code").innerText();
  const ask = () => fetch(`${origin}/api/v1/demo/fields`, { headers: { Authorization: `Bearer ${key}` } });
  assert.equal((await ask()).status, 200);
  await page.keyboard.press("Escape");
  await dialog.waitFor({ state: "detached" });
  assert.ok(!(await page.content()).includes(key), "shown once");
  await page.getByRole("button", { name: "Revoke… line 3" }).click();
  assert.equal((await ask()).status, 200);
  await page.getByRole("button", { name: "Revoke for good line 3" }).click();
  await page.getByText("Revoked line 3.").waitFor();
  assert.equal((await ask()).status, 401);
  assert.equal(await page.getByRole("button", { name: /^Revoke/ }).count(), 0, "not the one in use");
});

test("retention is set, and a shorter one is warned of", async () => {
  await visit(page, origin, "/ui/settings/retention");
  await page.getByRole("spinbutton", { name: "Days" }).fill("400");
  await page.getByText("shorter than before").waitFor();
  await page.getByRole("button", { name: "Save" }).click();
  await until(async () => (await api("retention")).days, 400, "days");
  await page.getByRole("radio", { name: "For ever", exact: true }).check();
  await page.getByText("shorter than before").waitFor({ state: "detached" });
  await page.getByRole("button", { name: "Save" }).click();
  await until(async () => (await api("retention")).days, 0, "for ever");
  await page.getByLabel(/As the server is set/).check();
  await page.getByRole("button", { name: "Save" }).click();
  await until(async () => (await api("retention")).days, null, "the server's");
});

test("the shift calendar is edited and at once what “this shift” means", async () => {
  await visit(page, origin, "/ui/settings/shifts");
  await page.getByLabel("Time zone of the plant").selectOption("Europe/Berlin");
  await page.getByLabel("Name of shift 1").fill("day");
  await page.getByLabel("Shift 1 from").fill("05:30");
  await page.getByRole("group", { name: "Days of shift 1" }).getByLabel("Sunday").uncheck();
  await page.getByRole("button", { name: "Remove shift night" }).click();
  await page.getByRole("button", { name: "Save" }).click();
  await until(async () => (await api("shifts")).zone, "Europe/Berlin", "zone");
  const { shifts } = await api("shifts");
  assert.deepEqual(shifts, [
    { name: "day", from: "05:30", to: "14:00", days: [1, 2, 3, 4, 5, 6] },
    { name: "late", from: "14:00", to: "22:00", days: [1, 2, 3, 4, 5, 6, 7] },
  ]);
  await page.getByLabel("Name of shift 1").fill("");
  assert.ok(await page.getByRole("button", { name: "Save" }).isDisabled());
});

test("rules for pictures are set and taken back", async () => {
  await visit(page, origin, "/ui/settings/pictures");
  await page.getByText("No rule").waitFor();
  await page.getByRole("button", { name: "Add a rule" }).click();
  await page.getByLabel("Model of rule 1").fill("bottles/3");
  await page.getByText("without its version").waitFor();
  await page.getByLabel("Model of rule 1").fill("bottles");
  await page.getByLabel("Share of rule 1, percent").fill("12.5");
  await page.getByLabel("Rule 1 only below confidence").fill("0.5");
  await page.getByRole("button", { name: "Save" }).click();
  await until(async () => (await api("picture-capture")).rules.length, 1, "one rule");
  assert.deepEqual((await api("picture-capture")).rules, [
    { model: "bottles", share: 0.125, below_confidence: 0.5, per_hour: 60 },
  ]);
  await page.getByRole("button", { name: "Remove rule 1" }).click();
  await page.getByRole("button", { name: "Save" }).click();
  await until(async () => (await api("picture-capture")).rules.length, 0, "none");
});

test("a view is saved from the list, its link opens it, and it is renamed and deleted", async () => {
  await visit(page, origin, "/ui/inferences?filter=camera_location:canada&range=7d&columns=time,model");
  await page.getByRole("button", { name: "Save view" }).click();
  await page.getByLabel("Name of this view").fill("canada this week");
  await page.keyboard.press("Enter");
  await page.getByText("Saved as canada this week.").waitFor();
  const [view] = (await api("views")).views;
  await page.goto(`${origin}/ui/view/${view.id}`);
  await page.waitForURL(/inferences\?/);
  const q = new URL(page.url()).searchParams;
  assert.deepEqual([q.get("filter"), q.get("range"), q.get("columns")], ["camera_location:canada", "7d", "time,model"]);
  await visit(page, origin, "/ui/settings/views");
  await page.getByRole("button", { name: "Rename" }).click();
  await page.getByLabel("New name of canada this week").fill("canada");
  await page.keyboard.press("Enter");
  await until(async () => (await api("views")).views[0].name, "canada", "renamed");
  await page.getByRole("button", { name: "Delete… canada" }).click();
  await page.getByRole("button", { name: "Delete it canada" }).click();
  await until(async () => (await api("views")).views.length, 0, "deleted");
  await page.goto(`${origin}/ui/view/${view.id}`);
  await page.getByText("There is no such view").waitFor();
});

test("a marker is set and removed", async () => {
  await visit(page, origin, "/ui/settings/markers");
  await page.getByRole("button", { name: "Marker", exact: true }).click();
  await page.getByLabel("What happened").fill("lens cleaned on line 2");
  await page.keyboard.press("Enter");
  await page.locator(".markers li", { hasText: "lens cleaned on line 2" }).waitFor();
  const year = new Date(Date.now() - 366 * 86_400_000).toISOString();
  const mine = async () => (await api(`markers?from=${year}`)).markers.filter(m => !m.automatic);
  assert.equal((await mine())[0].text, "lens cleaned on line 2");
  const line = page.locator(".markers li", { hasText: "lens cleaned on line 2" });
  await line.getByRole("button", { name: "Edit" }).click();
  await line.getByRole("button", { name: "Remove" }).click();
  await until(async () => (await mine()).length, 0, "removed");
});

test("the activity list tells who did what", async () => {
  await api("inferences/rec-0001/metadata", { method: "PATCH", body: { review: "correct", reviewer: "anna" } });
  await visit(page, origin, "/ui/settings/activity");
  const row = page.locator("tbody tr", { hasText: "anna" });
  await until(async () => (await page.reload(), await settled(page), await row.count()), 1, "the review is in it");
  assert.match(await row.innerText(), /reviewed[\s\S]*review/);
  const { activity } = await api("activity");
  assert.equal(await page.locator("tbody tr").count(), activity.length);
});

test("the metadata page's numbers are the API's, and names that are alike stand side by side", async () => {
  for (const [i, name] of ["my_location", "My_location", "My_location"].entries())
    await api(`inferences/rec-000${i}/metadata/${name}`, { method: "PUT", body: { value: `hall ${i}` } });
  await api("inferences/nobody-has-this-id/metadata/shift", { method: "PUT", body: { value: "late" } });
  await api("inferences/rec-0005/metadata/count", { method: "PUT", body: { value: "five" } });
  await visit(page, origin, "/ui/metadata");
  const { fields, pending } = await api("fields");
  const rows = page.locator(".fieldpage .table tbody tr");
  assert.equal(await rows.count(), fields.length);
  for (const [i, f] of fields.entries()) {
    const cells = await rows.nth(i).locator("td").allInnerTexts();
    assert.equal(cells[0], f.name);
    assert.deepEqual([digits(cells[2]), digits(cells[3])], [f.inferences, f.values], f.name);
  }
  const { types } = fields.find(f => f.name === "count");
  assert.equal(types.string, 1);
  const told = await page.locator("tr", { hasText: /^count/ }).locator("td").nth(1).innerText();
  assert.equal(told.replace(/\s+/g, " ").trim(), `text 1, number ${types.number}`);
  assert.deepEqual(await page.locator(".alike li a").allInnerTexts(), ["My_location", "my_location"]);
  await until(
    async () => await page.locator("section[aria-labelledby=pending-title] p b").innerText(),
    `${pending.ids} id`,
    "waiting",
  );
  const { answers } = await api("query", {
    method: "POST",
    body: { filter: "has:camera_location", groups: [{ by: [], measures: ["min(time)", "max(time)"] }] },
  });
  const seen = page.locator("tr", { hasText: /^camera_location/ }).locator("time");
  await until(() => seen.count(), 2, "first and last seen");
  const shown = await seen.evaluateAll(l => l.map(t => t.dateTime));
  assert.deepEqual(shown, answers[0].rows[0]);
  await page
    .locator("tr", { hasText: /^camera_location/ })
    .getByRole("link", { name: "canada" })
    .click();
  await page.waitForURL(/filter=camera_location%3Acanada/);
});

test("nothing went wrong on the way, and nobody else was asked", () => {
  assert.deepEqual(tab.faults, []);
  assert.deepEqual(tab.foreign, []);
});
