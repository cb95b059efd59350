// The body of a request, as JSON.

import type { IncomingMessage } from 'node:http';

export async function bodyOf(req: IncomingMessage): Promise<Record<string, unknown>> {
  const pieces: Buffer[] = [];
  for await (const piece of req) pieces.push(piece as Buffer);
  try {
    return JSON.parse(Buffer.concat(pieces).toString() || '{}') as Record<string, unknown>;
  } catch {
    return {};
  }
}
