// Numbers and times as people read them. Units stand next to the number, never inside a colour.

const grouped = new Intl.NumberFormat('en', { maximumFractionDigits: 0 });

export const count = (n: number) => grouped.format(n);

/** One decimal; never rounds a flaw away: 99.96 % is "99.9", not "100.0". */
export function percent(share: number | null): string {
  if (share === null) return '–';
  if (share > 0.999 && share < 1) return '99.9';
  return (share * 100).toFixed(1);
}

/** Microseconds as milliseconds with two or three digits that mean something. */
export function ms(us: number): string {
  const value = us / 1000;
  if (value < 10) return value.toFixed(1);
  return grouped.format(value);
}

export const rate = (perSecond: number) => (perSecond < 10 ? perSecond.toFixed(1) : grouped.format(perSecond));

export function clock(rfc3339: string): string {
  const at = new Date(rfc3339);
  return Number.isNaN(at.getTime()) ? rfc3339 : at.toLocaleTimeString('en-GB', { hour12: false });
}

export function clockFine(rfc3339: string): string {
  const at = new Date(rfc3339);
  if (Number.isNaN(at.getTime())) return rfc3339;
  return `${at.toLocaleDateString('en-CA')} ${clock(rfc3339)}.${String(at.getMilliseconds()).padStart(3, '0')}`;
}

/** "8 s", "3 min", "2 h 5 min". */
export function span(milliseconds: number): string {
  const s = Math.max(0, Math.floor(milliseconds / 1000));
  if (s < 90) return `${s} s`;
  const min = Math.floor(s / 60);
  if (min < 90) return `${min} min`;
  return `${Math.floor(min / 60)} h ${min % 60} min`;
}

/** "14:03" of today, "2026-03-01 14:03" of other days. */
export function when(rfc3339: string, now = Date.now()): string {
  const at = new Date(rfc3339);
  if (Number.isNaN(at.getTime())) return rfc3339;
  const time = at.toLocaleTimeString('en-GB', { hour: '2-digit', minute: '2-digit' });
  const day = at.toLocaleDateString('en-CA');
  return day === new Date(now).toLocaleDateString('en-CA') ? time : `${day} ${time}`;
}
