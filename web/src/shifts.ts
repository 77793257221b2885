// The shift calendar: when "this shift" and "the last shift" began and ended. The server keeps the calendar, in the
// plant's zone; the times are worked out here, with Intl's rules for that zone.

export interface Shift {
  name: string;
  from: string; // HH:MM
  to: string; // HH:MM; not after `from`: on the next day
  days: number[]; // 1 Monday .. 7 Sunday, of the day it begins
}

export interface Calendar {
  zone: string; // IANA; "": the viewer's
  shifts: Shift[];
}

export interface ShiftSpan {
  name: string; // "": between shifts
  from: number; // ms
  to: number;
}

const DAILY = [1, 2, 3, 4, 5, 6, 7];

export const USUAL: Calendar = {
  zone: "",
  shifts: [
    { name: "early", from: "06:00", to: "14:00", days: DAILY },
    { name: "late", from: "14:00", to: "22:00", days: DAILY },
    { name: "night", from: "22:00", to: "06:00", days: DAILY },
  ],
};

const DAY = 86_400_000;

function clock(zone: string): Intl.DateTimeFormat {
  const options: Intl.DateTimeFormatOptions = {
    hourCycle: "h23",
    year: "numeric",
    month: "numeric",
    day: "numeric",
    hour: "numeric",
    minute: "numeric",
    second: "numeric",
  };
  try {
    return new Intl.DateTimeFormat("en-US", zone ? { ...options, timeZone: zone } : options);
  } catch {
    return new Intl.DateTimeFormat("en-US", options);
  }
}

// The wall clock of the zone at an instant, as if it were UTC.
function wall(format: Intl.DateTimeFormat, t: number): number {
  const p = Object.fromEntries(format.formatToParts(t).map(x => [x.type, Number(x.value)])) as Record<string, number>;
  return Date.UTC(p["year"]!, p["month"]! - 1, p["day"]!, p["hour"]!, p["minute"]!, p["second"]!);
}

// The instant at which the zone's clocks show a wall time. The offset is looked up at the guess, and again at what that
// gives: across a change of the clocks the first one is of the wrong side. A time that is skipped is the instant of the
// change or just beside it, one that comes twice is one of the two.
function instant(format: Intl.DateTimeFormat, shown: number): number {
  let t = shown;
  for (let i = 0; i < 2; i++) t = shown - (wall(format, t) - t);
  return t;
}

function minutes(hhmm: string): number {
  const [h, m] = hhmm.split(":").map(Number);
  return (h ?? 0) * 60 + (m ?? 0);
}

// The shift that runs now, or the time since the last one ended; and the last one that ended. null: there are none.
export function shiftsAt(calendar: Calendar, now: number): { current: ShiftSpan | null; last: ShiftSpan | null } {
  const format = clock(calendar.zone),
    today = Math.floor(wall(format, now) / DAY) * DAY;
  const spans: ShiftSpan[] = [];
  // A week and a day back, so that a shift of one weekday only is found.
  for (let day = today - 8 * DAY; day <= today; day += DAY) {
    const weekday = new Date(day).getUTCDay() || 7;
    for (const s of calendar.shifts) {
      if (!s.days.includes(weekday)) continue;
      const [from, to] = [minutes(s.from), minutes(s.to)];
      spans.push({
        name: s.name,
        from: instant(format, day + from * 60_000),
        to: instant(format, day + (to <= from ? DAY : 0) + to * 60_000),
      });
    }
  }
  const running = spans.filter(s => s.from <= now && now < s.to).sort((a, b) => b.from - a.from)[0];
  const last = spans.filter(s => s.to <= now).sort((a, b) => b.to - a.to || b.from - a.from)[0] ?? null;
  return { current: running ?? (last && { name: "", from: last.to, to: now }), last };
}

// The workspace's calendar, once it is known. The frame loads it; null until then.
let known: Calendar | null = null;

export const calendar = (): Calendar => known ?? USUAL;
export const calendarKnown = (): boolean => known !== null;
export function setCalendar(c: Calendar | null): void {
  known = c;
}
