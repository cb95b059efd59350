// Server-sent events, parsed by hand (WHATWG HTML, section 9.2.6). The browser's own EventSource hides the HTTP status, cannot
// send Last-Event-ID on a connection that we open anew, and retries on its own clock; a page that must never show
// stale data as live needs all three in its hands.

export interface ServerEvent {
  /** `message` where the server names none. */
  event: string;
  data: string;
}

export class SseParser {
  /** The id of the newest event, to resume after; empty before the first. */
  lastId = '';
  #rest = '';
  #event = '';
  #data: string[] = [];

  /** Takes the next piece of the stream, returns the events that it completes. */
  push(text: string): ServerEvent[] {
    const out: ServerEvent[] = [];
    this.#rest += text;
    // A carriage return at the very end may be half of CR LF: leave it until the next piece tells.
    const held = this.#rest.endsWith('\r') ? '\r' : '';
    const lines = this.#rest.slice(0, this.#rest.length - held.length).split(/\r\n|\n|\r/);
    this.#rest = (lines.pop() ?? '') + held;
    for (const line of lines) {
      const done = this.#line(line);
      if (done) out.push(done);
    }
    return out;
  }

  #line(line: string): ServerEvent | null {
    if (line === '') return this.#dispatch();
    const colon = line.indexOf(':');
    if (colon === 0) return null; // a comment: the server's way to keep the connection open
    const field = colon < 0 ? line : line.slice(0, colon);
    const raw = colon < 0 ? '' : line.slice(colon + 1);
    const value = raw.startsWith(' ') ? raw.slice(1) : raw;
    if (field === 'event') this.#event = value;
    else if (field === 'data') this.#data.push(value);
    else if (field === 'id' && !value.includes('\0')) this.lastId = value;
    return null;
  }

  #dispatch(): ServerEvent | null {
    const done = this.#data.length ? { event: this.#event || 'message', data: this.#data.join('\n') } : null;
    this.#event = '';
    this.#data = [];
    return done;
  }
}
