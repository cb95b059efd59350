// Times between a form's local field and the interface.

/** As `<input type="datetime-local">` wants it: local time, to the minute. */
export function localOf(rfc3339: string | undefined): string {
  const at = rfc3339 ? new Date(rfc3339) : null;
  if (!at || Number.isNaN(at.getTime())) return '';
  const two = (n: number) => String(n).padStart(2, '0');
  return `${at.getFullYear()}-${two(at.getMonth() + 1)}-${two(at.getDate())}T${two(at.getHours())}:${two(at.getMinutes())}`;
}

/** And back; empty for what is no time. */
export function timeOf(local: string): string {
  const at = local ? new Date(local) : null;
  return at && !Number.isNaN(at.getTime()) ? at.toISOString() : '';
}

/** Midnight of a day, so many days from today. */
export function midnight(days: number, now = new Date()): Date {
  return new Date(now.getFullYear(), now.getMonth(), now.getDate() + days);
}
