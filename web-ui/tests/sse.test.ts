import { describe, expect, it } from 'vitest';
import { SseParser } from '../src/lib/sse';

const STREAM = 'event: inspection\nid: 7\ndata: {"a":1}\n\n: keep-alive\n\nevent: status\ndata: one\ndata: two\n\ndata: plain\n\n';
const EVENTS = [
  { event: 'inspection', data: '{"a":1}' },
  { event: 'status', data: 'one\ntwo' },
  { event: 'message', data: 'plain' },
];

describe('SseParser', () => {
  it.each([
    ['LF', STREAM],
    ['CR LF', STREAM.replaceAll('\n', '\r\n')],
    ['CR', STREAM.replaceAll('\n', '\r')],
  ])('reads the same events whatever the line ending: %s', (_, text) => {
    // The last CR alone may be half of CR LF, so a CR stream ends one event later: give it the next line's start.
    expect(new SseParser().push(`${text}:`)).toEqual(EVENTS);
  });

  it('reads the same events wherever the network cuts the stream', () => {
    const text = STREAM.replaceAll('\n', '\r\n');
    for (let cut = 0; cut <= text.length; cut++) {
      const parser = new SseParser();
      expect([...parser.push(text.slice(0, cut)), ...parser.push(text.slice(cut))]).toEqual(EVENTS);
    }
  });

  it('remembers the last id across events without one, and does not take one with NUL', () => {
    const parser = new SseParser();
    parser.push('id: 41\ndata: x\n\ndata: y\n\nid: 4\0\ndata: z\n\n');
    expect(parser.lastId).toBe('41');
  });

  it('keeps an unfinished event back, and drops an event without data', () => {
    const parser = new SseParser();
    expect(parser.push('event: status\ndata: half\n')).toEqual([]);
    expect(parser.push('\nevent: gap\n\ndata:no space\n\n')).toEqual([
      { event: 'status', data: 'half' },
      { event: 'message', data: 'no space' },
    ]);
  });
});
