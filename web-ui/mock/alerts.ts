// Made-up alerts: `POST /mock?alert=gpu-hot&alert=disk-days` switches them on.

import type { Alert } from '../src/lib/api';

const KNOWN: Record<string, Pick<Alert, 'severity' | 'subject' | 'text' | 'machine'>> = {
  'gpu-hot': { severity: 'warning', subject: 'GPU-1', machine: true, text: 'graphics card T4: 91 °C (limit 88 °C, slows down at 93 °C)' },
  'disk-days': { severity: 'warning', subject: '/var/lib/inspectd', machine: true, text: 'disk of `/var/lib/inspectd`: 40.2 GiB free, full in 2.1 days at this pace; free space, or keep fewer pictures' },
  'tool-mark': { severity: 'warning', subject: 'pit', machine: false, text: '`pit` at the same place on 5 of the last 12 such parts: 30 % from the left, 70 % from the top; look at tool, fixture and lens' },
  drift: { severity: 'warning', subject: 'brightness', machine: false, text: 'brightness of 3610 pictures: median 109.8, usually 128.4, limits 115.6 to 141.2' },
  'gpu-lost': { severity: 'critical', subject: 'GPU-1', machine: true, text: 'graphics card T4 (GPU-1) is lost: it is not there' },
  'clock-free': { severity: 'info', subject: '', machine: true, text: 'no time server sets the clock' },
};

export function alertsOf(names: string[], now: number): Alert[] {
  return names.flatMap((rule) => {
    const known = KNOWN[rule];
    if (!known) return [];
    const at = new Date(now).toISOString();
    return [{ id: `alert_${rule}`, rule, ...known, value: null, since: at, fired_at: at, acknowledged: null, resolved_at: null, resolved_by: null }];
  });
}
