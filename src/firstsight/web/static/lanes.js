// Lanes of the axis: a row each, or a day each with the rows of that day at their time.
const DAY = 86400;

// Each lane has a name, the time at which it ends, and parts: rows with their number, and their start in the lane.
export const lanesByRow = (rows) => rows.map((row, index) => ({ name: row.name, end: row.end_seconds, parts: [{ row, index, offset: 0 }] }));

// Days in order, then the rows that state no time. A row that goes on past midnight is in both days.
export function lanesByDay(rows) {
  const days = new Map(), others = [];
  rows.forEach((row, index) => {
    if (row.starts_at === null) return others.push(...lanesByRow([row]).map((lane) => ({ ...lane, parts: [{ ...lane.parts[0], index }] })));
    const last = Math.floor((row.starts_at + Math.max(0, row.end_seconds - 1e-3)) / DAY);
    for (let day = Math.floor(row.starts_at / DAY); day <= last; day++) {
      if (!days.has(day)) days.set(day, []);
      days.get(day).push({ row, index, offset: row.starts_at - day * DAY });
    }
  });
  const name = (day) => new Date(day * DAY * 1000).toLocaleDateString("en-GB", { weekday: "short", day: "numeric", month: "long", year: "numeric", timeZone: "UTC" });
  return [...[...days].sort(([one], [other]) => one - other).map(([day, parts]) => ({ name: name(day), end: DAY, parts: parts.sort((one, other) => one.offset - other.offset) })), ...others];
}
